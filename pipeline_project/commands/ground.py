"""Everything a command stands on: settings, databases, Dagster's instance, the workflows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.errors import WorkflowUnknown
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.load import load_all
from resources.postgres import Databases, databases

if TYPE_CHECKING:
    from dagster import DagsterInstance

#: The checkout: where workspace.yaml and dagster.yaml lie.
ROOT = Path(__file__).resolve().parents[2]
REPORTS_PORT, DAGSTER_PORT, MLFLOW_PORT = 3002, 3000, 5000


@dataclass(frozen=True)
class Ground:
    """A prepared home.

    Attributes:
        environ: the variables with which Dagster, MLflow and their children find everything.
    """

    settings: Settings
    databases: Databases
    environ: dict[str, str]


def settings() -> Settings:
    """The settings of this process's environment."""
    return Settings.from_environ(os.environ)


def prepare() -> Ground:
    """Starts the database where it is ours, creates and migrates what is missing, and sets this process's environment.

    Raises:
        DatabaseUnreachable, DatabaseMissing: with the URL (never its password) and what to do.
    """
    from resources.ledger.migrate import upgrade

    chosen = settings()
    chosen.home.mkdir(parents=True, exist_ok=True)
    found = databases(chosen)
    upgrade(found.ledger_url)
    environ = {**chosen.to_environ(), **tool_environ(chosen, found)}
    os.environ.update(environ)
    return Ground(chosen, found, environ)


def tool_environ(chosen: Settings, found: Databases) -> dict[str, str]:
    """What plain `dagster` and `mlflow` need to find this home; telemetry is off everywhere."""
    home = chosen.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
    return {
        "DAGSTER_HOME": str(home),
        "PIPELINE_DAGSTER_POSTGRES_URL": found.dagster_url,
        "MLFLOW_TRACKING_URI": found.mlflow_url,
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


@contextmanager
def dagster_instance(ground: Ground) -> Iterator[DagsterInstance]:
    """Dagster's instance of this home, with its connections kept open: by itself it opens one for every event."""
    from dagster import DagsterInstance

    with DagsterInstance.from_config(ground.environ["DAGSTER_HOME"]) as instance:
        instance.optimize_for_webserver(statement_timeout=120_000, pool_recycle=3600, max_overflow=10)
        yield instance


def workflow(name: str) -> WorkflowSpec:
    """One workflow by name.

    Raises:
        WorkflowUnknown: with the names there are.
        InvalidSpec: the file that declares it has mistakes.
    """
    loaded = load_all(settings().workflow_folders)
    if name in loaded.specs:
        return loaded.specs[name]
    for broken in loaded.broken:
        if broken.file.stem == name:
            raise broken
    raise WorkflowUnknown(f"no workflow {name!r}; there are {', '.join(sorted(loaded.specs))}")
