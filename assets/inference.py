"""What the models make of a case: vectors, then calibrated probabilities with reasons."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pyarrow as pa

from assets.common import GPU, from_tonight, gpu_pool, key, night_asset, rows, since
from assets.contract_checks import build_contract_checks
from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import ComputeExhausted, ModelUnavailable
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.core.stored_tables import NotedTable, StoredTable
from pipeline_project.domain.deciding.decisions import unscored
from pipeline_project.domain.lifecycle.rollout.stages import NightModels
from pipeline_project.domain.vectors.modalities import MODALITIES, encoder_asked, file_modalities
from pipeline_project.partitions import window
from pipeline_project.ports.compute import Compute
from pipeline_project.ports.encoders import Encoders
from pipeline_project.ports.lake import Lake, VectorStore
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import RolloutMonitoring
from pipeline_project.ports.registry import Registry
from pipeline_project.ports.sources import Sources
from pipeline_project.services.aggregating import AGGREGATES
from pipeline_project.services.embedding import embed_named, embed_texts, embeddings_table, named_files
from pipeline_project.services.night_scoring import NightScorer, canary_share, challenged, merged
from pipeline_project.spec import WorkflowSpec

#: Under this the lake keeps beside a night's vectors how many contents were encoded for it, and how many reused.
ENCODING = "encoding"
#: One alert per workflow: a worker has too little memory for one content.
MEMORY_ALERT = "encoding/memory"


def build_embeddings(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """One vector per admitted case and kind, computed in batches on the GPU pool."""
    encoders_named = "+".join(encoder_asked(terms) for terms in spec.encoders.values())

    @dg.asset(
        key=key(spec, "embeddings"),
        ins=from_tonight(spec, "cases"),
        pool=GPU,
        **night_asset(spec, {"deltalake", "pytorch"}, code_version=encoders_named),
    )
    def embeddings(
        context: dg.AssetExecutionContext,
        cases: StoredTable,
        encoders: dg.ResourceParam[Encoders],
        sources: dg.ResourceParam[Sources],
        vectors: dg.ResourceParam[VectorStore],
        ledger: dg.ResourceParam[Ledger],
        compute: dg.ResourceParam[Compute],
    ) -> dg.MaterializeResult[NotedTable]:
        """Unit-length vectors aligned with the cases; a content met before is not encoded again."""
        with _memory_alert(spec, context.partition_key, ledger, compute):
            made, landed = embed_texts(spec, cases.rows, encoders, vectors), {}
            if spec.reads_files:
                named, source = named_files(spec, cases.rows), sources.photos(spec)
                # looked at before they are read: what changes in between is late, and read again
                landed = since(
                    context, source.stamp(path for paths in named.values() for case in paths for path in case)
                )
                made |= embed_named(spec, named, source, encoders, vectors)
        table = embeddings_table(context.partition_key, cases.rows[CASE_ID].to_pylist(), made)
        plurals = {MODALITIES[name].plural: embedded for name, embedded in made.items()}
        work = {plural: (embedded.encoded, embedded.reused) for plural, embedded in plurals.items()}
        return dg.MaterializeResult(
            value=NotedTable(table, {ENCODING: json.dumps(work)}),
            metadata={
                "rows": rows(table),
                **{f"{plural}_encoded": embedded.encoded for plural, embedded in plurals.items()},
                **{f"{plural}_reused": embedded.reused for plural, embedded in plurals.items()},
                **{
                    f"{modality.plural}_failed": len(table) - table[modality.problem_column].null_count
                    for modality in file_modalities()
                },
                **landed,
            },
        )

    return embeddings


@contextmanager
def _memory_alert(spec: WorkflowSpec, night: str, ledger: Ledger, compute: Compute) -> Iterator[None]:
    """Tells people where not even a single content fits into a worker's memory; a night that goes through ends it."""
    try:
        yield
    except ComputeExhausted as error:
        command = f"pipeline nights {spec.name} --from {night} --to {night}"
        ledger.raise_alert(spec.name, "out_of_memory", MEMORY_ALERT, str(error), spec.owners[0], command)
        raise
    if compute.on_cluster(spec):
        ledger.close_alert(spec.name, MEMORY_ALERT)


def build_scores(spec: WorkflowSpec, device: str = CPU) -> dg.AssetsDefinition:
    """Calibrated probabilities and reasons from the model that decides; of a canary's share that is the challenger.

    Args:
        device: where models score, as `core.devices` takes it.
    """
    asset_names = ["cases", *(["embeddings"] if spec.encodes else []), *(["clusters"] if spec.clusters else [])]
    asset_names += [AGGREGATES] * spec.aggregates

    @dg.asset(
        key=key(spec, "scores"),
        deps=[key(spec, asset_name) for asset_name in (*asset_names, "champion")],
        pool=gpu_pool(device),
        **night_asset(spec, {"deltalake", "mlflow"}),
    )
    def scores(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        registry: dg.ResourceParam[Registry],
        live: dg.ResourceParam[RolloutMonitoring],
    ) -> dg.MaterializeResult[pa.Table]:
        """One row per case; without a model that can be loaded every case says why and goes to a person."""
        night = window(spec, context.partition_key)
        tonight = NightScorer(spec, lake, ledger, registry, night, device)
        models = NightModels(None) if spec.warms_up(night.night) else live.night_models(spec.name, night.night)
        if models.to_complete:
            live.complete_rollout(spec.name, night.night)
        if models.closed is not None:
            context.log.warning("the policy is closed (%s); every case goes to a person", models.closed)
            return _scored(unscored(night.night, tonight.ids, Reason.POLICY_CLOSED))
        champion = models.champion
        if champion is None:
            context.log.warning("no model was champion on %s; every case goes to a person", night.night)
            return _scored(unscored(night.night, tonight.ids, Reason.NO_MODEL))
        try:
            table = tonight.by(champion)
            ledger.close_alert(spec.name, f"model/{champion.version}")
        except ModelUnavailable as error:
            context.log.error("model %s cannot be used: %s; every case goes to a person", champion.version, error)
            command = f"pipeline nights {spec.name} --from {night.night} --to {night.night} --retrain"
            ledger.raise_alert(
                spec.name, "model_unavailable", f"model/{champion.version}", str(error), spec.owners[0], command
            )
            return _scored(unscored(night.night, tonight.ids, "model_unavailable"))
        share = canary_share(models, spec.name, tonight.ids)
        if models.challenger is not None and share.any():
            theirs = challenged(context, tonight, models.challenger, share)
            table = table if theirs is None else merged(tonight.ids, table, theirs)
        return _scored(table)

    return scores


def _scored(table: pa.Table) -> dg.MaterializeResult[pa.Table]:
    problems = [problem for problem in table["problem"].to_pylist() if problem]
    return dg.MaterializeResult(
        value=table,
        metadata={
            "rows": rows(table),
            "without_a_score": len(problems),
            "problems": {problem: problems.count(problem) for problem in sorted(set(problems))},
            "model_version": ", ".join(sorted(set(filter(None, table["model_version"].to_pylist())))) or "none",
        },
    )


def build_inference_checks(spec: WorkflowSpec) -> list[dg.AssetChecksDefinition]:
    """What inference wrote must hold before the night is decided on it."""
    checks = [build_contract_checks(spec, "scores", lambda contracts, cases, night: contracts.scores(spec))]
    if spec.encodes:
        checks.append(
            build_contract_checks(spec, "embeddings", lambda contracts, cases, night: contracts.embeddings(spec))
        )
    return checks
