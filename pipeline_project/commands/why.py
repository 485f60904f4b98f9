"""`pipeline why`: the dossier of one decision, from the ledger alone."""

from __future__ import annotations

from typing import Any

from pipeline_project.commands.console import Exit, complain, emit, say, table
from pipeline_project.commands.ground import prepare
from pipeline_project.domain.policy import ASK_PERSON, Reason

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
    ground = prepare()
    from resources.doors import open_ledger

    ledger = open_ledger(ground.settings)
    decision = ledger.decision(name, case)
    if decision is None:
        complain(f"{name} has no decision for that case; `pipeline quarantine {name}` lists what was refused")
        return Exit.NOT_FOUND
    spec = ledger.workflow_spec(decision["spec_hash"]) or {}
    outcomes = ledger.outcomes_of(name, case)
    if as_json:
        emit({"decision": decision, "outcomes": outcomes, "spec": spec})
        return Exit.DONE
    _tell(name, case, decision, spec, outcomes)
    return Exit.DONE


def _tell(name: str, case: str, decision: dict[str, Any], spec: dict[str, Any], outcomes: list[dict[str, Any]]) -> None:
    currency = spec.get("currency", "")
    say(f"{name} {case}: {_titled(decision['option'], spec)}")
    say(f"  because {WORDS[Reason(decision['reason'])]}")
    facts = {
        "night": decision["night"],
        "decided at": decision["decided_at"],
        "made by": decision["made_by"],
        "amount": f"{decision['amount']:.2f} {currency}" if decision["amount"] is not None else "none",
        "policy (spec hash)": decision["spec_hash"],
        "model version": decision["model_version"] or "none",
        "cluster": decision["cluster"] or "none",
        "random share": f"{decision['propensity']:.2%}",
        "Dagster run": f"{decision['run_id']} (attempt {decision['attempt']})",
        "contract": ", ".join(f"{count} {what}" for what, count in (decision["contract"] or {}).items()),
        "data versions": ", ".join(
            f"{table} v{version}" for table, version in (decision["data_versions"] or {}).items()
        ),
    }
    table("What it rests on", ("fact", "value"), facts.items())
    _probabilities(decision, spec)
    for reason in decision["reasons"] or []:
        say(f"  - {reason}")
    for outcome in outcomes:
        say(f"  turned out to be {outcome['label']}, known at {outcome['known_at']} from {outcome['source']}")


def _probabilities(decision: dict[str, Any], spec: dict[str, Any]) -> None:
    if decision["probabilities"] is None:
        say("  no probabilities: no model looked at it")
        return
    likely = sorted(zip(spec["labels"], decision["probabilities"], strict=True), key=lambda pair: -pair[1])[:8]
    table("How likely", ("label", "probability"), [(label, f"{p:.3f}") for label, p in likely], right=("probability",))
    options = list(spec["options"]) if "wrong" not in spec["options"] else spec["labels"]
    costs = sorted(zip(options, decision["expected_costs"] or [], strict=False), key=lambda pair: pair[1])[:8]
    table(
        "Expected cost", ("option", "cost"), [(_titled(o, spec), f"{cost:.2f}") for o, cost in costs], right=("cost",)
    )


def _titled(option: str, spec: dict[str, Any]) -> str:
    if option == ASK_PERSON:
        return "ask a person"
    declared = spec.get("options", {}).get(option)
    return f"{option} ({declared['title']})" if isinstance(declared, dict) else option
