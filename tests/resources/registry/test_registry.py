"""Models in MLflow on a real PostgreSQL: one version per training, and nothing is loaded that is not what was kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from pipeline_project.domain.core.errors import DatabaseUnreachable, ModelLetGo, ModelUnavailable
from pipeline_project.domain.core.model_version import ModelVersion, TrainingRecord
from pipeline_project.domain.models.files import digest
from resources.registry.database import prepare_once
from resources.registry.letting_go import fruitless_runs, let_go, remove_runs, unneeded_versions
from resources.registry.registry import MlflowRegistry
from tests.s3_server import S3Server, refusing

FILES = {"model.json": b'{"a": 1}', "booster.ubj": b"{binary}", "t.safetensors": b"\x02\0\0\0\0\0\0\0{}"}
FRAME = pd.DataFrame({"price": [1.0, 2.5], "size": pd.array(["m", None], dtype="string")})
PARAMETERS, METRICS = {"rounds": 12, "long": "x" * 9000}, {"auc": 0.7}
TRAINING = TrainingRecord(
    "any", "2024-03-01", FILES, PARAMETERS, METRICS, FRAME, FRAME.columns.tolist(), ["kept", "returned"]
)


@pytest.fixture(scope="module")
def mlflow_database(postgres_server: str) -> str:
    """One database for the module: making MLflow's tables takes seconds; tests use workflows of their own."""
    from sqlalchemy import NullPool, create_engine, make_url, text

    engine = create_engine(postgres_server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS test_mlflow WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE test_mlflow TEMPLATE template0"))
    return make_url(postgres_server).set(database="test_mlflow").render_as_string(hide_password=False)


@pytest.fixture
def registry(mlflow_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowRegistry:
    monkeypatch.chdir(tmp_path)
    return MlflowRegistry(mlflow_database, tmp_path / "models", tmp_path / "keys")


def trained(
    registry: MlflowRegistry, workflow: str, night: str = "2024-03-01", files: Mapping[str, bytes] = FILES
) -> ModelVersion:
    return registry.log_training(replace(TRAINING, workflow=workflow, night=night, files=files))


def client(registry: MlflowRegistry):
    from mlflow.tracking import MlflowClient

    return MlflowClient(registry.tracking_uri, registry.tracking_uri)


def test_what_was_logged_is_what_is_loaded(registry: MlflowRegistry) -> None:
    model = trained(registry, "round_trip")

    assert registry.load(model) == FILES
    assert model == ModelVersion(
        "round_trip", "1", "2024-03-01", digest(FILES), model.run_id, {"auc": 0.7}, trained_by="dagster"
    )


def test_the_newest_version_of_a_night_is_found_again(registry: MlflowRegistry) -> None:
    several = [{**FILES, "model.json": b'{"a": %d}' % number} for number in range(3)]
    made = [trained(registry, "several", files=files) for files in several]
    other = trained(registry, "several", night="2024-03-02")

    assert registry.trained("several", "2024-03-01") == made[::-1]
    assert registry.trained("several", "2024-03-02") == [other]
    assert registry.trained("several", "2024-03-03") == []


def test_what_a_version_says_of_itself_is_signed(registry: MlflowRegistry) -> None:
    model = trained(registry, "signed")
    assert registry.load(model) == FILES

    for tag, value in (("knows_until", "2020-01-01"), ("trained_by", "nobody"), ("signature", "00" * 64)):
        before = client(registry).get_model_version("signed", "1").tags[tag]
        client(registry).set_model_version_tag("signed", "1", tag, value)
        with pytest.raises(ModelUnavailable, match="not signed by this house"):
            registry.load(model)
        client(registry).set_model_version_tag("signed", "1", tag, before)
    stranger = replace(registry, keys=Path(registry.keys).parent / "other keys")
    with pytest.raises(ModelUnavailable, match="not signed by this house"):
        stranger.load(model)


def test_an_alias_says_where_it_points(registry: MlflowRegistry) -> None:
    trained(registry, "pointed")
    assert registry.pointed("pointed", "challenger") == "1"
    assert registry.pointed("pointed", "champion") is None
    assert registry.pointed("nobody", "champion") is None


def test_the_card_lies_beside_the_files_and_is_none_of_them(registry: MlflowRegistry) -> None:
    model = registry.log_training(
        TrainingRecord(
            "carded", "2024-03-01", FILES, {}, {}, FRAME, FRAME.columns.tolist(), ["kept", "returned"], card="# Card"
        )
    )
    assert registry.load(model) == FILES
    assert registry.card(model) == "# Card"
    assert registry.card(trained(registry, "cardless")) == ""


def test_a_run_holds_parameters_metrics_dataset_and_signature(registry: MlflowRegistry) -> None:
    from mlflow.models import Model

    model = trained(registry, "one_run")
    run = client(registry).get_run(model.run_id)

    assert run.info.status == "FINISHED"
    assert run.data.params["rounds"] == "12"
    assert run.data.metrics == {"auc": 0.7}
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["one_run/training_set/2024-03-01"]
    assert "2.5" not in str(run.inputs.dataset_inputs[0].dataset.profile)
    card = Model.load(client(registry).download_artifacts(model.run_id, "model"))
    assert card.signature.inputs.input_names() == ["price", "size"]
    assert card.signature.outputs.input_names() == ["kept", "returned"]


def test_the_same_training_again_is_the_same_version(registry: MlflowRegistry) -> None:
    first, again = trained(registry, "twice"), trained(registry, "twice")
    other_night = trained(registry, "twice", night="2024-04-01")
    other_files = trained(registry, "twice", files={**FILES, "model.json": b'{"a": 2}'})

    assert again == first
    assert [m.version for m in (first, other_night, other_files)] == ["1", "2", "3"]
    assert len(client(registry).search_runs([client(registry).get_experiment_by_name("twice").experiment_id])) == 3


def test_the_challenger_is_the_latest_training_and_aliases_follow(registry: MlflowRegistry) -> None:
    trained(registry, "aliased")
    second = trained(registry, "aliased", night="2024-04-01")
    registry.point("aliased", "champion", "1")

    assert client(registry).get_model_version_by_alias("aliased", "challenger").version == int(second.version)
    assert client(registry).get_model_version_by_alias("aliased", "champion").version == 1
    with pytest.raises(ModelUnavailable, match="version 99 of aliased is not registered"):
        registry.point("aliased", "champion", "99")


def where_mlflow_looks(registry: MlflowRegistry, workflow: str) -> set[str]:
    """Every place that MLflow has written down for a workflow's models."""
    found = client(registry)
    experiment = found.get_experiment_by_name(workflow)
    runs = found.search_runs([experiment.experiment_id])
    versions = found.search_model_versions(f"name = '{workflow}'")
    recorded = [run.info.artifact_uri.removesuffix(f"/{run.info.run_id}/artifacts") for run in runs]
    recorded += [version.source.removesuffix(f"/{version.run_id}/artifacts/model") for version in versions]
    return {experiment.artifact_location, *recorded}


def test_models_are_found_where_they_were_moved_to(registry: MlflowRegistry, tmp_path: Path) -> None:
    model = registry.log_training(replace(TRAINING, workflow="moved", card="# Card"))
    moved = replace(registry, artifact_root=Path(registry.artifact_root).rename(tmp_path / "elsewhere"))

    assert moved.load(model) == FILES and moved.card(model) == "# Card"
    assert trained(moved, "moved") == model
    again = trained(moved, "moved", night="2024-04-01")
    assert moved.load(again) == FILES
    assert not Path(registry.artifact_root).exists()
    # MLflow's own pages look where it wrote down that they lie
    assert where_mlflow_looks(moved, "moved") == {f"{(tmp_path / 'elsewhere').as_uri()}/moved"}


def test_models_are_read_where_they_were_put_until_they_are_moved(registry: MlflowRegistry, tmp_path: Path) -> None:
    model = registry.log_training(replace(TRAINING, workflow="left", card="# Card"))
    other = replace(registry, artifact_root=tmp_path / "empty")

    assert other.load(model) == FILES and other.card(model) == "# Card"


def test_models_lie_behind_a_url(registry: MlflowRegistry, s3: S3Server) -> None:
    behind = replace(registry, artifact_root=f"{s3.bucket()}/house/models")
    model = behind.log_training(replace(TRAINING, workflow="behind", card="# Card"))

    assert behind.load(model) == FILES and behind.card(model) == "# Card"
    assert where_mlflow_looks(behind, "behind") == {f"{behind.artifact_root}/behind"}
    assert not Path(registry.artifact_root).exists()
    # MLflow's own client reads the same objects
    from mlflow.models import Model

    card = Model.load(client(behind).download_artifacts(model.run_id, "model"))
    assert card.signature.inputs.input_names() == ["price", "size"]
    s3.fault = refusing("400 Bad Request", "ExpiredToken")
    with pytest.raises(ModelUnavailable, match=r"version 1 of behind cannot be read: .*credentials have expired"):
        behind.load(model)


def test_a_store_that_is_away_is_no_lost_model(registry: MlflowRegistry, s3: S3Server) -> None:
    model = trained(registry, "away_for_now")
    behind = replace(registry, artifact_root=s3.bucket())
    s3.fault = refusing("403 Forbidden", "AccessDenied")
    with pytest.raises(ModelUnavailable, match="may not"):
        behind.load(model)


def test_changed_files_are_refused(registry: MlflowRegistry) -> None:
    model = trained(registry, "changed")
    kept = next(Path(registry.artifact_root).rglob("booster.ubj"))

    kept.write_bytes(b"{other!}")
    with pytest.raises(ModelUnavailable, match="not those that were registered"):
        registry.load(model)

    kept.unlink()
    with pytest.raises(ModelUnavailable, match="not those that were registered"):
        registry.load(model)


def test_a_pickle_among_the_files_is_refused(registry: MlflowRegistry) -> None:
    with pytest.raises(ModelUnavailable, match="may run code"):
        trained(registry, "pickled", files={**FILES, "model.bin": b"\x80\x04"})

    model = trained(registry, "pickled")
    next(Path(registry.artifact_root).rglob("booster.ubj")).with_name("model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ModelUnavailable, match="may run code"):
        registry.load(model)


def test_missing_files_and_versions_are_unavailable_and_training_again_mends_it(registry: MlflowRegistry) -> None:
    model = trained(registry, "lost")
    for path in Path(registry.artifact_root).rglob("*"):
        if path.is_file():
            path.unlink()

    with pytest.raises(ModelUnavailable, match="train it again"):
        registry.load(model)
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        registry.load(replace(model, version="7"))
    mended = trained(registry, "lost")
    assert mended.version == "2"
    assert registry.load(mended) == FILES


def test_a_failed_upload_registers_nothing(registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(registry, "broken")
    monkeypatch.setattr("resources.registry.registry._downloaded", lambda *_: {})

    with pytest.raises(ModelUnavailable, match="not what was written"):
        trained(registry, "broken", night="2024-04-01")

    found = client(registry)
    assert [v.version for v in found.search_model_versions("name = 'broken'")] == [1]
    runs = found.search_runs([found.get_experiment_by_name("broken").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED"]


def test_a_database_that_is_away_fails_at_once_and_hides_the_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://me:geheim@127.0.0.1:1/none"
    registry = MlflowRegistry(url, tmp_path, tmp_path / "keys")

    with pytest.raises(DatabaseUnreachable) as away:
        trained(registry, "away")
    with pytest.raises(ModelUnavailable) as unavailable:
        registry.load(ModelVersion("away", "1", "2024-03-01", "0", "0", {}))

    assert "geheim" not in f"{away.value}{unavailable.value}"


def test_two_that_come_first_at_once_make_the_tables_once(new_database: Callable[[], str], tmp_path: Path) -> None:
    url, failures = new_database(), []

    def prepare() -> None:
        try:
            prepare_once.__wrapped__(url)
        except Exception as problem:  # noqa: BLE001 - any failure of any thread is this test's failure
            failures.append(problem)

    racers = [threading.Thread(target=prepare) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert failures == []
    assert trained(MlflowRegistry(url, tmp_path, tmp_path / "keys"), "raced").version == "1"


def test_nothing_is_written_elsewhere_and_telemetry_is_off(
    registry: MlflowRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    trained(registry, "tidy")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "models"]
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "postgresql" not in repr(registry)


def interrupted(place: str) -> None:
    raise KeyboardInterrupt


def test_a_registry_that_does_not_say_what_aliases_point_at_lets_nothing_go(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(registry, "pointed")
    now = datetime.now(UTC) + timedelta(days=1)
    assert unneeded_versions(registry, "nobody", now, ()) == []

    def away(*_: object) -> None:
        raise MlflowException("away", TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr("mlflow.tracking.MlflowClient.get_registered_model", away)
    with pytest.raises(MlflowException, match="away"):
        unneeded_versions(registry, "pointed", now, ())


def test_files_of_versions_that_nobody_needs_are_let_go(registry: MlflowRegistry) -> None:
    """The last one has an alias, the second is named by the ledger: the first alone goes, and says so ever after."""
    first, second, third = [
        trained(registry, "old", files={**FILES, "model.json": b'{"a": %d}' % number}) for number in range(3)
    ]
    now = datetime.now(UTC) + timedelta(days=1)
    assert unneeded_versions(registry, "old", now - timedelta(days=2), {"2"}) == []
    (old,) = unneeded_versions(registry, "old", now, {"2"})
    assert (old.version, old.size > 0) == ("1", True)

    # stopped once the version said so and before all of its files were gone
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("resources.registry.letting_go.tree_of", interrupted)
        let_go(registry, "old", old, now)
    (left,) = unneeded_versions(registry, "old", now, {"2"})
    assert left == old

    let_go(registry, "old", left, now)
    with pytest.raises(ModelLetGo, match=f"let go on {now.date()}"):
        registry.load(first)
    assert registry.load(second) and registry.load(third)
    assert registry.version("old", "1") == first, "what was trained is still known"
    assert unneeded_versions(registry, "old", now, {"2"}) == []


def test_runs_that_came_to_nothing_are_removed_for_good(registry: MlflowRegistry) -> None:
    model = trained(registry, "fruitless")
    experiment = client(registry).get_experiment_by_name("fruitless").experiment_id
    failed, died = (client(registry).create_run(experiment).info.run_id for _ in range(2))
    client(registry).set_terminated(failed, "FAILED")
    now = datetime.now(UTC) + timedelta(days=1)

    assert fruitless_runs(registry, "nobody", now) == []
    assert fruitless_runs(registry, "fruitless", now - timedelta(days=2)) == []
    assert sorted(fruitless_runs(registry, "fruitless", now)) == sorted([failed, died])
    remove_runs(registry, [failed, died])
    assert fruitless_runs(registry, "fruitless", now) == []
    for run in (failed, died):
        with pytest.raises(Exception, match="not found"):
            client(registry).get_run(run)
    assert registry.load(model) == FILES
