"""What the models make of a case: vectors, then calibrated probabilities with reasons."""

import dagster as dg
import pyarrow as pa

from assets.common import from_tonight, key, night_asset, rows
from assets.contract_checks import build_contract_checks
from assets.doors import Encoders, Sources
from assets.knowledge import clusters_until, past_of, written
from pipeline_project.domain.decisions import unscored
from pipeline_project.domain.embedding import embed_photos, embed_texts, embeddings_table
from pipeline_project.domain.errors import ModelUnavailable
from pipeline_project.domain.ports import Lake, Ledger, Registry, VectorStore
from pipeline_project.domain.schema import CASE_ID
from pipeline_project.domain.scoring import photos_of, score_night, texts_of
from pipeline_project.domain.training import TrainedModel
from pipeline_project.partitions import window
from pipeline_project.spec import WorkflowSpec


def build_embeddings(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """One vector per admitted case and kind, computed in batches on the GPU pool."""
    named = "+".join(part.encoder for part in (spec.text, spec.image) if part)

    @dg.asset(
        key=key(spec, "embeddings"),
        ins=from_tonight(spec, "cases"),
        pool="gpu",
        **night_asset(spec, {"deltalake", "pytorch"}, code_version=named),
    )
    def embeddings(
        context: dg.AssetExecutionContext,
        cases: pa.Table,
        encoders: dg.ResourceParam[Encoders],
        sources: dg.ResourceParam[Sources],
        vectors: dg.ResourceParam[VectorStore],
    ) -> dg.MaterializeResult[pa.Table]:
        """Unit-length vectors aligned with the cases; a content met before is not encoded again."""
        texts = photos = None
        if spec.text:
            texts = embed_texts(texts_of(cases, spec.case_schema), encoders.text(spec), vectors)
        if spec.image:
            photos = embed_photos(
                photos_of(cases, spec.case_schema), sources.photos(spec), encoders.image(spec), vectors
            )
        table = embeddings_table(context.partition_key, cases[CASE_ID].to_pylist(), texts, photos)
        kinds = {"text": texts, "photo": photos}
        return dg.MaterializeResult(
            value=table,
            metadata={
                "rows": rows(table),
                **{f"{kind}s_encoded": made.encoded for kind, made in kinds.items() if made},
                **{f"{kind}s_reused": made.reused for kind, made in kinds.items() if made},
                "photos_failed": len(table) - table["image_problem"].null_count,
            },
        )

    return embeddings


def build_scores(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Calibrated probabilities and reasons from the model that is champion on that night."""
    nouns = ["cases", *(["embeddings"] if spec.encodes else []), *(["clusters"] if spec.clusters else [])]

    @dg.asset(
        key=key(spec, "scores"),
        deps=[key(spec, noun) for noun in (*nouns, "champion")],
        **night_asset(spec, {"deltalake", "mlflow"}),
    )
    def scores(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult[pa.Table]:
        """One row per case; without a model that can be loaded every case says why and goes to a person."""
        night = window(spec, context.partition_key)
        cases = written(lake, spec, "cases", night.night)
        champion = None if spec.warms_up(night.night) else ledger.champion(spec.name, night.night)
        if champion is None:
            context.log.warning("no model was champion on %s; every case goes to a person", night.night)
            return _scored(unscored(night.night, cases[CASE_ID].to_pylist(), "no_model"))
        embeddings = written(lake, spec, "embeddings", night.night) if spec.encodes else None
        past, clusters = past_of(spec, lake, ledger, night), clusters_until(spec, lake, night)
        try:
            model = _usable(spec, TrainedModel.from_files(registry.load(champion)))
            table = score_night(night, cases, spec.feature_plan, past, embeddings, clusters, model, champion)
            ledger.close_alert(spec.name, f"model/{champion.version}")
        except ModelUnavailable as error:
            context.log.error("model %s cannot be used: %s; every case goes to a person", champion.version, error)
            command = f"pipeline nights {spec.name} --from {night.night} --to {night.night} --retrain"
            ledger.raise_alert(
                spec.name, "model_unavailable", f"model/{champion.version}", str(error), spec.owners[0], command
            )
            table = unscored(night.night, cases[CASE_ID].to_pylist(), "model_unavailable")
        return _scored(table)

    return scores


def _usable(spec: WorkflowSpec, model: TrainedModel) -> TrainedModel:
    """The model, if its probabilities mean what the spec says.

    Raises:
        ModelUnavailable: it was trained for other labels.
    """
    if model.labels != spec.labels:
        raise ModelUnavailable("it was trained for other labels than the spec has now; train a model for them")
    return model


def _scored(table: pa.Table) -> dg.MaterializeResult[pa.Table]:
    problems = [problem for problem in table["problem"].to_pylist() if problem]
    return dg.MaterializeResult(
        value=table,
        metadata={
            "rows": rows(table),
            "without_a_score": len(problems),
            "problems": {problem: problems.count(problem) for problem in sorted(set(problems))},
            "model_version": next(iter(filter(None, table["model_version"].to_pylist())), "none"),
        },
    )


def build_inference_checks(spec: WorkflowSpec) -> list[dg.AssetChecksDefinition]:
    """What inference wrote must hold before the night is decided on it."""
    checks = [build_contract_checks(spec, "scores", lambda contracts, lake, night: contracts.scores(spec))]
    if spec.encodes:
        checks.append(
            build_contract_checks(spec, "embeddings", lambda contracts, lake, night: contracts.embeddings(spec))
        )
    return checks
