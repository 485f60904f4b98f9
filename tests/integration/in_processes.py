"""A training for Dagster's multiprocess executor; a module of its own, so that every step's process can import it."""

from __future__ import annotations

import os

import dagster as dg

from pipeline_project.definitions import build_definitions, load_workflows
from pipeline_project.settings import Settings

#: The variable that names the workflow.
WORKFLOW = "PIPELINE_TEST_TRAINED"
STEPS = ("training_set", "challenger")
_JOB = "trained_in_processes"


def training_job() -> dg.JobDefinition:
    """The training of one workflow; every step's process makes it anew from its environment."""
    spec = load_workflows(Settings.from_environ(os.environ)).specs[os.environ[WORKFLOW]]
    job = dg.define_asset_job(
        _JOB,
        selection=dg.AssetSelection.assets(*([spec.name, asset_name] for asset_name in STEPS)),
        executor_def=dg.multiprocess_executor.configured({"max_concurrent": 1}),
    )
    return dg.Definitions.merge(build_definitions(os.environ), dg.Definitions(jobs=[job])).resolve_job_def(_JOB)
