"""A night run again, in one house: nothing changes, nothing is learned too late, nothing decided stands anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.deciding.clearance import CODE, SPEC
from pipeline_project.running_code import running_code
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House, Rows, all_differences, differences, frame

LAST_WARM_UP, FIRST_DECIDED, SECOND, THIRD = (shop.night(offset) for offset in (2, 3, 4, 5))


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Three nights of warm-up and three decided ones."""
    house = new_house("again", text=True)
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(6)])
    runs = house.nights(shop.FIRST, THIRD)
    assert [run.outcome for run in runs] == ["done"] * 6
    return house


def test_a_model_decides_so_that_there_is_something_to_keep(house: House) -> None:
    chosen = {row["option"] for row in house.decisions()}
    assert {ASK_PERSON, "pay", "assess"} <= chosen
    assert {row["model_version"] for row in house.decisions()} == {"1"}


def test_the_second_time_every_night_is_passed_over(house: House) -> None:
    before = house.lake.version(house.name, "cases")
    assert {run.outcome for run in house.nights(shop.FIRST, THIRD)} == {"passed_over"}
    assert house.lake.version(house.name, "cases") == before


@pytest.mark.parametrize("night", [LAST_WARM_UP, FIRST_DECIDED])
def test_a_night_that_is_run_again_ends_the_same_and_encodes_nothing(house: House, night: str) -> None:
    tables, facts = house.tables(), house.facts()
    assert [run.outcome for run in house.nights(night, again=True)] == ["done"]
    assert all_differences(house.tables(), tables) == {}
    assert all_differences(house.facts(), facts) == {}
    assert house.metadata("embeddings", night)["texts_encoded"] == 0
    assert house.metadata("embeddings", night)["texts_reused"] > 0


def test_what_a_night_was_decided_on_is_kept_with_the_digest_of_every_file(house: House) -> None:
    (cleared,) = house.sql(
        "SELECT judged FROM night_clearances WHERE workflow = :name AND night = :night AND step = 'decisions'",
        night=THIRD,
    )
    assert {"arrivals", "cases", "quarantine", "scores"} <= set(cleared["judged"])
    assert cleared["judged"].pop(CODE) == running_code()
    assert cleared["judged"].pop(SPEC)
    for asset_name, content in cleared["judged"].items():
        file = Path(house.lake.uri(house.name, asset_name), f"night={THIRD}", f"part-{content}.parquet")
        assert content.endswith(hashlib.sha256(file.read_bytes()).hexdigest()), asset_name


def test_a_training_that_is_repeated_is_the_same_fact(house: House) -> None:
    facts = house.facts()
    assert [run.outcome for run in house.nights(FIRST_DECIDED, retrain=True)] == ["done"]
    assert all_differences(house.facts(), facts) == {}


def test_outcomes_that_became_known_later_change_no_score_of_the_night(house: House) -> None:
    scores, training = house.table("scores", SECOND), house.table("training_set", FIRST_DECIDED)
    # everybody turns out to be a fraud at the very moment at which the second night begins
    for offset in range(4):
        cases = shop.rows(shop.night(offset))
        shop.drop_outcomes(house.folder, SECOND, cases, f"{SECOND}T00:00:00", lambda _: "fraud", part=f"-{offset}")
    before = house.ledger.outcomes_known(house.name, house_window(house, THIRD).end)
    house.nights(SECOND, again=True)
    told = house.ledger.outcomes_known(house.name, house_window(house, THIRD).end)
    assert told.to_dict() == before.to_dict(), "no night that was decided without them knows them"
    house.nights(FIRST_DECIDED, again=True, retrain=True)
    house.nights(SECOND, again=True)
    assert differences(house.table("scores", SECOND), scores) == []
    assert differences(house.table("training_set", FIRST_DECIDED), training) == []


def test_outcomes_that_came_late_change_no_score_of_a_night_decided_without_them(house: House) -> None:
    scores = house.table("scores", THIRD)
    house.nights(THIRD, again=True)
    assert differences(house.table("scores", THIRD), scores) == []


class TestAnotherPolicy:
    """The owner changes the costs after the night was decided."""

    @pytest.fixture(scope="class")
    @classmethod
    def redecided(cls, house: House) -> Iterator[tuple[House, Rows, str]]:
        before, old_hash = house.decisions(THIRD), house.spec.spec_hash
        options = {
            "pay": {"title": "Pay", "costs": {"honest": 0, "fraud": 0}},
            "assess": {"title": "Send an assessor", "costs": {"honest": 900, "fraud": 900}},
        }
        house.declare(text=True, options=options)
        late = [{**row, "case": f"L-{number}"} for number, row in enumerate(shop.rows(THIRD, 4))]
        shop.drop_cases(house.folder, THIRD, late, part="-late")
        assert [run.outcome for run in house.nights(THIRD)] == ["done"]
        yield house, before, old_hash
        house.declare(text=True)

    def test_what_stands_stands_and_the_table_says_what_would_be(self, redecided: tuple[House, Rows, str]) -> None:
        house, before, _ = redecided
        kept = [row for row in house.decisions(THIRD) if not str(row["case_id"]).startswith("L-")]
        assert differences(kept, before) == []
        table = frame(house.table("decisions", THIRD))
        for row in before:
            assert table.loc[row["case_id"], "option"] == row["option"]
        was_assessed = [row["case_id"] for row in before if row["option"] == "assess"]
        assert was_assessed
        assert set(table.loc[was_assessed, "would_be"]) <= {"pay", ASK_PERSON}
        assert house.metadata("decisions", THIRD)["would_change"] >= len(was_assessed)

    def test_only_cases_never_decided_are_decided(self, redecided: tuple[House, Rows, str]) -> None:
        house, _, old_hash = redecided
        assert house.metadata("decisions", THIRD)["new"] == 4
        under = house.sql("SELECT case_id, spec_hash FROM decisions WHERE workflow = :name")
        new_hash = house.spec.spec_hash
        assert new_hash != old_hash
        assert {row["case_id"] for row in under if row["spec_hash"] == new_hash} == {f"L-{n}" for n in range(4)}
        assert len(under) == len({row["case_id"] for row in under})


def house_window(house: House, night: str):
    from pipeline_project.partitions import window

    return window(house.spec, night)
