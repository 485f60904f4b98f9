"""A night that one version of the code began and another one goes on with: refused, and run whole by one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipeline_project.definitions import build_definitions
from pipeline_project.running_code import PACKAGES, running_code
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import ROOT, House
from tests.integration.test_bad_nights import NO_MODEL
from tests.integration.test_blocked import why

NIGHT = shop.FIRST
#: The variable that names the workflow, for a job that is made anew from its name.
WORKFLOW = "PIPELINE_TEST_TWO_VERSIONS"
#: What went wrong in the older version, after all that a night's decisions rest on was made.
BROKEN = '        raise dg.Failure("a mistake of the older version", allow_retries=False)\n'


def nightly() -> dg.JobDefinition:
    """The job of the workflow that the environment names, by the code of this checkout."""
    return build_definitions(os.environ).resolve_job_def(f"{os.environ[WORKFLOW]}_nightly")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real copy of the code that differs in one line."""
    copy = tmp_path_factory.mktemp("older")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / file, copy / file)
    decisions = copy / "assets" / "decisions.py"
    begins = "        hold_identity(spec, ledger, night)\n"
    content = decisions.read_text(encoding="utf-8")
    assert begins in content
    decisions.write_text(content.replace(begins, begins + BROKEN), encoding="utf-8")
    return copy


@pytest.fixture
def house(new_house: NewHouse) -> House:
    house = new_house("versions", **NO_MODEL)
    shop.drop_nights(house.folder, [NIGHT], count=8, outcomes=False)
    return house


def by(copy: Path, house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of that copy, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    return subprocess.run(
        [sys.executable, "-m", "pipeline_project.cli", *words],
        env={**kept, **house.environ, "PYTHONPATH": str(copy)}, cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_the_older_one_began_is_not_decided_by_the_newer_one_which_runs_it_whole(
    house: House, older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = by(older, house, "nights", house.name, "--night", NIGHT)
    assert begun.returncode == 1, begun.stderr
    assert "a mistake of the older version" in begun.stdout + begun.stderr
    with house.instance() as (_, instance):
        monkeypatch.setenv(WORKFLOW, house.name)
        (failed,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=1)
        again = dg.execute_job(
            dg.reconstructable(nightly),
            instance,
            tags=failed.tags,
            reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, instance),
        )
        assert not again.success
        told = why(again)
    assert "of the code began it, and this process runs" in told
    assert running_code() in told
    assert f"Next: pipeline nights {house.name} --from {NIGHT} --to {NIGHT}" in told
    assert house.decisions(NIGHT) == []
    (run,) = house.nights(NIGHT)
    assert run.outcome == "done"
    assert len(house.decisions(NIGHT)) == 8
    versions = house.sql("SELECT DISTINCT judged ->> 'code' AS code FROM night_clearances WHERE workflow = :name")
    assert [row["code"] for row in versions] == [running_code()]
    seen = house.sql("SELECT DISTINCT judged ->> 'code' AS code FROM night_verdicts WHERE workflow = :name")
    assert len(seen) == 2
