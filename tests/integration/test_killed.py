"""A process killed anywhere in a night or a training, and started again, leaves what an undisturbed one leaves."""

from __future__ import annotations

import signal

import pytest
from deltalake import DeltaTable

from tests.integration import failpoints, shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House, all_differences, differences

WARM_UP = [shop.night(offset) for offset in range(3)]
#: A training is due on the first decided night and on Mondays.
MONDAY = "2025-03-10"
_points = list(failpoints.NIGHT)
#: By night: where the process is killed, one time after the other, before it may go through.
KILLED = {
    shop.DECIDE_FROM: list(failpoints.TRAINING),
    shop.night(4): _points[:5],
    shop.night(5): _points[5:9],
    shop.night(6): _points[9:13],
    shop.night(7): _points[13:],
    MONDAY: list(failpoints.TRAINING_AGAIN),
}
NIGHTS = [*WARM_UP, *KILLED]
RETRAIN = {"every": "week", "minimum_outcomes": 20, "minimum_per_label": 3}
#: The random share is drawn by the workflow's name as well, and the two homes' workflows have different ones.
REVIEW = {"cost": 15, "capacity": "20%", "exploration": 0}


def _house(new_house: NewHouse, label: str) -> House:
    model = {"history": [{"by": "customer"}], "retrain": RETRAIN}
    house = new_house(label, text=True, model=model, review=REVIEW, options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    for night in NIGHTS:
        cases = shop.rows(night, 24 if night in WARM_UP else 10)
        dirty = {**cases[-1], "case": f"D-{night}", "amount": "a lot"}
        told = [{**row, "note": f"{row['note']}, {night}"} for row in [*cases, dirty]]
        shop.drop_cases(house.folder, night, told)
        shop.drop_outcomes(house.folder, night, cases, f"{night}T23:00:00")
    house.nights(WARM_UP[0], WARM_UP[-1])
    return house


@pytest.fixture(scope="module")
def undisturbed(new_house: NewHouse) -> House:
    house = _house(new_house, "undisturbed")
    for night in KILLED:
        assert [run.outcome for run in house.nights(night)] == ["done"]
    return house


@pytest.fixture(scope="module")
def disturbed(new_house: NewHouse) -> House:
    return _house(new_house, "disturbed")


def _equal(found: House, wanted: House, night: str) -> None:
    assert all_differences(found.tables(night), wanted.tables(night)) == {}
    assert differences(found.decisions(night), wanted.decisions(night)) == []
    assert found.decisions(night)
    assert all_differences(found.work(night), wanted.work(night)) == {}
    assert found.work(night)["actions"]


@pytest.mark.parametrize("night", KILLED)
def test_killed_and_started_again_it_ends_as_if_nothing_had_been(
    undisturbed: House, disturbed: House, night: str
) -> None:
    words = ("nights", disturbed.name, "--from", night, "--to", night)
    for point in KILLED[night]:
        assert failpoints.ended(failpoints.run(disturbed.environ, words, point)) == -signal.SIGKILL, point
    assert [run.outcome for run in disturbed.nights(night)] == ["done"]
    _equal(disturbed, undisturbed, night)
    assert [run.outcome for run in disturbed.nights(night)] == ["passed_over"]


def test_at_last_ledger_and_lake_are_those_of_the_undisturbed_home(undisturbed: House, disturbed: House) -> None:
    disturbed.nights(shop.FIRST, MONDAY)
    undisturbed.nights(shop.FIRST, MONDAY)
    assert all_differences(disturbed.tables(), undisturbed.tables()) == {}
    ours, theirs = disturbed.facts(), undisturbed.facts()
    assert all_differences(ours, theirs) == {}
    assert all_differences(disturbed.work(), undisturbed.work()) == {}
    assert {row["state"] for row in disturbed.work()["actions"]} == {"ready", "waiting"}
    assert (len(theirs["models"]), len(theirs["champions"]), len(theirs["proposals"])) == (2, 1, 1)


def test_nobody_was_decided_twice_and_nothing_encoded_twice(disturbed: House) -> None:
    cases = [row["case_id"] for row in disturbed.decisions()]
    assert len(cases) == len(set(cases))
    assert {row["epoch"] for row in disturbed.decisions()} == {1}
    folder = disturbed.home / "lake" / "_vectors"
    for table in folder.iterdir():
        keys = DeltaTable(table).to_pyarrow_table(columns=["key"])["key"].to_pylist()
        assert len(keys) == len(set(keys)) > 0
