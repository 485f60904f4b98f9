"""A challenger's replay, the gates over it, and the proposal that a person may sign."""

from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from assets.common import key, night_asset
from assets.replaying import replay_challenger
from pipeline_project.domain.core.errors import ModelUnavailable, PipelineError
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.lifecycle.gates import GATES, GateVerdict, judge_gates
from pipeline_project.domain.lifecycle.proposing import ModelProposal, proposal
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.domain.models.training import TrainedModel
from pipeline_project.partitions import nights
from pipeline_project.ports.compute import Compute
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import Promotions
from pipeline_project.ports.registry import Registry
from pipeline_project.spec import WorkflowSpec

Judged = tuple[ModelProposal, ModelVersion]


def build_promotion(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """What each challenger of a night showed on past nights; every gate is a check."""
    asset = key(spec, "promotion")

    @dg.asset(
        key=asset,
        deps=[key(spec, "challenger"), key(spec, "champion")],
        check_specs=[
            dg.AssetCheckSpec(f"gate_{name}", asset=asset, description=gate.asks, partitions_def=nights(spec))
            for name, gate in GATES.items()
        ],
        **night_asset(spec, {"postgres"}),
    )
    def promotion(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        registry: dg.ResourceParam[Registry],
        promotions: dg.ResourceParam[Promotions],
        compute: dg.ResourceParam[Compute],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Replays tonight's challengers beside the champion and proposes what every gate lets through."""
        night = context.partition_key
        base = ledger.champion(spec.name, night)
        versions = [v for v in reversed(registry.trained(spec.name, night)) if base and v.version != base.version]

        def replayed(version: ModelVersion) -> ReplayResult:
            return replay_challenger(spec, lake, ledger, registry, version, night, compute.workers(spec))

        judged = [_judged(context, spec, registry, replayed, v, base) for v in versions if base]
        numbers = promotions.propose(judged) if judged else []
        yield dg.MaterializeResult(
            metadata={
                "challengers": len(judged),
                "proposed": [n for n, (made, _) in zip(numbers, judged, strict=True) if made.passed],
                "verdicts": dg.MetadataValue.md(_table([made for made, _ in judged])),
            }
        )
        yield from _checks(asset, [made for made, _ in judged])

    return promotion


def _judged(
    context: dg.AssetExecutionContext,
    spec: WorkflowSpec,
    registry: Registry,
    replayed: Callable[[ModelVersion], ReplayResult],
    version: ModelVersion,
    base: ModelVersion,
) -> Judged:
    problem = _artifact_problem(registry, version, base)
    result: ReplayResult | None = None
    if problem is None:
        try:
            result = replayed(version)
        except PipelineError as error:
            # what cannot be replayed cannot be judged: the gates say so, and the training has not failed
            context.log.warning("version %s cannot be replayed: %s", version.version, error)
    verdicts = judge_gates(result, spec.gates, problem)
    return proposal(version, base, spec.spec_hash, verdicts, result, registry.card(version)), version


def _artifact_problem(registry: Registry, version: ModelVersion, base: ModelVersion) -> str | None:
    """What is wrong with a challenger's files, or None."""
    if version.night < base.night:
        return f"trained on {version.night}, before the champion ({base.night})"
    try:
        TrainedModel.from_files(registry.load(version))
    except ModelUnavailable as error:
        return str(error)
    return None


def _checks(asset: dg.AssetKey, proposals: Sequence[ModelProposal]) -> Iterator[dg.AssetCheckResult]:
    """Each gate over all challengers of the night; a night without any has nothing to stop."""
    for name in GATES:
        verdicts = {p.version: GateVerdict(**gate) for p in proposals for gate in p.gates if gate["name"] == name}
        yield dg.AssetCheckResult(
            asset_key=asset,
            check_name=f"gate_{name}",
            passed=all(verdict.passed for verdict in verdicts.values()),
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(f"version {v}: {verdict.detail}" for v, verdict in verdicts.items())
            or "no challenger was to be judged on this night",
            metadata={
                f"{figure}_of_version_{v}": float(value)
                for v, verdict in verdicts.items()
                for figure, value in verdict.figures.items()
            },
        )


def _table(proposals: Sequence[ModelProposal]) -> str:
    lines = [
        f"| {p.version} | {gate['name']} | {'passed' if gate['passed'] else 'not passed'} | {gate['detail']} |"
        for p in proposals
        for gate in p.gates
    ]
    return (
        "\n".join(["| version | gate | verdict | what was found |", "|---|---|---|---|", *lines]) if lines else "none"
    )
