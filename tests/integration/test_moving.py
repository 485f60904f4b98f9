"""A home of an earlier version is backed up as it is, restored elsewhere and decides its next night there as before;
and what is backed up while nights run and are delivered is of one age."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_project.commands.shared.app_context import prepare
from pipeline_project.domain.core.store_terms import StoreTerms
from tests.integration import old_homes
from tests.integration.house import ROOT, House
from tests.places import memory

PACK = max((Path(__file__).parent / "homes").glob("*.tar.xz"))
#: What must be as it was; options carry money.
EXACT = ("case_id", "epoch", "option", "reason", "model_version")
#: Made while a night runs, and put back.
BACKUPS = 2


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    # pytest's own folders are closed to the user that the server runs as
    base = Path(tempfile.mkdtemp(prefix="pipeline-moving-", dir=memory()))
    try:
        yield base
    finally:
        for home in base.iterdir():
            if (home / "postgres").is_dir():
                old_homes.stop(home)
        shutil.rmtree(base)


@pytest.fixture(scope="module")
def moved(base: Path) -> House:
    """The old home's backup, in another place; the home itself is where nobody finds it."""
    home, elsewhere = base / "home", base / "elsewhere"
    home.mkdir()
    house = old_homes.opened(PACK, home)
    done = house.command("backup", str(base / "backup"), "--keys", str(base / "vault"))
    assert done.returncode == 0, done.stdout + done.stderr
    old_homes.stop(home)
    elsewhere.mkdir()
    # sources and workflow files are the user's own
    shutil.copytree(home / "own", elsewhere / "own")
    home.rename(base / "gone")
    house = old_homes.house_in(elsewhere)
    done = house.command("restore", str(base / "backup"), "--keys", str(base / "vault"))
    assert done.returncode == 0, done.stdout + done.stderr
    return house


def test_an_old_home_decides_its_next_night_elsewhere_as_it_would_have(moved: House, base: Path) -> None:
    before = moved.decisions()
    for words in (["audit", "verify"], ["reconcile", moved.name], ["doctor", "--deep"]):
        said = moved.command(*words)
        assert said.returncode == 0, said.stdout + said.stderr
    (run,) = moved.nights(old_homes.NEXT)
    assert (run.outcome, run.why) == ("done", None)
    then, now = old_homes.decided_then(base / "gone"), moved.decisions(old_homes.NEXT)
    assert [[row[name] for name in EXACT] for row in now] == [[row[name] for name in EXACT] for row in then]
    assert {row["model_version"] for row in now} != {None}, "the restored champion decided"
    assert [row for row in moved.decisions() if str(row["night"]) != old_homes.NEXT] == before


def test_after_retention_a_night_is_still_done_and_is_decided_again_the_same(moved: House) -> None:
    """As if a thousand days had passed: what a night hangs on is all there."""
    night = old_homes.NEXT
    with moved.entered():
        upkeep = prepare().stores.upkeep(moved.lake, datetime.now(UTC) + timedelta(days=1000))
        upkeep = replace(upkeep, terms=StoreTerms(versions=1))
        let_go = [one for one in [*upkeep.of_workflow(moved.name, False), *upkeep.of_house(False)] if one.count]
    assert {one.store for one in let_go} >= {"dagster"}
    decided, work = moved.decisions(), moved.work()
    assert [run.outcome for run in moved.nights(night)] == ["passed_over"]
    (again,) = moved.nights(night, again=True)
    assert (again.outcome, again.why) == ("done", None)
    assert (moved.decisions(), moved.work()) == (decided, work)
    assert moved.command("reconcile", moved.name).returncode == 0


def test_backups_that_are_made_while_a_night_runs_are_of_one_age(moved: House, base: Path) -> None:
    night = old_homes.NIGHTS[-1]
    command = [sys.executable, "-m", "pipeline_project.cli", "nights", moved.name, "--from", night, "--to", night]
    before, made = _attempt(moved, night), list[Path]()
    running = subprocess.Popen(
        [*command, "--again"], cwd=ROOT, env=_environ(moved), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while running.poll() is None and _attempt(moved, night) == before:
        time.sleep(0.1)
    while running.poll() is None and len(made) < BACKUPS:
        target = base / f"meanwhile-{len(made)}"
        done = moved.command("backup", str(target), "--keys", str(base / "vault"))
        assert done.returncode == 0, done.stdout + done.stderr
        made.append(target)
    assert (running.wait(), made != []) == (0, True), running.communicate()[0]

    decided = moved.decisions()
    copies = House(moved.name, base / "copies", None)
    shutil.copytree(moved.folder, copies.folder)
    for target in made:
        done = copies.command("restore", str(target), "--keys", str(base / "vault"), "--overwrite")
        assert done.returncode == 0, done.stdout + done.stderr
        assert copies.decisions() == decided
    (run,) = copies.nights(night, again=True)
    assert (run.outcome, run.why) == ("done", None)


def _attempt(house: House, night: str) -> int:
    (row,) = house.sql("SELECT attempt FROM attempts WHERE workflow = :name AND night::text = :night", night=night)
    return int(row["attempt"])


def _environ(house: House) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}, **house.environ}
