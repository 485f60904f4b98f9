"""One bad night blocks itself alone, and what is missing or empty is no failure. Nobody trains here: people decide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline_project.domain.core.alerts import OpenAlert
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

#: A house without a model decides from its first night on, and every case goes to a person.
NO_MODEL = {"nights": {"time_zone": "Europe/Berlin", "first": shop.FIRST, "decide_from": shop.FIRST}}
BEFORE, BAD, AFTER, EMPTY, MISSING, LAST = (shop.night(offset) for offset in range(6))


def _without_amount(path: Path) -> None:
    """Takes a column out of a file of cases, as a changed export does."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    place = lines[0].index("amount")
    path.write_text("\n".join(",".join(cells[:place] + cells[place + 1 :]) for cells in lines) + "\n")


def _with_many_refused(path: Path) -> None:
    """Makes most amounts unreadable."""
    header, *lines = path.read_text().splitlines()
    place = header.split(",").index("amount")
    cells = [line.split(",") for line in lines]
    for row in cells[: len(cells) * 3 // 4]:
        row[place] = "much"
    path.write_text("\n".join([header, *(",".join(row) for row in cells)]) + "\n")


def _night_alerts(house: House) -> list[OpenAlert]:
    """Open alerts about nights; that nothing could be trained is told as well, by another."""
    return [alert for alert in house.alerts() if alert.kind == "night_stopped"]


@dataclass(frozen=True)
class Spoilt:
    """A house with a bad night between two good ones, the check that must say so and a word of its reason."""

    house: House
    check: str
    word: str


class TestOneBadNight:
    @pytest.fixture(
        scope="class",
        params=[(_without_amount, "columns_present", "amount"), (_with_many_refused, "night_is_sound", "refused")],
        ids=["a column is missing", "most rows are refused"],
    )
    @classmethod
    def spoilt(cls, new_house: NewHouse, request: pytest.FixtureRequest) -> Spoilt:
        spoil, check, word = request.param
        house = new_house("bad", **NO_MODEL)
        shop.drop_nights(house.folder, [BEFORE, BAD, AFTER], count=8)
        spoil(house.folder / "in" / "claims" / f"{BAD}.csv")
        return Spoilt(house, check, word)

    def test_it_blocks_itself_alone(self, spoilt: Spoilt) -> None:
        house = spoilt.house
        outcomes = {run.night: run for run in house.nights(BEFORE, AFTER)}
        assert [outcomes[night].outcome for night in (BEFORE, BAD, AFTER)] == ["done", "blocked", "done"]
        assert spoilt.word in str(outcomes[BAD].why)
        assert len(house.decisions(BEFORE)) == len(house.decisions(AFTER)) == 8
        assert house.decisions(BAD) == []
        assert house.table("decisions", BAD) is None

    def test_its_own_check_failed_and_no_other_nights(self, spoilt: Spoilt) -> None:
        assert spoilt.house.checks("cases", BAD)[spoilt.check] is False
        for night in (BEFORE, AFTER):
            verdicts = spoilt.house.checks("cases", night)
            assert set(verdicts.values()) == {True}
            assert spoilt.check in verdicts

    def test_the_owner_is_told_what_to_run(self, spoilt: Spoilt) -> None:
        (alert,) = _night_alerts(spoilt.house)
        assert alert.owner == "team:claims-desk"
        assert alert.next_command == f"pipeline quarantine {spoilt.house.name} --night {BAD}"
        assert spoilt.check in alert.message

    def test_a_mended_file_brings_it_through_and_closes_the_alert(self, spoilt: Spoilt) -> None:
        house = spoilt.house
        shop.drop_nights(house.folder, [BAD], count=8)
        assert [run.outcome for run in house.nights(BEFORE, AFTER)] == ["passed_over", "done", "passed_over"]
        assert len(house.decisions(BAD)) == 8
        assert house.checks("cases", BAD)[spoilt.check] is True
        assert _night_alerts(house) == []


class TestNightsWithoutCases:
    @pytest.fixture(scope="class")
    @classmethod
    def house(cls, new_house: NewHouse) -> House:
        house = new_house("sparse", **NO_MODEL)
        shop.drop_nights(house.folder, [BEFORE, LAST], count=6)
        shop.drop_cases(house.folder, EMPTY, [])
        # the case ids of the first night once more, unchanged and changed, and the whole first file again
        again = shop.rows(BEFORE, 6)
        shop.drop_cases(house.folder, AFTER, [again[0], {**again[1], "amount": "1.00"}, *shop.rows(AFTER, 4)])
        shop.drop_cases(house.folder, LAST, shop.rows(LAST, 6), part="-again")
        assert [run.outcome for run in house.nights(BEFORE, LAST)] == ["done"] * 6
        return house

    @pytest.mark.parametrize("night", [EMPTY, MISSING])
    def test_an_empty_and_a_missing_night_are_empty_partitions(self, house: House, night: str) -> None:
        assert {rows if rows is None else len(rows) for rows in house.tables(night).values()} <= {0, None}
        assert house.table("decisions", night) == []
        assert set(house.checks("cases", night).values()) == {True}
        assert night in house.page(night)

    def test_the_same_file_twice_gives_each_case_once(self, house: House) -> None:
        assert len(house.table("arrivals", LAST) or []) == 12
        assert len(house.table("cases", LAST) or []) == len(house.decisions(LAST)) == 6
        assert house.table("quarantine", LAST) == []
        assert house.checks("cases", LAST)["nothing_vanished"] is True

    def test_an_id_of_an_earlier_night_is_a_duplicate_or_refused(self, house: House) -> None:
        assert len(house.table("cases", AFTER) or []) == 4
        (refused,) = house.table("quarantine", AFTER) or []
        assert BEFORE in refused["reasons"][0]
        assert house.checks("cases", AFTER)["nothing_vanished"] is True
        decided = [row["case_id"] for row in house.decisions()]
        assert len(decided) == len(set(decided)) == 6 + 4 + 6
