"""MLflow as the registry: every training one run, every model a version whose files run nothing when they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from pipeline_project.domain.core.errors import (
    DatabaseUnreachable,
    FileMissing,
    FilesRefused,
    FilesUnavailable,
    ModelLetGo,
    ModelUnavailable,
)
from pipeline_project.domain.core.locations import below, is_url
from pipeline_project.domain.core.model_version import ModelVersion, TrainingRecord
from pipeline_project.domain.models.files import check_formats, digest
from pipeline_project.ports.files import Files
from resources.files import files_at
from resources.postgres.databases import reach, safe
from resources.registry.database import as_mlflow_says, follow, prepare_once, without_telemetry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

CHALLENGER = "challenger"
MODEL_FOLDER, _CARD, _ARTIFACTS = "model", "MLmodel", "artifacts"
_NIGHT, _DIGEST, _UNTIL, _MAKER, _SIGNATURE = "night", "digest", "knows_until", "trained_by", "signature"
_MODEL_CARD = "model_card.md"
#: On a version whose files are gone on purpose: since when.
LET_GO = "files_let_go"
_LONGEST_PARAMETER = 500


@dataclass(frozen=True)
class MlflowRegistry:
    """`ports.Registry` on an MLflow database.

    A version's files are found by its workflow and its run, below wherever models lie now: a home that was moved, or
    models that were copied into an object store, are found again.

    Attributes:
        tracking_uri: SQLAlchemy URL of MLflow's own PostgreSQL database; it holds tracking and registry.
        artifact_root: folder or URL under which every workflow's model files lie.
        keys: the folder of the house's keys; every version is signed with one of them.
    """

    tracking_uri: str = field(repr=False)
    artifact_root: Path | str
    keys: Path | str

    def log_training(self, training: TrainingRecord) -> ModelVersion:
        """Logs one training as one run, signs and registers its version and points the alias `challenger` at it.

        The same training of the same night again (the same digest) gives the version that is there. The files are read
        back and compared before anything is registered, so no version is ever without its files.

        Raises:
            ModelUnavailable: the files are of a format that may run code, or cannot be read back as written.
            DatabaseUnreachable: MLflow's database does not answer.
        """
        check_formats(training.files)
        workflow, night, whole = training.workflow, training.night, digest(training.files)
        with self._client() as client:
            version = self._version_of(client, workflow, night, whole)
            if version is None:
                run_id = self._log_run(client, training)
                made = {_UNTIL: training.knows_until, _MAKER: training.trained_by or "dagster"}
                tags = {_NIGHT: night, _DIGEST: whole, **made}
                version = self._register(client, workflow, run_id, {**tags, _SIGNATURE: self._signed(workflow, tags)})
            client.set_registered_model_alias(workflow, CHALLENGER, version.version)
            return _plain(client, workflow, version)

    def trained(self, workflow: str, night: str) -> list[ModelVersion]:
        """The versions that were trained on a night, newest first.

        Raises:
            DatabaseUnreachable: MLflow's database does not answer.
        """
        with self._client() as client:
            versions = client.search_model_versions(f"name = '{workflow}' AND tag.{_NIGHT} = '{night}'")
            ordered = sorted(versions, key=lambda version: int(version.version), reverse=True)
            return [_plain(client, workflow, version) for version in ordered]

    def version(self, workflow: str, version: str) -> ModelVersion | None:
        """One version by its number, or None.

        Raises:
            DatabaseUnreachable: MLflow's database does not answer.
        """
        from mlflow.exceptions import MlflowException

        with self._client() as client:
            try:
                return _plain(client, workflow, client.get_model_version(workflow, version))
            except MlflowException:
                return None

    def pointed(self, workflow: str, alias: str) -> str | None:
        """The version an alias points at, or None.

        Raises:
            DatabaseUnreachable: MLflow's database does not answer.
        """
        from mlflow.exceptions import MlflowException

        with self._client() as client:
            try:
                return str(client.get_model_version_by_alias(workflow, alias).version)
            except MlflowException:
                # MLflow tells a missing alias from a missing model by words only; neither points anywhere
                return None

    def card(self, model: ModelVersion) -> str:
        """A version's model card, in Markdown; empty where it has none.

        Raises:
            DatabaseUnreachable: MLflow's database does not answer.
        """
        with self._client() as client:
            recorded = str(client.get_run(model.run_id).info.artifact_uri)
        for files, folder in self._places(model.workflow, model.run_id, recorded):
            try:
                return files.read(f"{folder}/{_MODEL_CARD}").decode()
            except FileMissing:
                continue
        return ""

    def load(self, model: ModelVersion) -> dict[str, bytes]:
        """The files of a version, verified against its digest and its signature before anything of them is parsed.

        Raises:
            ModelUnavailable: unreachable, missing, changed, unsigned or of a format that may run code; the message says
                which.
            ModelLetGo: retention has let them go.
        """
        from mlflow.exceptions import MlflowException

        name = f"version {model.version} of {model.workflow}"
        try:
            with self._client() as client:
                registered = client.get_model_version(model.workflow, model.version)
                tags = dict(registered.tags)
            if LET_GO in tags:
                raise ModelLetGo(
                    f"the files of {name} were let go on {tags[LET_GO]}, as it never decided; train another"
                )
            files = self._files_of(model.workflow, registered)
        except (FilesRefused, FilesUnavailable) as problem:
            raise ModelUnavailable(f"{name} cannot be read: {problem}") from problem
        except (MlflowException, DatabaseUnreachable) as problem:
            raise ModelUnavailable(
                f"{name} cannot be read ({type(problem).__name__}); see that MLflow's database answers and that "
                f"{self.artifact_root} is there, or train the model again"
            ) from problem
        if not files:
            raise ModelUnavailable(f"{name} has no files under {self.artifact_root}; bring them back or train it again")
        if tags.get(_DIGEST) != model.digest or not self._verified(model.workflow, tags):
            raise ModelUnavailable(
                f"{name} is not signed by this house, or what was signed is not what the ledger knows; train it again"
            )
        check_formats(files)
        if digest(files) != model.digest:
            raise ModelUnavailable(
                f"the files of {name} are not those that were registered (their sha256 differs); bring back the "
                f"originals under {self.artifact_root}, or train the model again"
            )
        return files

    def point(self, workflow: str, alias: str, version: str) -> None:
        """Makes an alias follow the ledger.

        Raises:
            ModelUnavailable: there is no such version.
            DatabaseUnreachable: MLflow's database does not answer.
        """
        from mlflow.exceptions import MlflowException

        with self._client() as client:
            try:
                client.set_registered_model_alias(workflow, alias, version)
            except MlflowException as problem:
                raise ModelUnavailable(
                    f"version {version} of {workflow} is not registered, so {alias} cannot point at it; train the "
                    "model again"
                ) from problem

    @contextmanager
    def _client(self) -> Iterator[MlflowClient]:
        """A client on a database whose tables are there.

        MLflow itself would try for a hundred seconds to reach a database that is away, and show its URL.
        """
        without_telemetry()
        if self.tracking_uri.startswith("postgresql"):
            prepare_once(self.tracking_uri)
            reach(self.tracking_uri)
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import OperationalError

        try:
            yield MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)
        except OperationalError as problem:
            raise DatabaseUnreachable(f"MLflow's database {safe(self.tracking_uri)} was lost; try again") from problem

    def _log_run(self, client: MlflowClient, training: TrainingRecord) -> str:
        """One finished run with everything in it; it is marked as failed if anything could not be kept."""
        workflow, night, files = training.workflow, training.night, training.files
        counts = {"features": len(training.features), "labels": len(training.labels)}
        tags = {_NIGHT: night, _DIGEST: digest(files), "mlflow.runName": f"{workflow} {night}"}
        run_id: str = client.create_run(self._experiment(client, workflow), tags=tags).info.run_id
        try:
            for name, value in {**training.parameters, **counts}.items():
                client.log_param(run_id, name, str(value)[:_LONGEST_PARAMETER])
            for name, number in training.metrics.items():
                client.log_metric(run_id, name, float(number))
            client.log_inputs(run_id, [_dataset_input(training.dataset, workflow, night)])
            if training.card:
                self._files.write(f"{_run_folder(workflow, run_id)}/{_MODEL_CARD}", training.card)
            self._upload(workflow, run_id, files, _signature(training.dataset, training.labels))
            if _downloaded(self._files, f"{_run_folder(workflow, run_id)}/{MODEL_FOLDER}") != dict(files):
                raise ModelUnavailable(
                    f"the model's files under {self.artifact_root} are not what was written; see to the disk, then "
                    "train again"
                )
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
        return run_id

    def _experiment(self, client: MlflowClient, workflow: str) -> str:
        """The workflow's experiment; another process may make it at the same time."""
        from mlflow.exceptions import MlflowException

        experiment, location = client.get_experiment_by_name(workflow), self._location(workflow)
        if experiment is None:
            try:
                return client.create_experiment(workflow, artifact_location=location)
            except MlflowException:
                experiment = client.get_experiment_by_name(workflow)
                if experiment is None:
                    raise
        if experiment.artifact_location != location:
            follow(self.tracking_uri, str(experiment.artifact_location), location)
        return str(experiment.experiment_id)

    def _location(self, workflow: str) -> str:
        return below(as_mlflow_says(str(self.artifact_root)), workflow)

    @property
    def _files(self) -> Files:
        return files_at(self.artifact_root)

    def _places(self, workflow: str, run_id: str, recorded: str) -> Iterator[tuple[Files, str]]:
        """Where the artifacts of a run may lie: below today's models, else where MLflow wrote down that they are."""
        yield self._files, _run_folder(workflow, run_id)
        root, _, name = recorded.rpartition("/")
        place = unquote(urlsplit(root).path) if root.startswith("file:") else root
        if is_url(place) or Path(place).is_absolute():
            yield files_at(place), name

    def _files_of(self, workflow: str, registered: MlflowVersion) -> dict[str, bytes]:
        """Every file of a version but MLflow's own card, by name; none where they are lost."""
        recorded = str(registered.source).rpartition("/")[0]
        for files, folder in self._places(workflow, str(registered.run_id), recorded):
            if there := _downloaded(files, f"{folder}/{MODEL_FOLDER}"):
                return there
        return {}

    def _upload(self, workflow: str, run_id: str, files: Mapping[str, bytes], signature: ModelSignature) -> None:
        from mlflow.models import Model

        card = Model(run_id=run_id, artifact_path=MODEL_FOLDER, signature=signature).to_yaml()
        for name, content in {**files, _CARD: str(card).encode()}.items():
            self._files.write(f"{_run_folder(workflow, run_id)}/{MODEL_FOLDER}/{name}", content)

    def _signed(self, workflow: str, tags: Mapping[str, str]) -> str:
        from resources.keys.checkpoint_key import signing_key

        return signing_key(self.keys).sign(_statement(workflow, tags)).hex()

    def _verified(self, workflow: str, tags: Mapping[str, str]) -> bool:
        from cryptography.exceptions import InvalidSignature

        from resources.keys.checkpoint_key import PRIVATE, signing_key
        from resources.keys.key_files import keys_at

        if not keys_at(self.keys).has(PRIVATE):
            # a new one, made for this, would verify nothing and be in the way of the right one
            return False
        try:
            signature = bytes.fromhex(tags.get(_SIGNATURE, ""))
            signing_key(self.keys).public_key().verify(signature, _statement(workflow, tags))
        except (InvalidSignature, ValueError):
            return False
        return True

    def _register(self, client: MlflowClient, workflow: str, run_id: str, tags: dict[str, str]) -> MlflowVersion:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(workflow)
        except MlflowException as problem:
            if problem.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return client.create_model_version(workflow, _place(client, run_id), run_id, tags=tags)

    def _version_of(self, client: MlflowClient, workflow: str, night: str, whole: str) -> MlflowVersion | None:
        """The version of this very training, if it was registered before and its files are still there."""
        wanted = f"name = '{workflow}' AND tag.{_NIGHT} = '{night}' AND tag.{_DIGEST} = '{whole}'"
        for registered in client.search_model_versions(wanted):
            if digest(self._files_of(workflow, registered)) == whole:
                return registered
        return None


def _plain(client: MlflowClient, workflow: str, registered: MlflowVersion) -> ModelVersion:
    return ModelVersion(
        workflow=workflow,
        version=str(registered.version),
        night=registered.tags[_NIGHT],
        digest=registered.tags[_DIGEST],
        run_id=str(registered.run_id),
        metrics=dict(client.get_run(str(registered.run_id)).data.metrics),
        knows_until=registered.tags.get(_UNTIL, ""),
        trained_by=registered.tags.get(_MAKER, ""),
        signature=registered.tags.get(_SIGNATURE, ""),
    )


def _statement(workflow: str, tags: Mapping[str, str]) -> bytes:
    """What is signed: whatever a version says of itself that somebody decides by."""
    claims = {name: tags.get(name, "") for name in (_NIGHT, _DIGEST, _UNTIL, _MAKER)}
    return json.dumps({"model of": workflow, **claims}, sort_keys=True).encode()


def _dataset_input(dataset: pd.DataFrame, workflow: str, night: str) -> Any:
    """The data's name, digest, schema and size; none of its values."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import DatasetInput, InputTag

    source = CodeDatasetSource({"workflow": workflow, "asset": "training_set", "night": night})
    described = from_pandas(dataset, source=source, name=f"{workflow}/training_set/{night}"[:490])
    return DatasetInput(described._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])


def _signature(dataset: pd.DataFrame, labels: Sequence[str]) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    kinds = {name: DataType.double if kind.kind in "fiub" else DataType.string for name, kind in dataset.dtypes.items()}
    return ModelSignature(
        inputs=Schema([ColSpec(kind, str(name), required=False) for name, kind in kinds.items()]),
        outputs=Schema([ColSpec(DataType.double, label) for label in labels]),
    )


def _place(client: MlflowClient, run_id: str) -> str:
    """Where a run's model is kept, as a URL."""
    return f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"


def _run_folder(workflow: str, run_id: str) -> str:
    """Where MLflow keeps the artifacts of a run, below the models."""
    return f"{workflow}/{run_id}/{_ARTIFACTS}"


def _downloaded(files: Files, folder: str) -> dict[str, bytes]:
    """Every file of a model but MLflow's own card, by name."""
    names = {path.rpartition("/")[2]: path for path in files.matching(f"{folder}/*")}
    return {name: files.read(path) for name, path in names.items() if name != _CARD}
