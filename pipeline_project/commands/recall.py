"""`pipeline recall`: what a model, a policy or a night decided, decided again, and taken back where it can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import AppContext, prepare, workflow
from pipeline_project.commands.shared.app_context import lake as open_lake
from pipeline_project.commands.shared.asked_nights import night_asked
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say, table
from pipeline_project.commands.shared.identity import shell_user
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
    night_option,
)
from pipeline_project.domain.core.errors import ModelUnavailable, RecallRefused
from pipeline_project.domain.lifecycle.recall.effects import Again, Data, Kind, Touched, beside, spans
from pipeline_project.domain.vectors.modalities import MODALITIES

if TYPE_CHECKING:
    from pipeline_project.domain.core.model_version import ModelVersion
    from pipeline_project.spec import WorkflowSpec
    from resources.ledger.rollout.recalls import RecallResult

LISTED = 20
#: The word for the night's data as they are now, in the place of a file.
REPAIRED = "repaired"

app = command_app()


@app.command(
    epilog=example(
        "pipeline recall returns --model 7",
        "pipeline recall returns --night 2025-03-01 --data repaired",
        'pipeline recall returns --model 7 --apply --reason "bad data"',
    ),
)
def recall(
    workflow: Workflow,
    model: Annotated[str | None, typer.Option(metavar="VERSION", help="Decisions made with this model.")] = None,
    policy: Annotated[
        str | None, typer.Option(metavar="HASH", help="Decisions made under the spec with this hash.")
    ] = None,
    night: Annotated[str | None, night_option("Decisions of this night.", "--night")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="repaired|FILE",
            help="With --night: decide on the night's data as they are now, repairs included, or on a file of "
            "corrected rows, instead of the data it was decided on.",
        ),
    ] = None,
    apply: Annotated[
        bool,
        typer.Option("--apply/--dry-run", help="Take back what would be decided otherwise, or change nothing."),
    ] = False,
    reason: Annotated[str, typer.Option(metavar="WORDS", help="Why; needed with --apply.")] = "",
    as_json: AsJson = False,
) -> None:
    """Lists every decision touched, decided again by the model that decides now.

    With --apply the actions of those that would be decided otherwise are taken back, once: what has not left is
    cancelled, what has is compensated, and what cannot be undone is named. Without --data a night of bad data is
    decided on the same bad data again.
    """
    if sum(selector is not None for selector in (model, policy, night)) != 1:
        raise typer.BadParameter("give one of --model, --policy and --night")
    if data is not None and night is None:
        raise typer.BadParameter("--data goes with --night: it is one night's data that are corrected")
    if model is not None:
        code = run_recall(workflow, "model", model, apply, reason, as_json)
    elif policy is not None:
        code = run_recall(workflow, "policy", policy, apply, reason, as_json)
    else:
        code = run_recall(workflow, "night", night or "", apply, reason, as_json, data)
    raise typer.Exit(code)


def run_recall(
    name: str, kind: Kind, named: str, apply: bool, reason: str, as_json: bool, data: str | None = None
) -> int:
    """Lists what is touched and what would be decided now; with `apply` takes back what would be decided otherwise.

    Args:
        data: of a night: `repaired` for its data as they are now, repairs included, or a file of corrected rows; None
            for the data on which it was decided.

    Raises:
        RecallRefused: nothing is touched, nobody decides now, the model that is recalled still does, or the corrected
            data are no other, or no good.
    """
    from resources.ledger.rollout.recalls import RecallRequest, RecallResult

    spec, context = workflow(name), prepare()
    recalls = context.stores.recalls
    if apply and not reason.strip():
        raise RecallRefused("say why with --reason: it stands beside every decision that is taken back")
    named = recalls.policy_hash(name, named) if kind == "policy" else named
    named = night_asked(spec, named) or "" if kind == "night" else named
    touched = recalls.touched(name, kind, named)
    if not touched:
        raise RecallRefused(f"no decision of {name} that stands was made by {kind} {named}; nothing was changed")
    champion = _champion(context, name, kind, named)
    if data is None:
        again = _decided_again(spec, context, champion, touched)
    else:
        again = _on_corrected_data(spec, context, champion, touched, named, data)
    flipped = [case for case in again if case.flips and not case.touched.recalled]
    done = RecallResult()
    if apply:
        on: Data = "decided" if data is None else "repaired"
        done = recalls.apply(RecallRequest(name, kind, named, reason, shell_user(), on), flipped, spec.action_terms)
    if apply and kind == "model":
        _close_alerts(context, name, named)
    if as_json:
        emit(_document(champion.version, again, flipped, apply, done))
    else:
        _report(spec, kind, named, champion.version, again, flipped, apply, done)
    return Exit.DONE


def _close_alerts(context: AppContext, name: str, version: str) -> None:
    """The breach of a version is dealt with once its decisions were recalled."""
    for alert in context.ledger.open_alerts():
        if alert.workflow == name and alert.key.startswith(f"breach/{version}/"):
            context.ledger.close_alert(name, alert.key)


def _champion(context: AppContext, name: str, kind: Kind, named: str) -> ModelVersion:
    """The model that decides the next night."""
    champion = context.ledger.champion(name, context.stores.turning.next_night(name))
    if champion is None:
        raise RecallRefused(f"no model of {name} decides now, so nothing can be decided again; train one first")
    if kind == "model" and champion.version == named:
        raise RecallRefused(
            f"version {named} still decides; go back first with pipeline rollback {name} --reason WORDS, then recall it"
        )
    return champion


def _decided_again(
    spec: WorkflowSpec, context: AppContext, champion: ModelVersion, touched: Sequence[Touched]
) -> list[Again]:
    """Whole nights, because the places of people are a night's; as the cases were when they were decided."""
    from pipeline_project.container.night import open_registry
    from pipeline_project.domain.core.schema import CASE_ID
    from pipeline_project.domain.lifecycle.replay.decide import decide_again
    from pipeline_project.domain.models.trained import TrainedModel
    from pipeline_project.services.past_nights import gather, policy_in

    model = TrainedModel.from_files(open_registry(context.settings).load(champion))
    if model.labels != spec.labels:
        raise ModelUnavailable("the champion was trained for other labels than the workflow has; train one for them")
    lake = open_lake(context.settings)
    would_be: dict[str, str] = {}
    for first, last in spans([decision.night for decision in touched]):
        past = gather(spec, lake, context.ledger, first, last)
        decided = decide_again(past, policy_in(spec), spec.feature_plan, model, champion.version)
        would_be |= zip(past.cases[CASE_ID].to_pylist(), decided.option, strict=True)
    return beside(touched, would_be)


def _on_corrected_data(
    spec: WorkflowSpec, context: AppContext, champion: ModelVersion, touched: Sequence[Touched], night: str, data: str
) -> list[Again]:
    """The night decided again on its data as they are now, or with the rows of a file in their place."""
    from pipeline_project.container.night import open_registry
    from pipeline_project.container.privacy import open_sealed_lake
    from pipeline_project.domain.core.nights import shifted
    from pipeline_project.domain.core.schema import CASE_ID
    from pipeline_project.domain.lifecycle.recall.corrected import beside_corrected, differing, overlaid, with_cases
    from pipeline_project.domain.lifecycle.replay.decide import decide_again
    from pipeline_project.domain.models.trained import TrainedModel
    from pipeline_project.operations.corrections import corrected_rows
    from pipeline_project.services.past_nights import gather, policy_in

    model = TrainedModel.from_files(open_registry(context.settings).load(champion))
    if model.labels != spec.labels:
        raise ModelUnavailable("the champion was trained for other labels than the workflow has; train one for them")
    lake = open_sealed_lake(context.settings)
    past = gather(spec, lake, context.ledger, night, night)
    newest = lake.read_night(spec.name, "cases", night)
    if newest is None:
        raise RecallRefused(f"the lake has no cases of {night}; run pipeline nights {spec.name} --from {night}")
    given = corrected_rows(spec, context.settings, lake, night, None if data == REPAIRED else Path(data))
    cases = overlaid(newest, given)
    again = f"pipeline nights {spec.name} --from {night} --to {night} --again"
    if not differing(past, cases):
        raise RecallRefused(
            f"no decided case of {night} says anything else than when it was decided; give the corrected rows with "
            f"--data FILE, or correct the source and run {again}"
        )
    seen = {
        field.name for field in spec.case_schema.of_type(*(modality.field_type for modality in MODALITIES.values()))
    }
    if spec.encodes and given is not None and differing(replace(past, cases=newest), cases, seen):
        raise RecallRefused(
            f"the corrected rows change texts or photos, which have no vectors yet; correct the source, run {again}, "
            f"and recall with --data {REPAIRED}"
        )
    embeddings = lake.read_span(spec.name, "embeddings", night, shifted(night, 1)) if spec.encodes else None
    now = with_cases(past, cases, embeddings)
    decided = decide_again(now, policy_in(spec), spec.feature_plan, model, champion.version)
    would_be = dict(zip(now.cases[CASE_ID].to_pylist(), decided.option, strict=True))
    return beside_corrected(touched, would_be, past.cases, now.cases, spec.action_terms)


def _document(
    champion: str, again: Sequence[Again], flipped: Sequence[Again], apply: bool, done: RecallResult
) -> dict[str, Any]:
    return {
        "decided_again_by": champion,
        "touched": len(again),
        "recalled_before": sum(case.touched.recalled for case in again),
        "applied": apply,
        "taken_back": done.decisions,
        "cancelled": done.cancelled,
        "compensations": done.compensations,
        "cannot_be_undone": list(done.for_good),
        "for_people": [case.touched.case_id for case in flipped],
        "decisions": [{**vars(case.touched), "would_be": case.would_be, "flips": case.flips} for case in again],
    }


def _report(
    spec: WorkflowSpec,
    kind: Kind,
    named: str,
    champion: str,
    again: Sequence[Again],
    flipped: Sequence[Again],
    apply: bool,
    done: RecallResult,
) -> None:
    before = sum(case.touched.recalled for case in again)
    say(f"{len(again):,} decisions of {spec.name} were made by {kind} {named}; {before:,} were recalled before.")
    say(f"Version {champion} would decide {len(flipped):,} of the others otherwise.")
    ways = Counter((case.touched.option, case.would_be) for case in flipped)
    if ways:
        table(
            "", ("was", "would be", "cases"), [(a, b, f"{n:,}") for (a, b), n in ways.most_common()], right=("cases",)
        )
        rows = [(e.touched.case_id, e.touched.night, e.touched.option, e.would_be) for e in flipped[:LISTED]]
        table("The first of them; --json has them all", ("case", "night", "was", "would be"), rows)
    if not apply:
        say("Nothing was changed; --apply takes back the actions of these, and never more than once.")
        return
    say(
        f"{done.decisions:,} were taken back: {done.cancelled:,} actions that had not left were cancelled, "
        f"{done.compensations:,} that had are compensated by new ones."
    )
    if done.for_good:
        complain(
            f"of {len(done.for_good):,} cases an action has left that cannot be undone; people must see to them: "
            + ", ".join(done.for_good[:LISTED])
        )
