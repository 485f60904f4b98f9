"""Runs of dead processes are ended, those of living ones and of other homes are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline_project.commands.shared.orphans import TAG, alive, end_orphans


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def started(instance: dg.DagsterInstance, mark: dict[str, str]) -> str:
    @dg.job
    def night() -> None:
        pass

    run = instance.create_run_for_job(night, status=dg.DagsterRunStatus.STARTED, tags=mark)
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_the_run_of_a_living_process_goes_on(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    with alive(tmp_path) as mark:
        run = started(instance, mark)
        assert end_orphans(instance, tmp_path) == 0
        assert status(instance, run) == dg.DagsterRunStatus.STARTED
    assert list((tmp_path / "running").iterdir()) == []


def test_the_run_of_a_dead_process_is_ended_once(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    # what a killed process leaves: its file, and nobody who holds it
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / "gone").touch()
    run, other = started(instance, {TAG: "gone"}), started(instance, {TAG: "of another home"})
    daemons = started(instance, {})
    assert end_orphans(instance, tmp_path) == 1
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE
    assert {status(instance, each) for each in (other, daemons)} == {dg.DagsterRunStatus.STARTED}
    assert end_orphans(instance, tmp_path) == 0


def test_a_home_where_nothing_ever_ran_has_no_orphans(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert end_orphans(instance, tmp_path / "new") == 0
