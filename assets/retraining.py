"""From known outcomes to the model that decides: training set, challenger, champion, each as known on its night."""

from dataclasses import replace

import dagster as dg
import pyarrow as pa

from assets.common import from_tonight, gpu_pool, key, night_asset, rows
from pipeline_project.domain.clusters.clustering import CLUSTERS
from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import TooFewOutcomes, TrainingRefused
from pipeline_project.domain.core.model_version import ModelVersion, TrainingRecord
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.run_tags import STARTED_BY
from pipeline_project.domain.core.schema import CASE_ID, cases_schema
from pipeline_project.domain.core.stored_tables import StoredTable, versions_of
from pipeline_project.domain.lifecycle.promotion import judge
from pipeline_project.domain.lifecycle.proposing import held_back_until
from pipeline_project.domain.models import ESTIMATORS
from pipeline_project.domain.models.card import CardFacts, model_card
from pipeline_project.domain.models.training import TrainedModel, training_table
from pipeline_project.domain.models.training_guards import check
from pipeline_project.domain.vectors.modalities import EMBEDDINGS
from pipeline_project.partitions import earlier_nights, window
from pipeline_project.ports.compute import Compute
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.registry import Registry
from pipeline_project.services.aggregating import AGGREGATES, aggregates_span
from pipeline_project.services.as_of import mature_decided, past_of
from pipeline_project.services.candidates import trained_candidates
from pipeline_project.spec import WorkflowSpec

#: One alert per workflow, so that the next training that goes through closes it.
TRAINING_ALERT = "training"

#: A first model that knows no more than the bare rates; the next one that does closes it.
FIRST_MODEL_ALERT = "first_model"

#: What the guards look at of decisions.
DECIDED = [CASE_ID, "option", "reason"]

#: Rows of the training set that MLflow keeps to infer signature and dataset from.
PREVIEW = 200


def build_training_set(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Cases with a known outcome and the features they had on their own night."""
    asset_names = ["cases", *(["embeddings"] if spec.encodes else []), *(["clusters"] if spec.clusters else [])]

    @dg.asset(
        key=key(spec, "training_set"),
        deps=[
            *(
                dg.AssetDep(key(spec, asset_name), partition_mapping=earlier_nights(3650))
                for asset_name in (*asset_names, *([AGGREGATES] if spec.aggregates else []))
            ),
            dg.AssetDep(key(spec, "outcomes"), partition_mapping=earlier_nights(3650)),
        ],
        **night_asset(spec, {"deltalake"}),
    )
    def training_set(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.MaterializeResult[pa.Table]:
        """Only what was known before this night began, or, with a champion to beat, before the nights of its replay."""
        until = window(spec, held_back(spec, lake, ledger, context.partition_key))
        back = spec.model.training_nights
        first = shifted(until.night, -back) if back else None
        read = {asset_name: _earlier(spec, lake, asset_name, first, until.night) for asset_name in asset_names}
        made = aggregates_span(spec, lake, ledger, read["cases"])
        table = training_table(
            {**read, AGGREGATES: made}, spec.feature_plan, past_of(spec, lake, ledger, until), spec.nights.time_zone
        )
        labels = table["label"].to_pylist()
        return dg.MaterializeResult(
            value=table,
            metadata={
                "rows": rows(table),
                "labels": {label: labels.count(label) for label in spec.labels},
                "as_known_before": until.start.isoformat(),
                "held_back_from": until.night,
            },
        )

    return training_set


def held_back(spec: WorkflowSpec, lake: Lake, ledger: Ledger, night: str) -> str:
    """The night before which a challenger trained on `night` may know; the first model has nothing to beat."""
    if ledger.champion(spec.name, night) is None:
        return night
    mature = mature_decided(spec, lake, ledger, None, night, window(spec, night).start)
    return held_back_until(night, mature, spec.gates.nights)


def _earlier(spec: WorkflowSpec, lake: Lake, asset_name: str, first: str | None, before: str) -> pa.Table:
    """The nights before this one; without rows when it is the first that there is."""
    table = lake.read_span(spec.name, asset_name, first, before)
    if table is not None:
        return table
    schemas = {"cases": cases_schema(spec.case_schema), "embeddings": EMBEDDINGS, "clusters": CLUSTERS}
    return schemas[asset_name].empty_table()


def build_challenger(spec: WorkflowSpec, device: str = CPU) -> dg.AssetsDefinition:
    """Models trained on the training set, one for each estimator; each one MLflow run, opened and closed here.

    Args:
        device: where models are trained, as `core.devices` takes it.
    """
    estimators = tuple(dict.fromkeys((spec.model.estimator, *spec.model.challengers)))

    @dg.asset(
        key=key(spec, "challenger"),
        ins=from_tonight(spec, "training_set"),
        pool=gpu_pool(device),
        **night_asset(spec, {"mlflow", *(ESTIMATORS[name].LIBRARY for name in estimators[:2])}),
    )
    def challenger(
        context: dg.AssetExecutionContext,
        training_set: StoredTable,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        compute: dg.ResourceParam[Compute],
    ) -> dg.MaterializeResult[None]:
        """Fitted on the earlier outcomes, calibrated on the later ones; on data that forbids it nothing is trained."""
        night, examples = context.partition_key, training_set.rows
        try:
            check(examples, spec.guard_terms, lake.read_span(spec.name, "decisions", None, night, DECIDED))
            plans = {name: replace(spec.training_plan_of(name), device=device) for name in estimators}
            trained = trained_candidates(examples, plans, compute.workers(spec))
        except (TooFewOutcomes, TrainingRefused) as refused:
            context.log.warning("nothing was trained: %s", refused)
            command = f"pipeline nights {spec.name} --from {night} --to {night} --retrain"
            kind = "too_few_outcomes" if isinstance(refused, TooFewOutcomes) else "training_refused"
            ledger.raise_alert(spec.name, kind, TRAINING_ALERT, str(refused), spec.owners[0], command)
            return dg.MaterializeResult(metadata={"trained": False, "why": str(refused)})
        ledger.close_alert(spec.name, TRAINING_ALERT)
        until = held_back(spec, lake, ledger, night)
        maker = context.run.tags.get(STARTED_BY, "dagster")
        facts = _card_facts(spec, lake, night, until, training_set_versions(training_set))
        models = [_logged(spec, registry, examples, model, facts, maker) for model in trained.values()]
        return dg.MaterializeResult(
            metadata={
                "trained": True,
                "model_version": models[0].version,
                "mlflow_run": models[0].run_id,
                "versions": {name: model.version for name, model in zip(trained, models, strict=True)},
                "knows_until": until,
                "trained_on": {name: str(model.parameters["trained_on"]) for name, model in trained.items()},
                **{f"metric_{name}": float(value) for name, value in models[0].metrics.items()},
            }
        )

    return challenger


def _logged(
    spec: WorkflowSpec,
    registry: Registry,
    training_set: pa.Table,
    trained: TrainedModel,
    facts: CardFacts,
    maker: str,
) -> ModelVersion:
    """One training as one run, with its model card."""
    return registry.log_training(
        TrainingRecord(
            spec.name,
            facts.night,
            trained.files(),
            {
                **trained.parameters,
                "spec_hash": spec.spec_hash,
                "knows_until": facts.knows_until,
                **facts.lake_versions,
            },
            trained.metrics,
            training_set.slice(0, PREVIEW).to_pandas(),
            trained.features,
            spec.labels,
            knows_until=facts.knows_until,
            trained_by=maker,
            card=model_card(trained, facts),
        )
    )


def _card_facts(spec: WorkflowSpec, lake: Lake, night: str, until: str, versions: dict[str, int]) -> CardFacts:
    back = spec.model.training_nights
    looked_at = lake.read_span(spec.name, "cases", shifted(until, -back) if back else None, until, [CASE_ID])
    return CardFacts(
        workflow=spec.name,
        title=spec.title,
        night=night,
        knows_until=until,
        lake_versions=versions,
        cases=0 if looked_at is None else rows(looked_at),
        decides=tuple(option.title for option in spec.option_specs.values()),
        currency=spec.currency,
        masked=spec.feature_plan.masked,
        promise=spec.policy.promise,
        spec_hash=spec.spec_hash,
    )


def build_champion(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Who decides from this night on."""

    @dg.asset(
        key=key(spec, "champion"),
        ins=from_tonight(spec, "training_set"),
        deps=[key(spec, "challenger")],
        **night_asset(spec, {"mlflow", "postgres"}),
    )
    def champion(
        context: dg.AssetExecutionContext,
        training_set: StoredTable,
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.MaterializeResult[None]:
        """The first model decides when it knows more than how often each label occurs; later ones need a signature."""
        night = context.partition_key
        versions = registry.trained(spec.name, night)
        standing = ledger.champion(spec.name, night)
        if standing is not None:
            ledger.close_alert(spec.name, FIRST_MODEL_ALERT)
            verdict = f"version {standing.version} decides; a challenger needs its gates and a signature"
            return dg.MaterializeResult(metadata={"verdict": verdict, "promoted": False})
        if not versions:
            return dg.MaterializeResult(metadata={"verdict": "nothing was trained on this night; nothing changes"})
        # the estimator of the spec is trained before its challengers
        proposed = versions[-1]
        TrainedModel.from_files(registry.load(proposed))
        judgement = judge(proposed.metrics, training_set.rows, spec.labels, spec.model.calibration_share)
        if judgement.promote:
            ledger.close_alert(spec.name, FIRST_MODEL_ALERT)
        else:
            message = f"the first model does not decide, every case goes to people: {judgement.reason}"
            command = f"pipeline nights {spec.name} --from {night} --to {night} --retrain"
            ledger.raise_alert(spec.name, "model_refused", FIRST_MODEL_ALERT, message, spec.owners[0], command)
        # the ledger comes last and at once: a night whose model stands there is trained, and needs no second training
        if judgement.promote:
            registry.point(spec.name, "champion", proposed.version)
            ledger.record_champion(spec.name, proposed, night, f"the first model: {judgement.reason}")
        for version in versions[:-1] if judgement.promote else versions:
            ledger.record_model(version)
        return dg.MaterializeResult(
            metadata={
                "verdict": judgement.reason,
                "promoted": judgement.promote,
                "model_version": proposed.version,
                **{name: float(value) for name, value in judgement.figures.items()},
            }
        )

    return champion


def training_set_versions(training_set: StoredTable) -> dict[str, int]:
    """The lake versions that a model rests on, as parameters of its run."""
    return {f"lake/{table}": version for table, version in versions_of([training_set]).items()}
