"""`pipeline results`: what the decisions cost against the simplest policies; the tables of docs/results.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from pipeline_project.commands.shared.alerts import alerts_of, report_alerts
from pipeline_project.commands.shared.app_context import lake, prepare, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, paragraph, say
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
)

if TYPE_CHECKING:
    from pipeline_project.domain.reporting.results import Results
    from pipeline_project.spec import WorkflowSpec

app = command_app()


@app.command(
    epilog=example("pipeline results returns", "pipeline results order_returns"),
)
def results(workflow: Workflow, as_json: AsJson = False) -> None:
    """What the decisions of a workflow cost against the simplest policies, and how good its probabilities are."""
    raise typer.Exit(show_results(workflow, as_json))


def show_results(name: str, as_json: bool) -> int:
    """Prints the tables in Markdown, from the lake's decisions and the ledger's outcomes."""
    from pipeline_project.services.results import results_of

    spec = workflow(name)
    context = prepare()
    result = results_of(spec, lake(context.settings), context.ledger, context.ledger.now())
    if result is None:
        complain(f"nothing of {name} is decided yet; run `pipeline nights {name}`")
        return Exit.NOT_FOUND
    if as_json:
        emit({**asdict(result), "alerts": alerts_of(context.ledger, name)})
    else:
        report_results(spec, result)
        report_alerts(alerts_of(context.ledger, name))
    return Exit.DONE


def report_results(spec: WorkflowSpec, result: Results) -> None:
    if not result.cases and not result.other_spec:
        paragraph(
            f"{spec.name}: {result.undecided_outcomes:,} cases are decided and no outcome of them is known yet, so "
            "there is nothing to compare. Outcomes become known with later nights: run those, and ask again.",
            indent="",
        )
        return
    if result.duplicates:
        contrary = f", {result.duplicates_contradicting:,} of them with another outcome than the row that was kept"
        say(f"{result.duplicates:,} exact duplicates were dropped{contrary * bool(result.duplicates_contradicting)}.")
    say(f"{result.cases:,} decided cases of {spec.name} with a known outcome ({result.undecided_outcomes:,} without).")
    if result.immature_cases:
        paragraph(
            f"{result.immature_cases:,} of them lie in {result.immature_nights:,} immature nights, of whose outcomes "
            f"less than {result.mature_share:.0%} are known: what comes late is missing there, and the figures may "
            f"still move (`pipeline outcomes {spec.name}`).",
            indent="",
        )
    right = f" Right among the others: {result.right_alone:.2%}." if result.to_people < result.cases else ""
    answered = result.to_people - result.unanswered
    answers = f" Right among the {answered:,} answers: {result.right_answered:.2%}." if answered else ""
    say(f"To people: {result.to_people:,} ({result.share_to_people:.1%}).{right}{answers}")
    if result.unanswered:
        paragraph(
            f"{result.unanswered:,} of those asked about are unanswered, so nothing has come of them: they are in none "
            "of the costs below.",
            indent="",
        )
    if result.other_spec:
        paragraph(
            f"{result.other_spec:,} more were decided, or turned out, in options or labels that the spec no longer "
            "has; today's costs say nothing of them.",
            indent="",
        )
    say()
    say(f"| policy | cost, {spec.currency} | 95 % interval over customers | against the best simple policy |")
    say("|---|---:|---:|---:|")
    for cost in result.costs:
        say(f"| {cost.policy} | {cost.total:,.2f} | {cost.low:,.2f} to {cost.high:,.2f} | {cost.against_best:+.3%} |")
    say()
    say("| probabilities | |")
    say("|---|---:|")
    for name, value in result.quality.items():
        say(f"| {name} | {value:.4f} |")
