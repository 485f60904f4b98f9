"""`pipeline results`: what the decisions cost against the simplest policies; the tables of docs/results.md."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from pipeline_project.commands.shared.alerts import alerts_of, report_alerts
from pipeline_project.commands.shared.app_context import lake, prepare, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, paragraph, say
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
)
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.intake.duplicates import contradicting, repeated
from pipeline_project.domain.reporting.results import Results, compare

if TYPE_CHECKING:
    from pipeline_project.ports.lake import Lake
    from pipeline_project.ports.ledger import Ledger
    from pipeline_project.spec import WorkflowSpec

_EVER = "9999-12-31"

app = command_app()


@app.command(
    epilog=example("pipeline results returns", "pipeline results order_returns"),
)
def results(workflow: Workflow, as_json: AsJson = False) -> None:
    """What the decisions of a workflow cost against the simplest policies, and how good its probabilities are."""
    raise typer.Exit(show_results(workflow, as_json))


def show_results(name: str, as_json: bool) -> int:
    """Prints the tables in Markdown, from the lake's decisions and the ledger's outcomes."""
    spec = workflow(name)
    context = prepare()
    found = results_of(spec, lake(context.settings), context.ledger, datetime.now(UTC))
    if found is None:
        complain(f"nothing of {name} is decided yet; run `pipeline nights {name}`")
        return Exit.NOT_FOUND
    if as_json:
        emit({**asdict(found), "alerts": alerts_of(context.ledger, name)})
    else:
        report_results(spec, found)
        report_alerts(alerts_of(context.ledger, name))
    return Exit.DONE


def results_of(spec: WorkflowSpec, tables: Lake, ledger: Ledger, now: datetime) -> Results | None:
    """What the decided nights came to, as known at a moment; None where nothing was decided."""
    from pipeline_project.domain.measures.probabilities import all_metrics
    from pipeline_project.services.as_of import matured_seen

    first = spec.nights.decide_from.isoformat()
    matured = matured_seen(spec, tables, ledger, first, _EVER, now)
    if matured is None:
        return None
    told = matured.decisions
    scored = told[told["probabilities"].notna() & told["label"].isin(spec.labels)]
    labels = scored["label"].map({label: i for i, label in enumerate(spec.labels)}).to_numpy(dtype=int)
    figures = all_metrics(np.array(scored["probabilities"].tolist()), labels) if len(scored) else {}
    found = compare(matured, spec.cost_matrix, spec.policy_terms, figures)
    dropped = _dropped(spec, tables, first)
    return replace(found, duplicates=dropped[0], duplicates_contradicting=dropped[1])


def _dropped(spec: WorkflowSpec, tables: Lake, first: str) -> tuple[int, int]:
    """Exact duplicates that were dropped since a night, and how many of them tell another outcome."""
    arrivals, *kept = (
        tables.read_span(spec.name, noun, first, "9999-12-31", [NIGHT, "row_sha256"])
        for noun in ("arrivals", "cases", "quarantine")
    )
    if arrivals is None:
        return 0, 0
    # a night that stopped before its rows were sorted has dropped none
    sorted_nights = pa.array(sorted(tables.nights(spec.name, "cases")), pa.string())
    arrivals = arrivals.filter(pc.is_in(arrivals[NIGHT], value_set=sorted_nights))
    dropped = len(arrivals) - sum(len(table) for table in kept if table is not None)
    cell, again = spec.outcome_cell, repeated(arrivals)
    if cell is None or not len(again):
        return dropped, 0
    nights = again[NIGHT].to_pylist()
    rows = tables.read_span(spec.name, "arrivals", min(nights), shifted(max(nights), 1), [NIGHT, "row_sha256", "raw"])
    return dropped, 0 if rows is None else contradicting(repeated(rows), cell)


def report_results(spec: WorkflowSpec, found: Results) -> None:
    if not found.cases and not found.other_spec:
        paragraph(
            f"{spec.name}: {found.undecided_outcomes:,} cases are decided and no outcome of them is known yet, so "
            "there is nothing to compare. Outcomes become known with later nights: run those, and ask again.",
            indent="",
        )
        return
    if found.duplicates:
        contrary = f", {found.duplicates_contradicting:,} of them with another outcome than the row that was kept"
        say(f"{found.duplicates:,} exact duplicates were dropped{contrary * bool(found.duplicates_contradicting)}.")
    say(f"{found.cases:,} decided cases of {spec.name} with a known outcome ({found.undecided_outcomes:,} without).")
    if found.immature_cases:
        paragraph(
            f"{found.immature_cases:,} of them lie in {found.immature_nights:,} immature nights, of whose outcomes "
            f"less than {found.mature_share:.0%} are known: what comes late is missing there, and the figures may "
            f"still move (`pipeline outcomes {spec.name}`).",
            indent="",
        )
    right = f" Right among the others: {found.right_alone:.2%}." if found.to_people < found.cases else ""
    answered = found.to_people - found.unanswered
    answers = f" Right among the {answered:,} answers: {found.right_answered:.2%}." if answered else ""
    say(f"To people: {found.to_people:,} ({found.share_to_people:.1%}).{right}{answers}")
    if found.unanswered:
        paragraph(
            f"{found.unanswered:,} of those asked about are unanswered, so nothing has come of them: they are in none "
            "of the costs below.",
            indent="",
        )
    if found.other_spec:
        paragraph(
            f"{found.other_spec:,} more were decided, or turned out, in options or labels that the spec no longer has; "
            "today's costs say nothing of them.",
            indent="",
        )
    say()
    say(f"| policy | cost, {spec.currency} | 95 % interval over customers | against the best simple policy |")
    say("|---|---:|---:|---:|")
    for cost in found.costs:
        say(f"| {cost.policy} | {cost.total:,.2f} | {cost.low:,.2f} to {cost.high:,.2f} | {cost.against_best:+.3%} |")
    say()
    say("| probabilities | |")
    say("|---|---:|")
    for name, value in found.quality.items():
        say(f"| {name} | {value:.4f} |")
