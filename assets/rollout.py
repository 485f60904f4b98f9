"""What a model that decides is held to: the other model's word beside it, and the watch over both."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
import numpy as np
import pyarrow as pa

from assets.common import from_tonight, gpu_pool, key, night_asset, rows
from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.core.expressions import names_in
from pipeline_project.domain.core.named_values import in_order_of
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.core.stored_tables import StoredTable
from pipeline_project.domain.lifecycle.rollout.checking import (
    BreachResponse,
    RolloutCheck,
    check_promise,
    checks_of_comparison,
)
from pipeline_project.domain.lifecycle.rollout.comparing import compare_rollout
from pipeline_project.domain.lifecycle.rollout.judgeable import LOOKED_AT, Streams, streams
from pipeline_project.domain.lifecycle.rollout.stages import Watched
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.partitions import nights, window
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import RolloutMonitoring
from pipeline_project.ports.registry import Registry
from pipeline_project.services.as_of import mature_decided
from pipeline_project.services.night_scoring import NightScorer, challenged
from pipeline_project.spec import WorkflowSpec

CHECK = "keeps_its_promise"


def build_shadow_scores(spec: WorkflowSpec, device: str = CPU) -> dg.AssetsDefinition:
    """What the model that does not decide makes of each case, while a challenger is being rolled out; no effect.

    Args:
        device: where models score, as `core.devices` takes it.
    """

    @dg.asset(
        key=key(spec, "shadow_scores"),
        ins=from_tonight(spec, "scores"),
        pool=gpu_pool(device),
        **night_asset(spec, {"deltalake", "mlflow"}),
    )
    def shadow_scores(
        context: dg.AssetExecutionContext,
        scores: StoredTable,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        registry: dg.ResourceParam[Registry],
        live: dg.ResourceParam[RolloutMonitoring],
    ) -> dg.MaterializeResult[pa.Table]:
        """The challenger's word on the champion's cases, and the champion's on the challenger's; none without both."""
        night = window(spec, context.partition_key)
        models = None if spec.warms_up(night.night) else live.night_models(spec.name, night.night)
        tables = [SCORES.empty_table()]
        if models is not None and models.champion is not None and models.challenger is not None:
            tonight = NightScorer(spec, lake, ledger, registry, night, device)
            decided_by = dict(
                zip(scores.rows[CASE_ID].to_pylist(), scores.rows["model_version"].to_pylist(), strict=True)
            )
            theirs = np.array([decided_by.get(case) == models.challenger.version for case in tonight.ids], dtype=bool)
            if not theirs.all():
                tables.append(challenged(context, tonight, models.challenger, ~theirs) or SCORES.empty_table())
            if theirs.any():
                try:
                    tables.append(tonight.by(models.champion, theirs))
                except ModelUnavailable as error:
                    # the cases are decided; without the champion's word on them they are not compared
                    context.log.warning("champion %s cannot be used: %s", models.champion.version, error)
        table = pa.concat_tables(tables)
        return dg.MaterializeResult(
            value=table,
            metadata={
                "rows": rows(table),
                "stage": "none" if models is None else str(models.stage.kind),
                "share": 0.0 if models is None else models.stage.share,
            },
        )

    return shadow_scores


def build_live_check(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Holds whoever decides to what was promised, as known by the end of the night; a breach turns back by itself."""
    asset = key(spec, "live_check")

    @dg.asset(
        key=asset,
        deps=[key(spec, asset_name) for asset_name in ("cases", "decisions", "outcomes", "shadow_scores")],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=asset,
                description="The error of decisions made without people is what was promised; a challenger is no worse "
                "than the champion. A breach does not stop the night: it changes who decides the next one.",
                partitions_def=nights(spec),
            )
        ],
        **night_asset(spec, {"postgres"}),
    )
    def live_check(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        live: dg.ResourceParam[RolloutMonitoring],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Each version that decided tonight, on every decision of its own whose truth is known by now."""
        night = context.partition_key
        watched = () if spec.warms_up(night) else live.watched(spec.name, night)
        messages: list[str] = []
        checks: list[RolloutCheck] = []
        for model in watched:
            new_checks, new_messages = _look(spec, lake, ledger, live, model, night)
            checks += new_checks
            messages += new_messages
        live.record_checks(spec.name, night, checks)
        for message in messages:
            context.log.error("%s", message)
        yield dg.MaterializeResult(
            metadata={
                "watched": [model.version for model in watched],
                **{f"{c.kind}_of_{c.version}": dg.MetadataValue.md(_line(c)) for c in checks},
            }
        )
        yield dg.AssetCheckResult(
            asset_key=asset,
            check_name=CHECK,
            passed=not any(check.breached for check in checks),
            severity=dg.AssetCheckSeverity.ERROR,
            description="; ".join(messages) or "; ".join(_line(check) for check in checks) or "nobody decides",
        )

    return live_check


def _look(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, live: RolloutMonitoring, watched: Watched, night: str
) -> tuple[list[RolloutCheck], list[str]]:
    """What was seen of a version by a night, and what followed from it in words."""
    terms = spec.rollout
    truth = _truth(spec, lake, ledger, watched.since, night)
    if truth is None:
        return [], []
    checks = [check_promise(truth, spec.cost_matrix.options, watched, terms.alpha)]
    if watched.rolling and watched.base is not None:
        sides = _both_words(lake, ledger, spec, watched, night)
        compared = compare_rollout(truth, sides[watched.base], sides[watched.version], spec.policy_terms, terms.alpha)
        checks += checks_of_comparison(watched.version, compared, terms.alpha)
    broken = [check for check in checks if check.breached]
    if not broken:
        return checks, []
    why = f"version {watched.version}, as known by {night}: " + "; ".join(_line(check) for check in broken)
    return checks, [
        _withdrawn(spec, ledger, live, watched, night, why)
        if watched.rolling
        else _turned_back(spec, ledger, live, watched, night, why)
    ]


def _truth(spec: WorkflowSpec, lake: Lake, ledger: Ledger, since: str, night: str) -> Streams | None:
    """Decisions from `since` on whose truth is known by the end of the night; None while nothing was decided."""
    after = shifted(night, 1)
    decisions = lake.read_span(spec.name, "decisions", since, after, LOOKED_AT)
    if decisions is None or not decisions.num_rows:
        return None
    cases = lake.read_span(spec.name, "cases", since, after, _needed(spec))
    assert cases is not None, "decided cases were admitted"
    outcomes = ledger.outcomes_known(spec.name, window(spec, night).end)
    mature = mature_decided(spec, lake, ledger, since, after, window(spec, night).end)
    return streams(decisions, cases, outcomes, spec.cost_matrix, mature, not spec.outcome.learned_after)


def _needed(spec: WorkflowSpec) -> list[str]:
    cells = [cell for row in spec.cost_matrix.cells for cell in row if isinstance(cell, str)]
    return list(dict.fromkeys([NIGHT, CASE_ID, *(name for cell in cells for name in sorted(names_in(cell)))]))


def _both_words(
    lake: Lake, ledger: Ledger, spec: WorkflowSpec, watched: Watched, night: str
) -> dict[str, Mapping[str, Sequence[float] | None]]:
    """Probabilities by case of the challenger and of the champion, whoever of them decided it; of today's labels."""
    sides: dict[str, dict[str, Sequence[float] | None]] = {str(watched.base): {}, watched.version: {}}
    labels = ledger.labels_of_models(spec.name, sides)
    for asset_name in ("scores", "shadow_scores"):
        table = lake.read_span(
            spec.name, asset_name, watched.since, shifted(night, 1), [CASE_ID, "model_version", "probabilities"]
        )
        for row in [] if table is None else table.to_pylist():
            if row["model_version"] in sides:
                then = labels.get(row["model_version"], spec.labels)
                sides[row["model_version"]][row[CASE_ID]] = in_order_of(row["probabilities"], then, spec.labels)
    return dict(sides)


def _withdrawn(
    spec: WorkflowSpec, ledger: Ledger, live: RolloutMonitoring, watched: Watched, night: str, why: str
) -> str:
    """A challenger that is worse, or breaks its promise, goes no further."""
    message = f"{why}; it decides nothing from {shifted(night, 1)} on"
    command = f"pipeline models {spec.name}"
    ledger.raise_alert(
        spec.name, "challenger_withdrawn", f"withdrawn/{watched.version}", message, spec.owners[0], command
    )
    live.withdraw(spec.name, watched.version, shifted(night, 1), why)
    return message


def _turned_back(
    spec: WorkflowSpec, ledger: Ledger, live: RolloutMonitoring, watched: Watched, night: str, why: str
) -> str:
    """A champion that breaks its promise decides no more; answered once, told by every night that sees it."""
    if live.breach_answered(spec.name, watched):
        return f"{why}; this was answered"
    command = f"pipeline recall {spec.name} --model {watched.version} --dry-run"
    # before the answer: a run that dies between the two tells it again, rather than never
    ledger.raise_alert(
        spec.name, "promise_broken", f"breach/{watched.version}/{watched.since}", why, spec.owners[0], command
    )
    made = live.answer_breach(spec.name, watched, night, spec.rollout, why)
    return why if made is None else f"{why}; {_answer(made)}"


def _answer(made: BreachResponse) -> str:
    who = "people decide everything" if made.to is None else f"version {made.to} decides"
    return f"{who} from {made.from_night} on, and {made.held} actions that were not sent are held"


def _line(check: RolloutCheck) -> str:
    if check.kind == "promise":
        promised = "nothing was promised" if check.promised_error is None else f"promised {check.promised_error:.2%}"
        seen = f"{check.errors} of {check.seen} judged decisions were wrong ({check.low:.2%} to {check.high:.2%})"
        return f"{seen}; {promised}; evidence {check.e_value:.3g}"
    what = "costs more" if check.kind == "money" else "errs more"
    difference = f"beside the champion on {check.seen} cases, {check.low:+.4g} per case"
    return f"{difference}; evidence that it {what}: {check.e_value:.3g}"
