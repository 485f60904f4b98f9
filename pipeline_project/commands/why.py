"""`pipeline why`: the dossier of one decision, from the ledger alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipeline_project.commands.console import Exit, complain, emit, facts, heading, paragraph, say, table
from pipeline_project.commands.ground import prepare, workflow
from pipeline_project.domain.policy import ASK_PERSON, Reason

#: What is listed of labels and options, where there are many.
LISTED = 8

WORDS = {
    Reason.CHEAPEST: "the option with the lowest expected cost",
    Reason.NO_PLACE_LEFT: "a person's answer would have paid, but the night's places went to cases where it saves more",
    Reason.DOUBT: "a person's answer costs less than the expected cost of the best option",
    Reason.DENIAL: "the cheapest option denies, and only people deny",
    Reason.RANDOM_SHARE: "drawn for the random share, whatever the score",
    Reason.COST_UNKNOWN: "a field that the costs need is missing",
    Reason.NO_MODEL: "no model was champion on that night",
    Reason.MODEL_UNAVAILABLE: "the champion could not be loaded",
    Reason.FAILED_PHOTO: "a photo could not be read",
    Reason.OUT_OF_DISTRIBUTION: "the case is unlike anything the model was trained on",
}


def explain(name: str, case: str, as_json: bool) -> int:
    """Prints everything the ledger knows about the decision of one case."""
    ledger = prepare().ledger
    decision = ledger.decision(name, case)
    if decision is None:
        spec = workflow(name)
        complain(
            f"{name} has no decision for that case: it came before {spec.nights.decide_from}, its night has not run, "
            f"or it was refused; `pipeline status {name}` and `pipeline quarantine {name}` say more"
        )
        return Exit.NOT_FOUND
    spec_then = ledger.workflow_spec(decision["spec_hash"]) or {}
    outcomes = ledger.outcomes_of(name, case)
    if as_json:
        emit({"decision": decision, "outcomes": outcomes, "spec": spec_then})
        return Exit.DONE
    _tell(name, case, decision, spec_then, outcomes)
    return Exit.DONE


def _tell(name: str, case: str, decision: dict[str, Any], spec: dict[str, Any], outcomes: list[dict[str, Any]]) -> None:
    currency = spec.get("currency", "")
    say(f"{name} {case}: {_titled(decision['option'], spec)}")
    paragraph(f"because {WORDS[Reason(decision['reason'])]}")
    say()
    facts(_what_it_rests_on(name, decision, currency))
    _probabilities(decision, spec, currency)
    if decision["reasons"]:
        heading("What the model saw")
        for reason in decision["reasons"]:
            paragraph(reason)
    heading("What turned out")
    for outcome in outcomes:
        paragraph(f"{outcome['label']}, known since {_moment(outcome['known_at'])}, from {outcome['source']}")
    if not outcomes:
        paragraph("nothing is known yet")


def _what_it_rests_on(name: str, decision: dict[str, Any], currency: str) -> list[tuple[str, str]]:
    contract, versions = decision["contract"] or {}, decision["data_versions"] or {}
    amount = decision["amount"]
    return [
        ("night", decision["night"]),
        ("decided", f"{_moment(decision['decided_at'])}, by {decision['made_by']}"),
        ("amount", f"{amount:,.2f} {currency}" if amount is not None else "unknown"),
        ("model", f"version {decision['model_version']}" if decision["model_version"] else "none"),
        ("cluster", decision["cluster"] or "none, the case stands alone"),
        ("random share", f"{decision['propensity']:.2%} of cases like this one go to a person whatever the score"),
        ("policy", f"spec {decision['spec_hash'][:12]}"),
        ("contract", ", ".join(f"{count} {what}" for what, count in contract.items()) or "nothing kept"),
        ("data", ", ".join(f"{t.removeprefix(f'{name}/')} v{v}" for t, v in versions.items()) or "nothing kept"),
        ("Dagster run", f"{decision['run_id']}, attempt {decision['attempt']}"),
    ]


def _probabilities(decision: dict[str, Any], spec: dict[str, Any], currency: str) -> None:
    if decision["probabilities"] is None:
        heading("How likely")
        paragraph("no probabilities: no model looked at it")
        return
    likely = sorted(zip(spec["labels"], decision["probabilities"], strict=True), key=lambda pair: -pair[1])
    rows = [(f"  {label}", f"{p:.1%}") for label, p in likely[:LISTED]]
    table("How likely", ("  label", "probability"), rows, right=("probability",))
    options = list(spec["options"]) if "wrong" not in spec["options"] else spec["labels"]
    costs = sorted(zip(options, decision["expected_costs"] or [], strict=False), key=lambda pair: pair[1])
    unit = f"cost, {currency}"
    table(
        "Expected cost",
        ("  option", unit),
        [(f"  {_titled(option, spec)}", f"{cost:,.2f}") for option, cost in costs[:LISTED]],
        right=(unit,),
    )


def _moment(value: datetime | str) -> str:
    """A time to the minute, in UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _titled(option: str, spec: dict[str, Any]) -> str:
    if option == ASK_PERSON:
        return "ask a person"
    declared = spec.get("options", {}).get(option)
    return f"{option} ({declared['title']})" if isinstance(declared, dict) else option
