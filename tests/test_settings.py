from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.domain.core.compute import ComputeEngine, ComputeTerms
from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.settings import Settings


def test_without_variables_everything_lies_under_one_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environ({"PIPELINE_HOME": "", "PIPELINE_DEVICE": ""})
    assert settings.home == tmp_path / ".pipeline"
    assert settings.lake_url == str(tmp_path / ".pipeline" / "lake")
    assert settings.sample_folder == tmp_path / ".pipeline" / "sample"
    assert (settings.postgres_url, settings.real_data, settings.workflow_folders) == (None, None, ())


def test_another_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "PIPELINE_HOME": "house",
        "PIPELINE_POSTGRES_URL": "postgresql://u:p@h/d",
        "PIPELINE_LAKE_URL": "s3://bucket/lake",
        "PIPELINE_WORKFLOWS": "one:/two",
        "PIPELINE_DEVICE": "cuda",
        "PIPELINE_COMPUTE": "ray",
        "PIPELINE_RAY_ADDRESS": "head.example:6379",
        "PIPELINE_SAMPLE": "cases",
        "PIPELINE_REAL_DATA": "data",
        "PIPELINE_DAGSTER_YAML": "launcher.yaml",
        "PIPELINE_HOSTS": "night.example, other.example,",
        "PIPELINE_SPEC_VARIABLES": " CLAIMS_URL ,SHOP",
        "PIPELINE_REQUIRE_SIGN_IN": "no",
    }
    settings = Settings.from_environ(given)
    monkeypatch.chdir("/")
    assert Settings.from_environ(settings.to_environ()) == settings
    assert settings.workflow_folders == (tmp_path / "one", Path("/two"))
    assert settings.lake_url == "s3://bucket/lake"
    assert settings.compute == ComputeTerms(ComputeEngine.RAY, "head.example:6379")
    assert settings.dagster_yaml == tmp_path / "launcher.yaml"
    assert settings.hosts == ("night.example", "other.example")
    assert settings.spec_variables == ("CLAIMS_URL", "SHOP")
    assert settings.require_sign_in is False


@pytest.mark.parametrize(("said", "meant"), [("", None), ("1", True), (" Yes", True), ("0", False), ("OFF", False)])
def test_yes_and_no_are_said_in_several_ways(said: str, meant: bool | None) -> None:
    assert Settings.from_environ({"PIPELINE_REQUIRE_SIGN_IN": said}).require_sign_in is meant


def test_what_is_neither_yes_nor_no_is_refused_and_not_repeated() -> None:
    with pytest.raises(
        SettingInvalid, match="PIPELINE_REQUIRE_SIGN_IN is neither yes nor no; set it to 1 or 0"
    ) as told:
        Settings.from_environ({"PIPELINE_REQUIRE_SIGN_IN": "hunter2"})
    assert "hunter2" not in str(told.value)


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(Settings.from_environ({"PIPELINE_POSTGRES_URL": "postgresql://u:secret@h/d"}))


def test_an_unknown_device_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingInvalid, match=r"PIPELINE_DEVICE is 'tpu'.*auto, cpu, cuda or cuda:1"):
        Settings.from_environ({"PIPELINE_DEVICE": "tpu"})


def test_what_hosts_share_lies_below_one_url_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    at_home = Settings.from_environ({"PIPELINE_HOME": "house"})
    names = ("lake_url", "models", "reports", "repairs", "checkpoints")
    folders = ("lake", "models", "reports", "repairs", "checkpoints")
    assert [getattr(at_home, name) for name in names] == [str(tmp_path / "house" / folder) for folder in folders]

    shared = {"PIPELINE_FILES_URL": "s3://bucket/house/", "PIPELINE_KEYS": "keys", "PIPELINE_CHECKPOINTS": "worm"}
    behind = Settings.from_environ({**shared, "PIPELINE_MODELS": "gs://other/models"})
    assert (behind.lake_url, behind.models) == ("s3://bucket/house/lake", "gs://other/models")
    assert (behind.reports, behind.repairs) == ("s3://bucket/house/reports", "s3://bucket/house/repairs")
    assert (behind.checkpoints, behind.keys) == (str(tmp_path / "worm"), tmp_path / "keys")
    assert behind.home == tmp_path / ".pipeline"
    monkeypatch.chdir("/")
    assert Settings.from_environ(behind.to_environ()) == behind


def test_keys_of_hosts_that_share_files_are_named() -> None:
    with pytest.raises(SettingInvalid, match="PIPELINE_KEYS is not set, so each would seal and sign with keys of its"):
        Settings.from_environ({"PIPELINE_FILES_URL": "s3://bucket"})


@pytest.mark.parametrize("name", ["FILES_URL", "MODELS", "REPORTS", "REPAIRS", "CHECKPOINTS"])
def test_a_place_behind_another_kind_of_url_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(SettingInvalid, match=f"PIPELINE_{name} is no folder .*s3://") as told:
        Settings.from_environ({f"PIPELINE_{name}": "https://user:hunter2@host/x"})
    assert "hunter2" not in str(told.value)


def test_what_computes_is_this_process_or_ray_at_an_address() -> None:
    assert not Settings.from_environ({}).compute.on_ray
    with pytest.raises(SettingInvalid, match=r"PIPELINE_COMPUTE is 'spark'; set it to process or ray"):
        Settings.from_environ({"PIPELINE_COMPUTE": "spark"})
    with pytest.raises(SettingInvalid, match="set it to auto, local or host:port") as told:
        Settings.from_environ({"PIPELINE_RAY_ADDRESS": "ray://me:hunter2@head"})
    assert "hunter2" not in str(told.value)
