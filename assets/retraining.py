"""From known outcomes to the model that decides: training set, challenger, champion, each as known on its night."""

import dagster as dg
import pyarrow as pa

from assets.common import from_tonight, key, night_asset, rows
from assets.knowledge import past_of
from pipeline_project.domain.clustering import CLUSTERS
from pipeline_project.domain.embedding import EMBEDDINGS
from pipeline_project.domain.errors import TooFewOutcomes
from pipeline_project.domain.nights import shifted
from pipeline_project.domain.ports import Lake, Ledger, Registry
from pipeline_project.domain.promotion import judge
from pipeline_project.domain.schema import cases_schema, versions_of
from pipeline_project.domain.training import TrainedModel, train, training_table
from pipeline_project.partitions import earlier_nights, window
from pipeline_project.spec import WorkflowSpec

#: One alert per workflow, so that the next training that goes through closes it.
TRAINING_ALERT = "training"

#: Rows of the training set that MLflow keeps to infer signature and dataset from.
PREVIEW = 200


def build_training_set(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Cases with a known outcome and the features they had on their own night."""
    nouns = ["cases", *(["embeddings"] if spec.encodes else []), *(["clusters"] if spec.clusters else [])]

    @dg.asset(
        key=key(spec, "training_set"),
        deps=[
            *(dg.AssetDep(key(spec, noun), partition_mapping=earlier_nights(3650)) for noun in nouns),
            dg.AssetDep(key(spec, "outcomes"), partition_mapping=earlier_nights(3650)),
        ],
        **night_asset(spec, {"deltalake"}),
    )
    def training_set(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.MaterializeResult[pa.Table]:
        """Only what was known before this night began; features are those the scoring of each night saw."""
        night = window(spec, context.partition_key)
        back = spec.model.training_nights
        first = shifted(night.night, -back) if back else None
        read = {noun: _earlier(spec, lake, noun, first, night.night) for noun in nouns}
        table = training_table(read, spec.feature_plan, past_of(spec, lake, ledger, night), spec.nights.time_zone)
        labels = table["label"].to_pylist()
        return dg.MaterializeResult(
            value=table,
            metadata={
                "rows": rows(table),
                "labels": {label: labels.count(label) for label in spec.labels},
                "as_known_before": night.start.isoformat(),
            },
        )

    return training_set


def _earlier(spec: WorkflowSpec, lake: Lake, noun: str, first: str | None, before: str) -> pa.Table:
    """The nights before this one; without rows when it is the first that there is."""
    table = lake.read_span(spec.name, noun, first, before)
    if table is not None:
        return table
    schemas = {"cases": cases_schema(spec.case_schema), "embeddings": EMBEDDINGS, "clusters": CLUSTERS}
    return schemas[noun].empty_table()


def build_challenger(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """A model trained on the training set; one MLflow run, opened and closed here."""

    @dg.asset(
        key=key(spec, "challenger"),
        ins=from_tonight(spec, "training_set"),
        **night_asset(spec, {"mlflow", "xgboost" if spec.model.estimator == "boosting" else "scikitlearn"}),
    )
    def challenger(
        context: dg.AssetExecutionContext,
        training_set: pa.Table,
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.MaterializeResult[None]:
        """Fitted on the earlier outcomes, calibrated on the later ones; with too few nothing is trained."""
        night = context.partition_key
        try:
            trained = train(training_set, spec.training_plan)
        except TooFewOutcomes as few:
            context.log.warning("nothing was trained: %s", few)
            command = f"pipeline nights {spec.name} --from {night} --to {night} --retrain"
            ledger.raise_alert(spec.name, "too_few_outcomes", TRAINING_ALERT, str(few), spec.owners[0], command)
            return dg.MaterializeResult(metadata={"trained": False, "why": str(few)})
        ledger.close_alert(spec.name, TRAINING_ALERT)
        sample = training_set.slice(0, PREVIEW).to_pandas()
        parameters = {**trained.parameters, "spec_hash": spec.spec_hash, **training_set_versions(training_set)}
        model = registry.log_training(
            spec.name, night, trained.files(), parameters, trained.metrics, sample, trained.features, spec.labels
        )
        metrics = {f"metric_{name}": float(value) for name, value in trained.metrics.items()}
        return dg.MaterializeResult(
            metadata={"trained": True, "model_version": model.version, "mlflow_run": model.run_id, **metrics}
        )

    return challenger


def build_champion(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """The model that decides from this night on."""

    @dg.asset(
        key=key(spec, "champion"),
        ins=from_tonight(spec, "training_set"),
        deps=[key(spec, "challenger")],
        **night_asset(spec, {"mlflow", "postgres"}),
    )
    def champion(
        context: dg.AssetExecutionContext,
        training_set: pa.Table,
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.MaterializeResult[None]:
        """The challenger of this night, when it knows more than how often each label occurs."""
        night = context.partition_key
        proposed = registry.trained(spec.name, night)
        if proposed is None:
            return dg.MaterializeResult(metadata={"verdict": "nothing was trained on this night; nothing changes"})
        TrainedModel.from_files(registry.load(proposed))
        labels, nights = training_set["label"].to_pylist(), training_set["case_night"].to_pylist()
        verdict = judge(proposed.metrics, labels, nights, spec.labels, spec.model.calibration_share)
        # the ledger comes last and at once: a night whose model stands there is trained, and needs no second training
        if verdict.promote:
            registry.point(spec.name, "champion", proposed.version)
            ledger.record_champion(spec.name, proposed, night, verdict.reason)
        else:
            ledger.record_model(proposed)
        figures = {name: float(value) for name, value in verdict.figures.items()}
        return dg.MaterializeResult(
            metadata={
                "verdict": verdict.reason,
                "promoted": verdict.promote,
                "model_version": proposed.version,
                **figures,
            }
        )

    return champion


def training_set_versions(training_set: pa.Table) -> dict[str, int]:
    """The lake versions that a model rests on, as parameters of its run."""
    return {f"lake/{table}": version for table, version in versions_of([training_set]).items()}
