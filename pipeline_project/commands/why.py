"""`pipeline why`: the dossier of one case, from arrival to delivery, from the ledger alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    from pipeline_project.domain.deciding.recorded import RecordedDecision
    from pipeline_project.domain.reporting.story import CaseStory
    from pipeline_project.spec.past import DecisionFigures

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
    from pipeline_project.spec.past import figures_of

    context = prepare()
    story = context.stores.stories.story(name, case)
    if story is None:
        spec = workflow(name)
        complain(
            f"{name} has no decision for that case: it came before {spec.nights.decide_from}, its night has not run, "
            f"or it was refused; `pipeline status {name}` and `pipeline quarantine {name}` say more"
        )
        return Exit.NOT_FOUND
    first = story.decisions[0]
    spec_then = context.ledger.workflow_spec(first.spec_hash) or {}
    dossier = _Dossier(story, spec_then, figures_of(first, spec_then))
    if as_json:
        emit(dossier.document())
    else:
        _report(dossier)
    return Exit.DONE


@dataclass(frozen=True)
class _Dossier:
    """What is known of a case, the spec under which it was first decided, and what that decision said by it."""

    story: CaseStory
    spec: Mapping[str, Any]
    said: DecisionFigures

    @property
    def first(self) -> RecordedDecision:
        return self.story.decisions[0]

    @property
    def standing(self) -> RecordedDecision:
        return self.story.decisions[-1]

    @property
    def currency(self) -> str:
        return str(self.spec.get("currency", ""))

    def titled(self, option: str) -> str:
        if option == ASK_PERSON:
            return "ask a person"
        declared = self.spec.get("options", {}).get(option)
        return f"{option} ({declared['title']})" if isinstance(declared, dict) else option

    def reason(self, decision: RecordedDecision) -> str:
        """A reason in words: the policy's own, or one of the workflow's short list."""
        if decision.made_by == "policy":
            return words_of(decision.reason).because
        own = self.spec.get("review", {}).get("reasons", {})
        return str(own.get(decision.reason, decision.reason.replace("_", " ")))

    def document(self) -> Mapping[str, object]:
        recorded, spec, story = self.said, self.spec, self.story.document()
        if recorded.costs and recorded.costs.keys() == (spec.get("options") or {}).keys():
            spec = {**spec, "options": {name: spec["options"][name] for name in recorded.costs}}
        return {
            "decision": vars(self.standing),
            "probabilities": recorded.probabilities,
            "costs": recorded.costs or None,
            "outcomes": story["outcomes"],
            "spec": spec,
            "story": story,
        }


def _report(dossier: _Dossier) -> None:
    first, standing, story = dossier.first, dossier.standing, dossier.story
    say(f"{first.workflow} {first.case_id}: {dossier.titled(standing.option)}")
    if standing is not first:
        paragraph(f"decided by {_who(standing.made_by)}, because: {dossier.reason(standing)}")
        paragraph(f"the policy had chosen to {dossier.titled(first.option)}: {dossier.reason(first)}")
    else:
        paragraph(f"because {dossier.reason(first)}")
    say()
    facts(_what_it_rests_on(first, dossier.currency))
    _probabilities(dossier)
    if first.reasons:
        heading("What the model saw")
        for reason in first.reasons:
            paragraph(reason)
    heading("What happened")
    for at, sentence in sorted(_happened(dossier), key=lambda pair: pair[0]):
        paragraph(f"{_moment(at)}  {sentence}")
    if not story.outcomes:
        paragraph("nothing is known yet of what turned out to be true")
    chained = ", ".join(str(batch.number) for batch in story.chain)
    paragraph(f"in the audit chain: batch {chained}" if chained else "not in the audit chain")


def _happened(dossier: _Dossier) -> Iterator[tuple[datetime, str]]:
    """Everything that happened to the case, each with its time."""
    story = dossier.story
    for decision in story.decisions:
        yield decision.decided_at, f"{_who(decision.made_by)} decided: {dossier.titled(decision.option)}"
    for change in story.events:
        by = f" by {change.person}" if change.person else ""
        yield change.at, f"review task {change.task_id}: {change.event.replace('_', ' ')}{by}"
    for notice in story.notices:
        yield notice.at, f"review task {notice.task_id}: {notice.kind} {notice.level}"
    for reveal in story.reveals:
        yield reveal.at, f"{reveal.person} revealed {reveal.field}"
    for made in story.proposals:
        yield made.proposed_at, f"{made.proposer} proposed: {dossier.titled(made.option)} ({made.label})"
    for second in story.approvals:
        yield second.approved_at, f"{second.approver}: {second.verdict.replace('_', ' ')}"
    for outcome in story.outcomes:
        yield outcome.known_at, f"known to be {outcome.label}, from {outcome.source}"
    for release in story.release:
        yield release.released_at, "the night's checks had passed: its actions were released"
    for action in story.actions:
        money = f" of {float(action.money):,.2f} {dossier.currency}" if action.money else ""
        yield action.created_at, f"{action.kind}{money} to {action.destination} planned, key {action.key}"
        for event in story.deliveries:
            if event.action_id == action.id:
                why = f", {event.error_class}" if event.error_class else ""
                yield event.at, f"{action.kind}: {event.event.replace('_', ' ')}, try {event.attempt}{why}"


def _who(made_by: str) -> str:
    return made_by.removeprefix("person:") if made_by.startswith("person:") else f"the {made_by}"


def _what_it_rests_on(decision: RecordedDecision, currency: str) -> list[tuple[str, str]]:
    contract, versions, amount = decision.contract or {}, decision.data_versions or {}, decision.amount
    own = f"{decision.workflow}/"
    return [
        ("night", decision.night),
        ("decided", f"{_moment(decision.decided_at)}, by {decision.made_by}"),
        ("amount", f"{amount:,.2f} {currency}" if amount is not None else "unknown"),
        ("model", f"version {decision.model_version}" if decision.model_version else "none"),
        ("cluster", decision.cluster or "none, the case stands alone"),
        ("random share", f"{decision.propensity:.2%} of cases like this one go to a person whatever the score"),
        ("policy", f"spec {decision.spec_hash[:12]}"),
        ("contract", ", ".join(f"{count} {what}" for what, count in contract.items()) or "nothing kept"),
        ("data", ", ".join(f"{t.removeprefix(own)} v{v}" for t, v in versions.items()) or "nothing kept"),
        ("Dagster run", f"{decision.run_id}, attempt {decision.attempt}"),
    ]


def _probabilities(dossier: _Dossier) -> None:
    recorded = dossier.said
    if not recorded.probabilities:
        heading("How likely")
        paragraph("no probabilities: no model looked at it")
        return
    likely = sorted(recorded.probabilities.items(), key=lambda pair: -pair[1])
    rows = [(f"  {label}", f"{p:.1%}") for label, p in likely[:LISTED]]
    table("How likely", ("  label", "probability"), rows, right=("probability",))
    unit = f"cost, {dossier.currency}"
    costs = sorted(recorded.costs.items(), key=lambda pair: pair[1])
    shown = [(f"  {dossier.titled(option)}", f"{cost:,.2f}") for option, cost in costs]
    # an early version kept costs without saying of which options they are
    shown += [("  (of which option is not kept)", f"{cost:,.2f}") for cost in recorded.unordered]
    table("Expected cost", ("  option", unit), shown[:LISTED], right=(unit,))


def _moment(value: datetime) -> str:
    """A time to the minute, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
