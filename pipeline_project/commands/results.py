"""`pipeline results`: what the decisions cost against the simplest policies; the tables of docs/results.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.sample import SAMPLED
from pipeline_project.commands.shared.alerts import alerts_of, report_alerts
from pipeline_project.commands.shared.app_context import lake, prepare, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, paragraph, say
from pipeline_project.commands.shared.options import PerNight, Seed, Workflow, command_app, example
from pipeline_project.domain.core.nights import day_of

if TYPE_CHECKING:
    from pipeline_project.domain.reporting.best_possible import AgainstTruth
    from pipeline_project.domain.reporting.results import Results
    from pipeline_project.spec import WorkflowSpec

app = command_app()


@app.command(
    epilog=example(
        "pipeline results returns", "pipeline results returns --against-truth", "pipeline results order_returns"
    ),
)
def results(
    workflow: Workflow,
    against_truth: Annotated[
        bool,
        typer.Option("--against-truth", help="Of the sample: beside the best that could have been decided."),
    ] = False,
    per_night: PerNight = 80,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """What the decisions of a workflow cost against the simplest policies, and how good its probabilities are.

    The sample's claims were made by rules, so for them it can also be said how much a decision could know at the most:
    --against-truth, with the --per-night and --seed that `pipeline demo` or `pipeline sample` was given.
    """
    if against_truth:
        raise typer.Exit(show_against_truth(workflow, per_night, seed, as_json))
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


def show_against_truth(name: str, per_night: int, seed: int, as_json: bool) -> int:
    """Prints what was decided of the sample's claims beside what the same rule decides by their true chances."""
    from pipeline_project.domain.core.schema import CASE_ID, NIGHT
    from pipeline_project.domain.reporting.best_possible import against_truth
    from pipeline_project.sample.claims import claims_of
    from pipeline_project.sample.posterior import posterior
    from pipeline_project.services.as_of import matured_seen
    from pipeline_project.services.results import EVER

    if name != SAMPLED:
        complain(f"of {name} nobody knows the true chances; only the sample's claims ({SAMPLED}) were made by rules")
        return Exit.WRONG_CALL
    spec, context = workflow(name), prepare()
    tables = lake(context.settings)
    matured = matured_seen(spec, tables, context.ledger, spec.nights.first_decided, EVER, context.ledger.now())
    if matured is None or not len(matured.decisions):
        complain(f"no outcome of a decided case of {name} is known yet; run `pipeline nights {name}`")
        return Exit.NOT_FOUND
    nights = sorted(set(matured.decisions[NIGHT]))
    claims = {claim.claim_id: claim for night in nights for claim in claims_of(seed, per_night, day_of(night))}
    decided = [claims[case] for case in matured.decisions[CASE_ID] if case in claims]
    if not decided:
        complain(
            f"none of the decided cases is a claim of the sample with --seed {seed} and --per-night {per_night}; give "
            "both as the sample was made"
        )
        return Exit.WRONG_CALL
    chances = {
        claim.claim_id: [by_label[label] for label in spec.labels]
        for claim in decided
        for by_label in (posterior(claim),)
    }
    truth = {claim.claim_id: claim.label for claim in decided}
    judged = against_truth(matured, chances, truth, spec.cost_matrix, spec.policy_terms)
    if as_json:
        emit(asdict(judged))
    else:
        report_against_truth(spec, judged)
    return Exit.DONE


def report_against_truth(spec: WorkflowSpec, judged: AgainstTruth) -> None:
    """The table, and what its second row means."""
    others = f"; of {judged.unknown:,} more the true chances are not known" if judged.unknown else ""
    say(f"{judged.cases:,} decided claims{others}. Every question counts as rightly answered.")
    say()
    say(f"| policy | cost, {spec.currency} | a case | 95 % interval | to people | wrong among the rest |")
    say("|---|---:|---:|---:|---:|---:|")
    for policy in judged.policies:
        a_case, asked = policy.a_case, policy.asked / judged.cases
        wrong = "" if policy.asked == judged.cases else f"{policy.wrong:.1%}"
        interval = f"{a_case.low:.2f} to {a_case.high:.2f}"
        say(f"| {policy.policy} | {policy.total:,.0f} | {a_case.value:.2f} | {interval} | {asked:.1%} | {wrong} |")
    say()
    paragraph(
        f"The distance to the best possible: {judged.distance:+.1%}. The best possible decides by the same costs and "
        "places with the chances by which the claims were made: it reads words and photos without a mistake and knows "
        "each customer's temper, which others have to learn from the past.",
        indent="",
    )


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
