"""Trainings that nothing rests on: the files of versions that never decided, and runs that came to no version."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from resources.files.trees import tree_of
from resources.registry.registry import LET_GO, MODEL_FOLDER, MlflowRegistry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

_RUNS_AT_ONCE = 100


@dataclass(frozen=True)
class OldVersion:
    """A version nothing of which is needed.

    Attributes:
        files: of those that are there, the place and the name.
        size: of all of them, in bytes.
    """

    version: str
    files: tuple[tuple[str, str], ...]
    size: int


def unneeded_versions(
    registry: MlflowRegistry, workflow: str, before: datetime, needed: Collection[str]
) -> list[OldVersion]:
    """The versions registered before a moment that are not needed, no alias points at, and that have files left: all
    of them, or what a removal that was stopped has left.

    Raises:
        DatabaseUnreachable: MLflow's database does not answer.
    """
    until = int(before.timestamp() * 1000)
    with registry._client() as client:
        kept = {*needed, *_pointed(client, workflow)}
        unneeded = [
            (_old(registry, workflow, one), LET_GO in one.tags)
            for one in client.search_model_versions(f"name = '{workflow}'")
            if one.creation_timestamp < until and str(one.version) not in kept
        ]
        return [old for old, marked in unneeded if old.files or not marked]


def let_go(registry: MlflowRegistry, workflow: str, old: OldVersion, at: datetime) -> None:
    """Takes a version's files away; the version says since when, before they are gone."""
    with registry._client() as client:
        client.set_model_version_tag(workflow, old.version, LET_GO, at.date().isoformat())
    for place, path in old.files:
        tree_of(place).remove(path)


def fruitless_runs(registry: MlflowRegistry, workflow: str, before: datetime) -> list[str]:
    """Runs that began before a moment and came to no version: they failed, or died with their process."""
    with registry._client() as client:
        experiment = client.get_experiment_by_name(workflow)
        if experiment is None:
            return []
        registered = {str(one.run_id) for one in client.search_model_versions(f"name = '{workflow}'")}
        began = f"attributes.start_time < {int(before.timestamp() * 1000)}"
        fruitless: list[str] = []
        token: str | None = None
        while True:
            page = client.search_runs([experiment.experiment_id], began, page_token=token)
            fruitless += [run.info.run_id for run in page if run.info.run_id not in registered]
            token = page.token
            if not token:
                return fruitless


def remove_runs(registry: MlflowRegistry, runs: Sequence[str]) -> None:
    """Takes runs away for good, with their files, as `mlflow gc` does."""
    from mlflow.cli import gc

    with registry._client() as client:
        for run in runs:
            client.delete_run(run)
        for start in range(0, len(runs), _RUNS_AT_ONCE):
            chosen = ",".join(runs[start : start + _RUNS_AT_ONCE])
            url = registry.tracking_uri
            gc.main(["--backend-store-uri", url, "--tracking-uri", url, "--run-ids", chosen], standalone_mode=False)


def _old(registry: MlflowRegistry, workflow: str, registered: ModelVersion) -> OldVersion:
    recorded = str(registered.source).rpartition("/")[0]
    sizes = {
        (files.url, path): size
        for files, folder in registry._places(workflow, str(registered.run_id), recorded)
        for path, size in tree_of(files.url).sizes(f"{folder}/{MODEL_FOLDER}").items()
    }
    return OldVersion(str(registered.version), tuple(sizes), sum(sizes.values()))


def _pointed(client: MlflowClient, workflow: str) -> set[str]:
    """The versions that aliases point at; none of a workflow without a model. Any other answer is no answer."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    try:
        return {str(version) for version in client.get_registered_model(workflow).aliases.values()}
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return set()
