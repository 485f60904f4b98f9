"""Lists what one workflow owns; no logic."""

from __future__ import annotations

import dagster as dg

from assets.aggregating import build_aggregates
from assets.cluster_history import build_cluster_events
from assets.clustering import build_clusters
from assets.decisions import build_decision_checks, build_decisions, build_release
from assets.drift import build_drift, build_drift_checks
from assets.inference import build_embeddings, build_inference_checks, build_scores
from assets.ingestion import build_admission, build_admission_checks, build_arrivals, build_outcomes
from assets.landing import build_landing_check
from assets.lookups import build_lookups, build_reopened
from assets.night_page import build_night_report
from assets.promotion import build_promotion
from assets.reconciling import build_reconciling_check
from assets.replaying import build_replay
from assets.retraining import build_challenger, build_champion, build_training_set
from assets.rollout import build_live_check, build_shadow_scores
from pipeline_project.automation.jobs import build_jobs
from pipeline_project.automation.schedules import build_schedules
from pipeline_project.automation.sensors import build_sensors
from pipeline_project.domain.core.devices import CPU
from pipeline_project.spec import WorkflowSpec


def build_assets(spec: WorkflowSpec, device: str = CPU) -> list[dg.AssetsDefinition]:
    """The workflow's assets: it has only what it declares.

    Args:
        device: where models are trained and score, as `core.devices` takes it.
    """
    return [
        build_arrivals(spec),
        *([build_lookups(spec)] if spec.lookups else []),
        *([build_reopened(spec)] if spec.joins else []),
        build_admission(spec),
        build_outcomes(spec),
        *([build_embeddings(spec)] if spec.encodes else []),
        *([build_clusters(spec), build_cluster_events(spec)] if spec.clusters else []),
        *([build_aggregates(spec)] if spec.aggregates else []),
        build_scores(spec, device),
        build_shadow_scores(spec, device),
        build_decisions(spec),
        build_release(spec),
        build_live_check(spec),
        build_night_report(spec),
        build_training_set(spec),
        build_challenger(spec, device),
        build_champion(spec),
        build_promotion(spec),
        build_drift(spec),
        build_replay(spec),
    ]


def build_workflow(spec: WorkflowSpec, device: str = CPU) -> dg.Definitions:
    """Everything one workflow owns, without the resources it is given; `device` as for `build_assets`."""
    jobs = build_jobs(spec)
    return dg.Definitions(
        assets=build_assets(spec, device),
        asset_checks=[
            build_landing_check(spec),
            *build_admission_checks(spec),
            *build_inference_checks(spec),
            *build_decision_checks(spec),
            *build_drift_checks(spec),
            build_reconciling_check(spec),
        ],
        jobs=list(jobs.values()),
        schedules=build_schedules(spec, jobs),
        sensors=build_sensors(spec, jobs),
    )
