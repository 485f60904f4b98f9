"""The three jobs of a workflow: a night, a warm-up night, a retraining."""

from __future__ import annotations

from typing import TypeAlias

import dagster as dg
from dagster import AssetSelection

from pipeline_project.dagster_internals import UnresolvedAssetJobDefinition
from pipeline_project.domain.core.run_tags import TENANT
from pipeline_project.spec import WorkflowSpec

#: A job over assets, before Dagster has resolved them.
Job: TypeAlias = UnresolvedAssetJobDefinition

KINDS = ("nightly", "warm_up", "retrain")
#: What a retraining makes; everything else of a workflow belongs to the night.
TRAINING = ("training_set", "challenger", "champion", "promotion")
#: What a warm-up night makes not: it only gathers what models learn from.
DECIDING = ("scores", "shadow_scores", "live_check", "decisions", "decision_bounds", "release", "night_report")

#: Of a training and a night that wait for each other, the training goes first: the night is scored by its model.
PRIORITY = {"retrain": {"dagster/priority": "1"}}


def job_name(spec: WorkflowSpec, kind: str) -> str:
    """The name of one of the workflow's jobs; `kind` is nightly, warm_up or retrain."""
    return f"{spec.dagster_name}_{kind}"


def build_jobs(spec: WorkflowSpec) -> dict[str, Job]:
    """The jobs by kind. One run of a workflow at a time, in order: a night builds on the nights before it."""

    def named(asset_names: tuple[str, ...]) -> AssetSelection:
        return AssetSelection.assets(*([spec.dagster_name, asset_name] for asset_name in asset_names))

    night = AssetSelection.groups(spec.name) - named(TRAINING)
    selections = {
        "nightly": (night, "One night, from arrivals to decisions and the report."),
        "warm_up": (night - named(DECIDING), "One night before the first decided one: gathered, not decided."),
        "retrain": (named(TRAINING), "A challenger from what was known before the night; champion if it does better."),
    }
    return {
        kind: dg.define_asset_job(
            job_name(spec, kind),
            selection=selection,
            description=description,
            tags={
                "pipeline/workflow": spec.dagster_name,
                "pipeline/kind": kind,
                **PRIORITY.get(kind, {}),
                **({TENANT: spec.tenant} if spec.tenant else {}),
            },
            executor_def=dg.in_process_executor,
        )
        for kind, (selection, description) in selections.items()
    }


def job_kind(spec: WorkflowSpec, night: str) -> str:
    """Which job runs a night."""
    return "warm_up" if spec.warms_up(night) else "nightly"
