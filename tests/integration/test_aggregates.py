"""Nights decided with features made of other rows: kept, explained in words, replayed as they were, never made anew."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from pipeline_project.domain.core.errors import NightMissing
from pipeline_project.services.aggregating import AGGREGATES, tonights
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

NIGHTS = [shop.night(offset) for offset in range(6)]
FEATURES = {
    "claims_2d": "count by customer over 2 days",
    "frauds": "share of fraud by customer over 3 days",
    "ring": "distinct customer linked through kind, customer over 2 days",
}
SERIES = {
    "meter": {
        "key": "kind",
        "source": {"kind": "files", "folder": "in", "pattern": "meter/{night}.csv"},
        "at": "read_at",
        "values": ["load"],
        "spans": ["6 hours", "4 rows"],
        "figures": ["mean", "slope"],
        "nights": 2,
    }
}


def drop_meter(house: House, night: str) -> None:
    path = house.folder / "in" / "meter" / f"{night}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    start = datetime.fromisoformat(night)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["kind", "read_at", "load"])
        for hour in range(24):
            for kind in ("glass", "theft"):
                rows.writerow(
                    [kind, (start + timedelta(hours=hour)).isoformat(sep=" "), hour + 100 * (kind == "theft")]
                )
        rows.writerow(["glass", "never", 1])


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> Iterator[House]:
    house = new_house("counted", features=FEATURES, series=SERIES, gates={"effective": 10, "slice_cases": 10})
    shop.drop_nights(house.folder, NIGHTS, 24)
    for night in NIGHTS:
        drop_meter(house, night)
    assert {run.outcome for run in house.nights(NIGHTS[0], NIGHTS[-1])} == {"done"}
    yield house


def kept(house: House, night: str) -> dict[str, dict]:
    return {row["case_id"]: row for row in house.table(AGGREGATES, night) or []}


def test_the_check_looks_at_the_rows_of_a_series(house: House) -> None:
    done = house.command("check", str(house.folder / f"{house.name}.yaml"), "--data")
    assert "series.meter" in done.stdout, done.stdout + done.stderr
    assert "1 of the first 49 rows have no key or moment" in " ".join(done.stdout.split())


def test_each_night_keeps_what_was_known_then(house: House) -> None:
    cases = [row for night in NIGHTS for row in shop.rows(night)]
    for night in NIGHTS:
        table = kept(house, night)
        assert len(table) == 24
        for row in shop.rows(night):
            at = datetime.fromisoformat(row["at"])
            mine = [datetime.fromisoformat(other["at"]) for other in cases if other["customer"] == row["customer"]]
            back = [then for then in mine if at - timedelta(days=2) <= then < at]
            assert table[row["case"]]["claims_2d"] == len(back)
            hours = [at.hour - back for back in range(4)] if at.minute else [at.hour - 1 - back for back in range(4)]
            mean = sum(hours) / 4 + 100 * (row["kind"] == "theft")
            assert table[row["case"]]["meter_load_mean_4_rows"] == pytest.approx(mean)
            assert table[row["case"]]["meter_load_slope_6_hours"] == pytest.approx(1)
    # outcomes are known in the last hour of their night: the first night knows none
    assert {row["frauds"] for row in kept(house, NIGHTS[0]).values()} == {None}
    assert any(row["frauds"] for row in kept(house, NIGHTS[3]).values())


def test_the_training_set_holds_the_very_numbers(house: House) -> None:
    training = house.table("training_set") or []
    assert len(training) >= 48
    for row in training:
        same = kept(house, row["case_night"])[row["case_id"]]
        assert row["number_claims_2d"] == same["claims_2d"]
        assert row["number_meter_load_mean_6_hours"] == same["meter_load_mean_6_hours"]


def test_decisions_name_what_they_rest_on_and_say_it_in_words(house: House) -> None:
    decided = house.sql("SELECT data_versions, reasons FROM decisions WHERE workflow = :name")
    assert all(f"{house.name}/{AGGREGATES}" in row["data_versions"] for row in decided)
    reasons = Counter(reason for row in decided for reason in row["reasons"] or [])
    words = [*house.spec.feature_plan.kept.values()]
    assert [reason for reason in reasons if any(reason.startswith(of) for of in words)], reasons


def test_a_night_decides_the_same_again_and_a_replay_reads_what_was_kept(house: House) -> None:
    decided, before = house.decisions(), kept(house, NIGHTS[4])
    # late rows of an earlier night, which the nights after it did not know
    late = [{**row, "case": f"{row['case']}-late"} for row in shop.rows(NIGHTS[3], 12)]
    shop.drop_cases(house.folder, NIGHTS[3], late, part="-late")
    assert {run.outcome for run in house.nights(NIGHTS[3], NIGHTS[3], again=True)} == {"done"}
    assert kept(house, NIGHTS[4]) == before
    after = house.decisions()
    assert [row for row in after if not row["case_id"].endswith("-late")] == decided
    done = house.command("replay", house.name, "--from", NIGHTS[4], "--to", NIGHTS[5], "--model", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"flips": {}' in done.stdout


def test_the_last_night_reads_no_more_than_its_spans(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline_project.partitions import window
    from pipeline_project.services.aggregating import night_aggregates

    asked: list[tuple[str, str | None]] = []
    lake = house.lake
    read_span = lake.read_span

    def counted(workflow: str, asset: str, first: str | None, *more, **named):
        asked.append((asset, first))
        return read_span(workflow, asset, first, *more, **named)

    monkeypatch.setattr(lake, "read_span", counted)
    spec = house.spec.model_copy(update={"series": {}})
    night_aggregates(spec, lake, house.ledger, None, window(spec, NIGHTS[5]))
    # four days hold a span of three, and nothing asks for all that there is
    assert asked == [("cases", NIGHTS[1])]


def test_a_feature_that_is_declared_later_is_made_for_the_nights_before(house: House) -> None:
    from pipeline_project.services.aggregating import aggregates_span

    wider = house.spec.model_copy(
        update={"features": {**FEATURES, "week": "count by customer over 1 week"}, "series": {}}
    )
    cases = house.lake.read_span(house.name, "cases", NIGHTS[0], NIGHTS[3])
    assert cases is not None
    table = aggregates_span(wider, house.lake, house.ledger, cases)
    assert table is not None
    assert len(table) == len(cases) and "week" in table.column_names
    with pytest.raises(NightMissing, match="--again"):
        tonights(wider, house.lake, NIGHTS[5])
    series = wider.model_copy(update={"series": house.spec.series})
    with pytest.raises(NightMissing, match="no rows of its series"):
        aggregates_span(series, house.lake, house.ledger, cases)
