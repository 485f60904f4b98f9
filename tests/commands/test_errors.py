"""Mistakes that a person can mend: one sentence on standard error, an exit code, never a traceback or a secret."""

from __future__ import annotations

import errno
from pathlib import Path
from unittest import mock

import pytest

from pipeline_project.commands import demo, nights
from pipeline_project.settings import ROOT
from pipeline_project.spec.load import SHIPPED
from tests.commands.conftest import LANDED, NAME, NIGHT, Call, Home


def test_an_unknown_workflow_gets_the_closest_name(home: Home, call: Call) -> None:
    said = call("quarantine", "retruns", **home.environ)
    assert said.code == 5
    assert "did you mean returns?" in said.err
    assert NAME in said.err


@pytest.mark.parametrize("command", ["status", "results", "nights", "quarantine"])
def test_a_broken_workflow_names_the_line(command: str, call: Call, tmp_path: Path) -> None:
    text = (SHIPPED / "returns.yaml").read_text(encoding="utf-8").replace("workflow: returns", "workflow: mine")
    lines = text.replace("owners:", "ownrs:").splitlines()
    (tmp_path / "mine.yaml").write_text("\n".join(lines), encoding="utf-8")
    at = next(number for number, line in enumerate(lines, start=1) if line.startswith("ownrs:"))
    said = call(command, "mine", PIPELINE_WORKFLOWS=str(tmp_path), PIPELINE_HOME=str(tmp_path / "home"))
    assert (said.code, said.out) == (3, "")
    assert f"mine.yaml:{at}:" in said.err
    assert "owners" in said.err
    assert not (tmp_path / "home").exists()


def test_check_reports_every_mistake(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = (SHIPPED / "returns.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("owners:", "ownrs:").replace("currency: EUR", "currency: euro"), encoding="utf-8")
    found = call("check", file, "--json").document
    assert {mistake["where"] for mistake in found} >= {"ownrs", "currency"}
    assert all(mistake["line"] >= 1 and mistake["file"] == str(file) for mistake in found)
    said = call("check", file)
    assert said.code == 3
    assert said.out.startswith("The data were not looked at")
    assert len(said.err.splitlines()) == len(found)


def test_check_of_all_finds_missing_folders_and_names_used_twice(call: Call, tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text((SHIPPED / "returns.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    said = call("check", PIPELINE_WORKFLOWS=f"{tmp_path}:{tmp_path / 'nowhere'}")
    assert said.code == 3
    assert "returns: no mistakes" in said.out
    assert "read first" in said.err
    assert "no such folder" in said.err


def test_sound_workflows_have_no_mistakes(call: Call) -> None:
    assert call("check", "--json").document == []
    assert call("check").code == 0


@pytest.mark.parametrize("command", [["status"], ["why", "returns", "C"], ["results", "returns"], ["env"]])
def test_an_unreachable_database_is_named_without_its_password(command: list[str], call: Call, tmp_path: Path) -> None:
    url = "postgresql://somebody:hemmelig@127.0.0.1:1/x"
    said = call(*command, PIPELINE_HOME=str(tmp_path), PIPELINE_POSTGRES_URL=url)
    assert (said.code, said.out) == (4, "")
    assert "somebody:***@127.0.0.1:1" in said.err
    assert "hemmelig" not in said.err


@pytest.mark.parametrize("command", [["status"], ["sample", "--to", "2025-02-02"], ["up"], ["demo"]])
def test_a_home_that_cannot_be_written(command: list[str], call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = call(*command, PIPELINE_HOME=str(tmp_path / "file" / "home"))
    assert (said.code, said.out) == (4, "")
    assert str(tmp_path / "file" / "home") in said.err
    assert "PIPELINE_HOME" in said.err


def test_a_full_disk_is_one_sentence(call: Call, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "claims.csv"))
    with mock.patch("pipeline_project.sample.make_sample", side_effect=full):
        said = call("sample", "--to", "2025-02-02", PIPELINE_HOME=str(tmp_path))
    assert said.code == 4
    assert said.err.splitlines()[-1].startswith(f"No space left on device at {tmp_path}")


def test_an_error_nobody_foresaw_keeps_its_traceback(call: Call, tmp_path: Path) -> None:
    with (
        mock.patch("pipeline_project.sample.make_sample", side_effect=FileNotFoundError(errno.ENOENT, "gone")),
        pytest.raises(FileNotFoundError),
    ):
        call("sample", "--to", "2025-02-02", PIPELINE_HOME=str(tmp_path))


def test_a_setting_that_cannot_be(call: Call, tmp_path: Path) -> None:
    said = call("status", PIPELINE_HOME=str(tmp_path), PIPELINE_DEVICE="abacus")
    assert said.code == 2
    assert "PIPELINE_DEVICE" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["--night", NIGHT, "--from", NIGHT],
        ["--from", "2025-03-02", "--to", "2025-03-01"],
        ["--from", "2020-01-01"],
        ["--from", "9000-01-01", "--to", "9000-01-02"],
        ["--from", "tomorrow"],
    ],
)
def test_wrong_ranges_of_nights(words: list[str], home: Home, call: Call) -> None:
    said = call("nights", NAME, *words, **home.environ)
    assert (said.code, said.out) == (2, "")
    assert said.err


def test_without_a_range_nights_end_with_the_last_that_landed(home: Home, call: Call) -> None:
    with mock.patch.object(nights, "run_nights", return_value=[]) as ran:
        assert call("nights", NAME, "--json", **home.environ).document == {"workflow": NAME, "nights": []}
    assert str(ran.call_args.args[2]) == LANDED


def test_nothing_landed_is_said(call: Call, tmp_path: Path) -> None:
    said = call("nights", "returns", PIPELINE_HOME=str(tmp_path))
    assert said.code == 5
    assert "nothing has landed for returns" in said.err


def test_one_night_is_a_range_of_one(home: Home, call: Call) -> None:
    with mock.patch.object(nights, "run_nights", return_value=[]) as ran:
        assert call("nights", NAME, "--night", NIGHT, **home.environ).code == 0
    assert [str(day) for day in ran.call_args.args[1:3]] == [NIGHT, NIGHT]


def test_ctrl_c_during_nights_says_how_to_go_on(home: Home, call: Call) -> None:
    with mock.patch.object(nights, "run_nights", side_effect=KeyboardInterrupt):
        said = call("nights", NAME, "--from", NIGHT, "--to", LANDED, "--again", "--json", **home.environ)
    assert (said.code, said.out) == (130, "")
    assert said.err.strip().endswith(f"pipeline nights {NAME} --from {NIGHT} --to {LANDED} --again")


def test_ctrl_c_during_the_demo_says_how_to_go_on(call: Call, tmp_path: Path) -> None:
    with mock.patch.object(demo, "write_nights", side_effect=KeyboardInterrupt):
        said = call("demo", "--nights", "3", PIPELINE_HOME=str(tmp_path))
    assert said.code == 130
    assert said.err.strip().endswith("pipeline demo --nights 3 --per-night 80 --seed 7")


def test_sample_says_what_it_wrote(call: Call, tmp_path: Path) -> None:
    words = ("sample", "--from", "2025-02-01", "--to", "2025-02-02", "--per-night", "10", "--json")
    said = call(*words, PIPELINE_HOME=str(tmp_path))
    assert said.code == 0
    assert said.document["nights"] == 2
    assert said.document["claims"] > 0
    assert said.err == ""
    assert call("sample", "--from", "2025-02-02", "--to", "2025-02-01", PIPELINE_HOME=str(tmp_path)).code == 2


def test_dagster_is_configured_by_a_file_of_ones_own(home: Home, call: Call, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    environ = {**home.environ, "PIPELINE_DAGSTER_YAML": str(mine)}
    said = call("status", NAME, **environ)
    assert (said.code, said.out) == (2, "")
    assert "PIPELINE_DAGSTER_YAML names" in said.err
    assert "unset it to use that one" in said.err
    mine.write_text(f"# mine\n{(ROOT / 'dagster.yaml').read_text(encoding='utf-8')}", encoding="utf-8")
    assert call("status", NAME, **environ).code == 0
    assert (home.folder / "dagster" / "dagster.yaml").read_text(encoding="utf-8").startswith("# mine")
    assert call("status", NAME, **home.environ).code == 0
    assert (home.folder / "dagster" / "dagster.yaml").read_text(encoding="utf-8").startswith("# The instance")
