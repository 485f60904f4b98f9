"""The latest materialization of each night: read once, and never taken for another one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline_project.automation.last_made import last_made

KEY = dg.AssetKey(["claims", "arrivals"])
NIGHTS = ["2025-03-01", "2025-03-02", "2025-03-03"]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each question brought."""
    counts: list[int] = []
    ask = dg.DagsterInstance.fetch_materializations

    def counted(instance: dg.DagsterInstance, *given: Any, **named: Any) -> Any:
        answer = ask(instance, *given, **named)
        counts.append(len(answer.records))
        return answer

    monkeypatch.setattr(dg.DagsterInstance, "fetch_materializations", counted)
    return counts


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def make(
    instance: dg.DagsterInstance, night: str, landed: str, key: dg.AssetKey = KEY, **metadata: bool | float
) -> None:
    said = dg.AssetMaterialization(key, partition=night, metadata={"landed": landed, **metadata})
    instance.report_runless_asset_event(said)


def landed(instance: dg.DagsterInstance, nights: list[str] = NIGHTS) -> dict[str, str | None]:
    return {night: made.landed for night, made in last_made(instance, KEY, nights).items()}


def test_each_event_is_read_once(instance: dg.DagsterInstance, fetched: list[int]) -> None:
    for night in NIGHTS:
        make(instance, night, f"of {night}")
    expected = {night: f"of {night}" for night in NIGHTS}
    assert landed(instance) == expected
    assert sum(fetched) == 3
    fetched.clear()
    assert landed(instance) == expected
    # the newest one again, to see that the log is still the same one
    assert sum(fetched) == 1
    make(instance, NIGHTS[0], "anew")
    fetched.clear()
    assert landed(instance) == {**expected, NIGHTS[0]: "anew"}
    assert sum(fetched) == 2


def test_only_the_nights_asked_for_are_told(instance: dg.DagsterInstance) -> None:
    for night in NIGHTS:
        make(instance, night, night)
    make(instance, NIGHTS[0], "of another asset", key=dg.AssetKey(["claims", "cases"]))
    assert landed(instance, []) == {}
    assert landed(instance, [NIGHTS[1], "2025-04-01"]) == {NIGHTS[1]: NIGHTS[1]}
    assert landed(instance) == {night: night for night in NIGHTS}


def test_what_was_late_is_kept_with_its_time(instance: dg.DagsterInstance) -> None:
    make(instance, NIGHTS[0], "a", late=True)
    make(instance, NIGHTS[1], "b", late=False, late_at=12.5)
    make(instance, NIGHTS[2], "c", late=False)
    made = last_made(instance, KEY, NIGHTS)
    assert [made[night].late_at for night in NIGHTS] == [made[NIGHTS[0]].at, 12.5, None]


def test_what_was_wiped_is_not_made(instance: dg.DagsterInstance) -> None:
    make(instance, NIGHTS[0], "before")
    assert landed(instance) == {NIGHTS[0]: "before"}
    instance.wipe_assets([KEY])
    assert landed(instance) == {}
    make(instance, NIGHTS[1], "after")
    assert landed(instance) == {NIGHTS[1]: "after"}


def test_another_database_is_another_log(instance: dg.DagsterInstance) -> None:
    make(instance, NIGHTS[0], "here")
    assert landed(instance) == {NIGHTS[0]: "here"}
    with dg.DagsterInstance.ephemeral() as other:
        make(other, NIGHTS[0], "there")
        assert landed(other) == {NIGHTS[0]: "there"}


def test_after_a_restore_the_same_number_may_be_another_event(tmp_path: Path) -> None:
    """The log is put back to an earlier point, and its numbers are given once more."""
    home, kept = tmp_path / "home", tmp_path / "kept"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        make(instance, NIGHTS[0], "first")
    shutil.copytree(home, kept)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        make(instance, NIGHTS[1], "lost")
        make(instance, NIGHTS[2], "lost too")
        assert landed(instance) == {NIGHTS[0]: "first", NIGHTS[1]: "lost", NIGHTS[2]: "lost too"}
        numbers = {night: made.number for night, made in last_made(instance, KEY, NIGHTS).items()}
    shutil.rmtree(home)
    shutil.copytree(kept, home)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        make(instance, NIGHTS[1], "again")
        assert landed(instance) == {NIGHTS[0]: "first", NIGHTS[1]: "again"}
        # else this test shows nothing
        assert last_made(instance, KEY, NIGHTS)[NIGHTS[1]].number == numbers[NIGHTS[1]]
