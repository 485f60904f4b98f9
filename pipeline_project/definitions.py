"""The roof: every workflow there is, with the concrete resources it is given. Loading it imports nothing heavy."""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Mapping

import dagster as dg

from pipeline_project.automation.aliases import build_aliases
from pipeline_project.automation.checkpoints import build_checkpoints
from pipeline_project.automation.review_clock import build_review_clock
from pipeline_project.automation.sensors import build_run_sensors
from pipeline_project.container.dagster_resources import build_resources
from pipeline_project.domain.core.devices import CPU
from pipeline_project.settings import Settings
from pipeline_project.spec.load import Loaded, load_all
from pipeline_project.workflow import build_workflow

log = logging.getLogger("pipeline")

#: New objects before the youngest generation is looked through, Python's own being 700: the tables of a night are
#: millions of small objects without cycles, beside the half million that libraries hold for as long as a process lives.
COLLECTED_AFTER = 50_000


def load_workflows(settings: Settings) -> Loaded:
    """The shipped workflows and those of the user's own folders; broken files are told, not fatal."""
    loaded = load_all(settings.workflow_folders, settings.tenant)
    if loaded.broken:
        # on one line: whoever runs one workflow is not told every mistake in the files of the others
        files = ", ".join(dict.fromkeys(broken.file.name for broken in loaded.broken))
        log.error("left out for their mistakes: %s; `pipeline check` says which", files)
    return loaded


def build_definitions(environ: Mapping[str, str], only: str | None = None) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of every workflow, over the resources that `environ` names.

    Args:
        only: the one workflow that is wanted; each of the others costs some forty milliseconds.
    """
    settings = Settings.from_environ(environ)
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])
    if settings.device != CPU:
        # read when CUDA first multiplies; without it the same training gives other weights each time
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with warnings.catch_warnings():
        # Partitioned checks and gaps in a window are young in Dagster; we know, and every start would say so again.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = [spec for name, spec in load_workflows(settings).specs.items() if only in (None, name)]
        workflows = [build_workflow(spec, settings.device) for spec in specs]
    return dg.Definitions.merge(
        *workflows,
        dg.Definitions(
            resources=build_resources(settings),
            executor=dg.in_process_executor,
            sensors=[
                build_checkpoints(),
                build_aliases(specs),
                build_review_clock(specs),
                *build_run_sensors(specs),
            ],
        ),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads; the environment is read here, when it asks, not when the module is imported."""
    return build_definitions(os.environ)
