"""Files, tables and queries of workflows that have a night every hour or week, where clocks change."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from resources.sources import case_source
from resources.sources.overlooked import overlooked
from resources.sources.repairs import add_repair
from tests.resources.sources.claim_specs import claims, row, write

ZONE, HOUR, WEEK = "Europe/Berlin", "2025-10-26T00Z", "2025-W43-1"
TABLE = {"kind": "table", "files": [{"path": "in/all.csv"}]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def spec(folder: Path, every: str, **changes: Any) -> WorkflowSpec:
    nights = {"time_zone": ZONE, "every": every, "first": "2025-10-13", "decide_from": "2025-10-20"}
    return claims(folder, nights=nights, **changes)


def files(folder: Path, every: str, pattern: str) -> WorkflowSpec:
    return spec(folder, every, source={"kind": "files", "folder": "in", "pattern": pattern})


def ids(declared: WorkflowSpec, settings: Settings, night: str, environ: dict[str, str] | None = None) -> list[str]:
    rows = case_source(declared, settings, environ or {}).read(window_of(night, ZONE)).rows
    assert set(rows["night"].to_pylist()) <= {night}
    return [json.loads(raw)["claim_id"] for raw in rows["raw"].to_pylist()]


@pytest.mark.parametrize(
    ("every", "pattern", "name", "night"),
    [
        ("hour", "{night}/*.csv", "2025-10-26T00Z/c.csv", HOUR),
        ("hour", "c_{night:%Y%m%d_%H}*.csv", "c_20251026_00b.csv", HOUR),
        ("hour", "{night:%Y/%j/%H}.csv", "2025/299/00.csv", HOUR),
        ("week", "{night}.csv", "2025-W43-1.csv", WEEK),
        ("week", "{night:%G/week_%V}.csv", "2025/week_43.csv", WEEK),
        ("week", "{night:%Y%m%d}.csv", "20251020.csv", WEEK),
    ],
)
def test_files_named_after_their_hour_or_week(
    tmp_path: Path, settings: Settings, every: str, pattern: str, name: str, night: str
) -> None:
    write(tmp_path, row(1), name=name)
    declared = files(tmp_path, every, pattern)
    assert case_source(declared, settings, {}).nights_landed() == [night]
    assert ids(declared, settings, night) == ["C1"]
    assert overlooked(declared, settings, {}) == []


@pytest.mark.parametrize(
    ("every", "pattern", "name", "night"),
    [
        ("hour", "c_{night:%Y%m%d%H}.csv", "c_2025-10-26T00.csv", HOUR),
        ("hour", "c_{night:%Y%m%d%H}.csv", "C_2025102600.csv", HOUR),
        ("hour", "c_{night:%Y%m%d%H}.csv", "c_2025102624.csv", None),
        ("week", "c_{night}.csv", "c_2025W43.csv", WEEK),
        ("week", "c_{night}.csv", "c_2025-10-22.csv", WEEK),
    ],
)
def test_files_that_nearly_say_their_hour_or_week(
    tmp_path: Path, settings: Settings, every: str, pattern: str, name: str, night: str | None
) -> None:
    write(tmp_path, row(1), name=name)
    declared = files(tmp_path, every, pattern)
    assert case_source(declared, settings, {}).nights_landed() == []
    seen = overlooked(declared, settings, {})
    assert [miss.night for miss in seen] == ([] if night is None else [night])
    if night is not None:
        assert overlooked(declared, settings, {}, night) == seen
        assert name in seen[0].sentence


def test_rows_of_a_table_find_the_hour_or_the_week_in_which_they_lie(tmp_path: Path, settings: Settings) -> None:
    times = ["2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00", "2025-10-26T03:30:00", "2025-10-27T00:00:00"]
    write(tmp_path, *(f"C{n},{at},1,shoes,," for n, at in enumerate([*times, "never"])), name="all.csv")
    hourly, weekly = (spec(tmp_path, every, source=TABLE) for every in ("hour", "week"))
    assert case_source(hourly, settings, {}).nights_landed() == [
        "2025-10-12T22Z", HOUR, "2025-10-26T01Z", "2025-10-26T02Z", "2025-10-26T23Z"
    ]  # fmt: skip
    assert [ids(hourly, settings, night) for night in (HOUR, "2025-10-26T01Z")] == [["C0"], ["C1"]]
    assert ids(hourly, settings, "2025-10-12T22Z") == ["C4"], "without a time: the first night there is"
    assert case_source(weekly, settings, {}).nights_landed() == ["2025-W42-1", WEEK, "2025-W44-1"]
    assert ids(weekly, settings, WEEK) == ["C0", "C1", "C2"]


def test_rows_are_spread_over_all_hours_of_the_days(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, *(f"C{n},,1,shoes,," for n in range(300)), name="all.csv")
    spread = {"path": "in/all.csv", "spread": {"first": "2025-10-26", "last": "2025-10-26"}}
    landed = case_source(spec(tmp_path, "hour", source={"kind": "table", "files": [spread]}), settings, {})
    nights = landed.nights_landed()
    assert (nights[0], nights[-1], len(nights)) == ("2025-10-25T22Z", "2025-10-26T22Z", 25)


def test_a_query_tells_its_hours_and_is_asked_for_one(tmp_path: Path, settings: Settings) -> None:
    database = tmp_path / "shop.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE claim (claim_id TEXT, at TEXT)")
        connection.executemany(
            "INSERT INTO claim VALUES (?, ?)",
            [("C1", "2025-10-26 00:59:00"), ("C2", "2025-10-26 01:00:00"), ("C3", "2025-10-26 01:30:00")],
        )
    bounds = "at >= strftime('%Y-%m-%d %H:%M:%S', :start) AND at < strftime('%Y-%m-%d %H:%M:%S', :end)"
    source = {
        "kind": "sql", "url_variable": "PIPELINE_SECRET_CLAIMS",
        "query": f"SELECT claim_id, at AS claimed_at FROM claim WHERE {bounds}",
        "landed": f"SELECT strftime('%Y-%m-%dT%HZ', at), count(*) FROM claim WHERE {bounds} GROUP BY 1",
    }  # fmt: skip
    environ = {"PIPELINE_SECRET_CLAIMS": f"sqlite:///{database}"}
    hourly = spec(tmp_path, "hour", source=source)
    assert case_source(hourly, settings, environ).nights_landed() == [HOUR, "2025-10-26T01Z"]
    assert ids(hourly, settings, "2025-10-26T01Z", environ) == ["C2", "C3"]
    by_day = {**source, "landed": source["landed"].replace("T%HZ", "")}
    with pytest.raises(SourceUnreadable, match=r"YYYY-MM-DD.T.HH24.Z"):
        case_source(spec(tmp_path, "hour", source=by_day), settings, environ).nights_landed()


def test_a_repair_is_for_a_night_of_the_workflows_own_cadence(tmp_path: Path, settings: Settings) -> None:
    declared = files(tmp_path, "hour", "{night}.csv")
    mended = write(tmp_path, row(7), name="mended.csv")
    with pytest.raises(SourceUnreadable, match="2025-03-16T14Z"):
        add_repair(settings, declared, "2025-10-26", mended)
    add_repair(settings, declared, HOUR, mended)
    assert case_source(declared, settings, {}).nights_landed() == [HOUR]
