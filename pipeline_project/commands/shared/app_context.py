"""The app context: what a command works with. Settings, databases, Dagster's instance, the workflows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.commands.shared.console import complain
from pipeline_project.container.owner import OwnerStores, migrated
from pipeline_project.domain.core.errors import HomeUnusable, SettingInvalid, WorkflowUnknown
from pipeline_project.settings import Settings
from pipeline_project.tenants import tenant_names, workspace
from resources.files.small_files import write_whole
from resources.files.unfinished import refuse_unfinished

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from pipeline_project.spec import WorkflowSpec
    from pipeline_project.spec.load import Loaded
    from resources.lake.lake import DeltaLake
    from resources.ledger.nights.ledger import PostgresLedger
    from resources.postgres.databases import Databases


@dataclass(frozen=True)
class AppContext:
    """A prepared home.

    Attributes:
        environ: the variables with which Dagster, MLflow and their children find everything.
    """

    settings: Settings
    databases: Databases
    environ: dict[str, str]

    @property
    def stores(self) -> OwnerStores:
        return OwnerStores(self.settings, self.databases)

    @property
    def ledger(self) -> PostgresLedger:
        return self.stores.ledger


def settings() -> Settings:
    """The settings of this process's environment."""
    return Settings.from_environ(os.environ)


def lake(chosen: Settings) -> DeltaLake:
    """The lake of these settings; it needs no database until the first personal value is met."""
    from pipeline_project.container.privacy import open_sealed_lake

    return open_sealed_lake(chosen)


def prepare() -> AppContext:
    """Starts the database where it is ours, creates and migrates what is missing, and sets this process's environment.

    Raises:
        HomeUnusable: PIPELINE_HOME cannot be written, or a backup is put there and is not there whole.
        SettingInvalid: the file that configures Dagster cannot be read.
        DatabaseUnreachable, DatabaseMissing: with the URL (never its password) and what to do.
    """
    chosen = settings()
    refuse_unfinished(usable(chosen.home))
    databases, adopted = migrated(chosen)
    if adopted:
        complain(
            f"The audit chain took in {adopted:,} rows of a ledger from before it vouched for all of it, once: "
            "`pipeline audit search --kind adopted` shows them."
        )
    environ = {**chosen.to_environ(), **_tool_environ(chosen, databases)}
    os.environ.update(environ)
    return AppContext(chosen, databases, environ)


def usable(home: Path) -> Path:
    """The home, made where it is missing.

    Raises:
        HomeUnusable: nothing can be written there.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"x")
    except OSError as error:
        raise HomeUnusable(
            f"nothing can be written to PIPELINE_HOME {home} ({error.strerror}); mend that, or set PIPELINE_HOME to "
            "a folder of yours on a disk with space"
        ) from None
    return home


def _tool_environ(chosen: Settings, databases: Databases) -> dict[str, str]:
    """What plain `dagster` and `mlflow` need to find this home; telemetry is off everywhere, idle threads sleep."""
    home = chosen.house_home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    write_whole(home / "dagster.yaml", _instance_config(chosen.dagster_yaml))
    for path in chosen.workspaces[1:]:
        write_whole(path, workspace(tenant_names(chosen.tenants)))
    return {
        "DAGSTER_HOME": str(home),
        "PIPELINE_DAGSTER_POSTGRES_URL": databases.dagster_url,
        "MLFLOW_TRACKING_URI": databases.mlflow_url,
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Threads that wait for work then sleep: spinning, as they do by default, cost 3 times the processor time of
        # encoding where other processes wanted the same cores. It is read when torch or scikit-learn is imported.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }


def _instance_config(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingInvalid(
            f"PIPELINE_DAGSTER_YAML names {path}, which cannot be read ({error.strerror}); name a file like the "
            "dagster.yaml of the checkout, or unset it to use that one"
        ) from None


@contextmanager
def dagster_instance(context: AppContext) -> Iterator[DagsterInstance]:
    """Dagster's instance of this home."""
    from dagster import DagsterInstance

    with DagsterInstance.from_config(context.environ["DAGSTER_HOME"]) as instance:
        yield instance


def workflows() -> Loaded:
    """Every workflow that is declared, and what of the files has mistakes."""
    # imported here: reading specs takes longer than everything else that a command's --help imports
    from pipeline_project.spec.load import load_all

    chosen = settings()
    return load_all(chosen.workflow_folders, chosen.tenant)


def workflow(name: str) -> WorkflowSpec:
    """One workflow by name.

    Raises:
        WorkflowUnknown: with the closest name, and the names there are.
        InvalidSpec: the file that declares it has mistakes.
    """
    loaded = workflows()
    if name in loaded.specs:
        return loaded.specs[name]
    for broken in loaded.broken:
        if broken.file.stem == name:
            raise broken
    raise _unknown(name, loaded)


def _unknown(name: str, loaded: Loaded) -> WorkflowUnknown:
    there = sorted(loaded.specs)
    close = get_close_matches(name.lower(), there, n=1)
    meant = f"did you mean {close[0]}? There" if close else "there"
    files = ", ".join(sorted({broken.file.name for broken in loaded.broken}))
    broken = f"; {files} could not be read, `pipeline check` says why" if files else ""
    tenant = settings().tenant
    nobody = f"tenant {tenant} has no workflow {name!r}" if tenant else f"no workflow is called {name!r}"
    return WorkflowUnknown(f"{nobody}; {meant} are {', '.join(there) or 'none'}{broken}")
