"""`pipeline why`: the dossier of one case, from arrival to delivery, from the ledger alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import prepare, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, heading, paragraph, say, table
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
)
from pipeline_project.domain.core.reasons import ASK_PERSON, words_of

if TYPE_CHECKING:
    from pipeline_project.spec.past import Said

#: What is listed of labels and options, where there are many.
LISTED = 8

app = command_app()


@app.command(
    epilog=example("pipeline why returns R250305-SUVRVTF"),
)
def why(
    workflow: Workflow,
    case: Annotated[str, typer.Argument(metavar="CASE", help="The id of a case.")],
    as_json: AsJson = False,
) -> None:
    """Prints the dossier of one decision, from the ledger alone."""
    raise typer.Exit(explain(workflow, case, as_json))


def explain(name: str, case: str, as_json: bool) -> int:
    """Prints everything the ledger knows about one case."""
    from pipeline_project.spec.past import said_of

    context = prepare()
    story = context.stores.stories.story(name, case)
    if story is None:
        spec = workflow(name)
        complain(
            f"{name} has no decision for that case: it came before {spec.nights.decide_from}, its night has not run, "
            f"or it was refused; `pipeline status {name}` and `pipeline quarantine {name}` say more"
        )
        return Exit.NOT_FOUND
    first, standing = story["decisions"][0], story["decisions"][-1]
    spec_then = context.ledger.workflow_spec(first["spec_hash"]) or {}
    said = said_of(first, spec_then)
    if as_json:
        if said.costs and said.costs.keys() == (spec_then.get("options") or {}).keys():
            spec_then = {**spec_then, "options": {name: spec_then["options"][name] for name in said.costs}}
        decided = {"decision": standing, "probabilities": said.probabilities, "costs": said.costs or None}
        emit({**decided, "outcomes": story["outcomes"], "spec": spec_then, "story": story})
        return Exit.DONE
    _report(name, case, first, standing, spec_then, story, said)
    return Exit.DONE


def _report(
    name: str,
    case: str,
    first: dict[str, Any],
    standing: dict[str, Any],
    spec: dict[str, Any],
    story: dict[str, list[dict[str, Any]]],
    said: Said,
) -> None:
    currency = spec.get("currency", "")
    say(f"{name} {case}: {_titled(standing['option'], spec)}")
    if standing is not first:
        paragraph(f"decided by {_who(standing['made_by'])}, because: {_reason(standing, spec)}")
        paragraph(f"the policy had chosen to {_titled(first['option'], spec)}: {_reason(first, spec)}")
    else:
        paragraph(f"because {_reason(first, spec)}")
    say()
    facts(_what_it_rests_on(name, first, currency))
    _probabilities(said, spec, currency)
    if first["reasons"]:
        heading("What the model saw")
        for reason in first["reasons"]:
            paragraph(reason)
    heading("What happened")
    for at, words in sorted(_happened(story, spec), key=lambda pair: pair[0]):
        paragraph(f"{_moment(at)}  {words}")
    if not story["outcomes"]:
        paragraph("nothing is known yet of what turned out to be true")
    chained = ", ".join(str(batch["number"]) for batch in story["chain"])
    paragraph(f"in the audit chain: batch {chained}" if chained else "not in the audit chain")


def _happened(story: dict[str, list[dict[str, Any]]], spec: dict[str, Any]) -> Iterator[tuple[datetime, str]]:
    """Everything that happened to the case, each with its time."""
    currency = spec.get("currency", "")
    for decision in story["decisions"]:
        yield decision["decided_at"], f"{_who(decision['made_by'])} decided: {_titled(decision['option'], spec)}"
    for event in story["events"]:
        by = f" by {event['person']}" if event["person"] else ""
        yield event["at"], f"review task {event['task_id']}: {event['event'].replace('_', ' ')}{by}"
    for notice in story["notices"]:
        yield notice["at"], f"review task {notice['task_id']}: {notice['kind']} {notice['level']}"
    for reveal in story["reveals"]:
        yield reveal["at"], f"{reveal['person']} revealed {reveal['field']}"
    for made in story["proposals"]:
        yield made["proposed_at"], f"{made['proposer']} proposed: {_titled(made['option'], spec)} ({made['label']})"
    for said in story["approvals"]:
        yield said["approved_at"], f"{said['approver']}: {said['verdict'].replace('_', ' ')}"
    for outcome in story["outcomes"]:
        yield outcome["known_at"], f"known to be {outcome['label']}, from {outcome['source']}"
    for release in story["release"]:
        yield release["released_at"], "the night's checks had passed: its actions were released"
    for action in story["actions"]:
        money = f" of {float(action['money']):,.2f} {currency}" if action["money"] else ""
        yield action["created_at"], f"{action['kind']}{money} to {action['destination']} planned, key {action['key']}"
        for event in story["deliveries"]:
            if event["action_id"] == action["id"]:
                why = f", {event['error_class']}" if event["error_class"] else ""
                yield event["at"], f"{action['kind']}: {event['event'].replace('_', ' ')}, try {event['attempt']}{why}"


def _who(made_by: str) -> str:
    return made_by.removeprefix("person:") if made_by.startswith("person:") else f"the {made_by}"


def _reason(decision: dict[str, Any], spec: dict[str, Any]) -> str:
    """A reason in words: the policy's own, or one of the workflow's short list."""
    code = decision["reason"]
    if decision["made_by"] == "policy":
        return words_of(code).because
    return str(spec.get("review", {}).get("reasons", {}).get(code, code.replace("_", " ")))


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


def _probabilities(said: Said, spec: dict[str, Any], currency: str) -> None:
    if not said.probabilities:
        heading("How likely")
        paragraph("no probabilities: no model looked at it")
        return
    likely = sorted(said.probabilities.items(), key=lambda pair: -pair[1])
    rows = [(f"  {label}", f"{p:.1%}") for label, p in likely[:LISTED]]
    table("How likely", ("  label", "probability"), rows, right=("probability",))
    unit = f"cost, {currency}"
    costs = sorted(said.costs.items(), key=lambda pair: pair[1])
    shown = [(f"  {_titled(option, spec)}", f"{cost:,.2f}") for option, cost in costs]
    # an early version kept costs without saying of which options they are
    shown += [("  (of which option is not kept)", f"{cost:,.2f}") for cost in said.unordered]
    table("Expected cost", ("  option", unit), shown[:LISTED], right=(unit,))


def _moment(value: datetime | str) -> str:
    """A time to the minute, in UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _titled(option: str, spec: dict[str, Any]) -> str:
    if option == ASK_PERSON:
        return "ask a person"
    declared = spec.get("options", {}).get(option)
    return f"{option} ({declared['title']})" if isinstance(declared, dict) else option
