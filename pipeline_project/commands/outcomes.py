"""`pipeline outcomes`: how late the truth comes, which nights are mature, and what is wrong with what came."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import lake, prepare, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, paragraph, say, table
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    count,
    example,
)

if TYPE_CHECKING:
    from pipeline_project.domain.measures.label_delay import DelayCurve, Maturity
    from pipeline_project.services.known_outcomes import KnownOutcomes
    from pipeline_project.spec import WorkflowSpec

_LISTED = 5

app = command_app()


@app.command(
    epilog=example("pipeline outcomes returns", "pipeline outcomes returns --last 60 --json"),
)
def outcomes(
    workflow: Workflow,
    last: Annotated[int, count("Nights shown.", 3_650, least=1)] = 30,
    as_json: AsJson = False,
) -> None:
    """How late the truth comes, which nights are mature, and which outcomes contradict themselves or have no case.

    A night is mature when the share `outcome.mature_share` of the outcomes it will have is known; figures of younger
    nights say so wherever they are shown.
    """
    raise typer.Exit(show_outcomes(workflow, last, as_json))


def show_outcomes(name: str, last: int, as_json: bool) -> int:
    """Prints the delay curve, the last nights and what contradicts itself or has no case."""
    from pipeline_project.services.known_outcomes import outcomes_of

    spec = workflow(name)
    context = prepare()
    summary = outcomes_of(spec, lake(context.settings), context.ledger, context.ledger.now())
    if not summary.nights and not summary.unknown:
        complain(f"no case and no outcome of {name} is known yet; run `pipeline nights {name}`")
        return Exit.NOT_FOUND
    if as_json:
        emit(_document(spec, summary, last))
    else:
        _report(spec, summary, last)
    return Exit.DONE


def _document(spec: WorkflowSpec, summary: KnownOutcomes, last: int) -> dict[str, Any]:
    from pipeline_project.domain.measures.label_delay import immature_nights

    curve = summary.curve
    return {
        "workflow": spec.name,
        "mature_share": spec.outcome.mature_share,
        "outcomes": curve.outcomes,
        "days_until_mature": curve.days_until(spec.outcome.mature_share),
        "delay": [
            {"days": day, "all": curve.within(day), **{label: curve.within(day, label) for label in spec.labels}}
            for day in curve.marks()
        ],
        "nights": [asdict(night) for night in summary.nights[-last:]],
        "immature_nights": sorted(immature_nights(summary.nights)),
        "without_a_case": {"count": len(summary.unknown), "cases": summary.unknown},
        "contradictions": [
            {"case_id": row["case_id"], "known_at": row["known_at"], "labels": row["labels"], "sources": row["sources"]}
            for row in summary.contradictions.to_dict("records")
        ],
    }


def _report(spec: WorkflowSpec, summary: KnownOutcomes, last: int) -> None:
    from pipeline_project.domain.intake.outcomes import contradictions_in_words
    from pipeline_project.domain.measures.label_delay import immature_nights

    curve, share = summary.curve, spec.outcome.mature_share
    if curve.outcomes:
        _report_curve(spec, curve)
    else:
        paragraph(f"No outcome of a case of {spec.name} is known yet, so no night is mature.", indent="")
    shown = summary.nights[-last:]
    columns = ("night", "cases", "known", "expected", "share", "")
    rows = [
        (n.night, f"{n.cases:,}", f"{n.known:,}", f"{n.expected:,.0f}", f"{n.share:.0%}", _standing(n)) for n in shown
    ]
    table(f"The last {len(shown)} nights (mature from {share:.0%} on)", columns, rows, right=columns[1:5])
    immature = immature_nights(summary.nights)
    say()
    say(f"{len(immature):,} of {len(summary.nights):,} nights are immature.")
    if summary.unknown:
        shown_ids = ", ".join(summary.unknown[:_LISTED])
        more = f" and {len(summary.unknown) - _LISTED:,} more" if len(summary.unknown) > _LISTED else ""
        paragraph(
            f"{len(summary.unknown):,} outcomes have no case ({shown_ids}{more}); they are kept, and used as soon as "
            "the case arrives or is repaired.",
            indent="",
        )
    for line in contradictions_in_words(summary.contradictions, _LISTED):
        paragraph(line, indent="")


def _report_curve(spec: WorkflowSpec, curve: DelayCurve) -> None:
    labels = [label for label in spec.labels if label in curve.by_label][:_LISTED]
    columns = ("known within", "all", *labels)
    rows = [
        (
            f"{day} day{'s' * (day != 1)}",
            f"{curve.within(day):.1%}",
            *(f"{curve.within(day, label):.1%}" for label in labels),
        )
        for day in curve.marks()
    ]
    table(f"How late the outcomes of {spec.name} come ({curve.outcomes:,} known)", columns, rows, right=columns)


def _standing(night: Maturity) -> str:
    if not night.mature:
        return "immature"
    return "far fewer than usual" if night.known < night.expected_by_now / 2 else "mature"
