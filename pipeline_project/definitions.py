"""The roof: every workflow there is, with the concrete resources it is given. Loading it imports nothing heavy."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

import dagster as dg

from pipeline_project.automation.aliases import build_aliases
from pipeline_project.automation.checkpoints import build_checkpoints
from pipeline_project.automation.turns import night_of, refuse_out_of_order, workflows_of
from pipeline_project.container.night import build_resources, open_io_manager, open_turns
from pipeline_project.settings import Settings
from pipeline_project.spec.load import Loaded, load_all
from pipeline_project.workflow import build_workflow

log = logging.getLogger("pipeline")


def load_workflows(settings: Settings) -> Loaded:
    """The shipped workflows and those of the user's own folders; broken files are told, not fatal."""
    loaded = load_all(settings.workflow_folders)
    if loaded.broken:
        # on one line: whoever runs one workflow is not told every mistake in the files of the others
        files = ", ".join(dict.fromkeys(broken.file.name for broken in loaded.broken))
        log.error("left out for their mistakes: %s; `pipeline check` says which", files)
    return loaded


def build_definitions(environ: Mapping[str, str]) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of every workflow, over the resources that `environ` names."""
    settings = Settings.from_environ(environ)
    with warnings.catch_warnings():
        # Partitioned checks and gaps in a window are young in Dagster; we know, and every start would say so again.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = list(load_workflows(settings).specs.values())
        workflows = [build_workflow(spec) for spec in specs]
    return dg.Definitions.merge(
        *workflows,
        dg.Definitions(
            resources={**build_resources(settings), "io_manager": _in_turn(settings)},
            executor=dg.in_process_executor,
            sensors=[build_checkpoints(), build_aliases(specs)],
        ),
    )


def _in_turn(settings: Settings) -> dg.IOManagerDefinition:
    """The lake's door, which every step of a workflow needs: through it a run takes its workflow's turn, until it ends.

    It stands here because whoever launches a run, and however, the run opens its resources.
    """

    def opened(context: dg.InitResourceContext) -> Iterator[Any]:
        run = context.run
        workflows = [] if run is None else workflows_of(run)
        if run is None or not workflows:
            yield open_io_manager(settings)
            return

        def waiting(workflow: str, holder: str) -> None:
            (context.log or log).info("%s waits: %s works on %s", run.run_id, holder, workflow)

        who = f"{' and '.join(workflows)} {night_of(run) or ''}"
        with open_turns(settings).taken(workflows, who, waiting):
            if context.instance is not None:
                refuse_out_of_order(context.instance, run)
            yield open_io_manager(settings)

    return dg.IOManagerDefinition(
        resource_fn=cast(Any, opened),
        description="One atomic replacement per night and asset in the lake, by one run of a workflow at a time.",
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads; the environment is read here, when it asks, not when the module is imported."""
    return build_definitions(os.environ)
