"""A disk without room under a worker: the night fails with words, nothing half-written counts, and with room it goes
through as on a quiet machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.chaos.disks import small_disk
from pipeline_project.domain.core.errors import HomeUnusable
from resources.destinations.file_drop import FileDrop
from resources.ledger.nights.ledger import PostgresLedger
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House, all_differences
from tests.integration.test_bad_nights import NO_MODEL
from tests.resources.ledger.outbox.outbox_desk import Desk

pytestmark = pytest.mark.small_disks
NIGHT, NEXT = shop.night(0), shop.night(1)
KILOBYTES = 4_096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", KILOBYTES) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def calm(new_house: NewHouse) -> House:
    house = new_house("room", **NO_MODEL)
    shop.drop_nights(house.folder, [NIGHT, NEXT], count=8, outcomes=False)
    assert [run.outcome for run in house.nights(NIGHT, NEXT)] == ["done", "done"]
    return house


def fill(disk: Path, left: int) -> Path:
    """Takes all room but so many kilobytes."""
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - left * 1024)))
    return filler


@pytest.mark.parametrize("left", [16, 64], ids=lambda left: f"{left} kB")
def test_a_night_fails_with_the_disk_and_what_to_do_and_goes_through_once_there_is_room(
    calm: House, new_house: NewHouse, disk: Path, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # steps are tried again as ever, and nobody waits in between
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda *_: 0.0)
    # another home, on a disk with room, looks at the ledger
    beside = new_house("full", **NO_MODEL)
    house = House(beside.name, disk / "home", beside.server)
    house.declare(**NO_MODEL)
    shop.drop_nights(house.folder, [NIGHT, NEXT], count=8, outcomes=False)
    assert [run.outcome for run in house.nights(NIGHT)] == ["done"]
    filler = fill(disk, left)
    (run,) = house.nights(NEXT)
    assert run.outcome == "failed"
    assert "no room" in str(run.why)
    assert str(disk) in str(run.why)
    assert "free some" in str(run.why)
    (alert,) = [alert for alert in beside.alerts() if alert.key == f"nightly/{NEXT}"]
    assert "no room" in alert.message and str(disk) in alert.message
    assert alert.next_command == f"pipeline nights {house.name} --from {NEXT} --to {NEXT}"
    # decided whole, in the ledger, or not at all, whichever table found no room
    assert len(beside.decisions(NEXT)) in (0, 8)
    # what is there of the night is whole, and the night before is as it was
    for asset_name, rows in house.tables(NEXT).items():
        assert rows is None or rows == calm.table(asset_name, NEXT), asset_name
    assert all_differences(house.tables(NIGHT), calm.tables(NIGHT)) == {}
    filler.unlink()
    (again,) = house.nights(NEXT)
    assert again.outcome == "done"
    assert all_differences(house.tables(), calm.tables()) == {}
    assert all_differences(house.work(), calm.work()) == {}
    assert [alert for alert in beside.alerts() if alert.key == f"nightly/{NEXT}"] == []


def test_a_home_without_any_room_is_refused_before_anything_begins(disk: Path, new_house: NewHouse) -> None:
    made = new_house("nowhere", **NO_MODEL)
    house = House(made.name, disk / "home", made.server)
    house.declare(**NO_MODEL)
    fill(disk, 0)
    with pytest.raises(HomeUnusable, match=r"PIPELINE_HOME .*disk.*on a disk with space"):
        house.nights(NIGHT)


def test_actions_wait_for_room_where_they_are_put_and_leave_nothing_half_written(disk: Path, own_ledger: str) -> None:
    desk, drop = Desk(PostgresLedger(own_ledger), own_ledger), FileDrop(disk / "out", 8)
    desk.ready("A")
    filler = fill(disk, 0)
    assert desk.dispatcher(drop).once() == 1
    assert "free some room on its disk" in str(desk.row("A", "hold"))
    assert [*(disk / "out").iterdir()] == []
    filler.unlink()
    desk.drain(drop)
    assert {*desk.states("A").values()} == {"done"}
    assert len([*(disk / "out").glob("[!.]*.json")]) == len([*(disk / "out").iterdir()]) == 4
