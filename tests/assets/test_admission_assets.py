"""Arrivals, cases and quarantine of a night, and the checks that stop it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pytest

from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.intake.landing import Overlooked
from pipeline_project.domain.intake.readings import FileReading, as_json
from tests.doubles import FIELDS, NEXT, NIGHT, MemoryLake, World, arrival, checks, claims, made, metadata

ADMITTED = ("arrivals", "cases", "quarantine")
NIGHTLY = ("arrivals", "cases", "quarantine", "outcomes", "scores", "decisions")


class LosingLake(MemoryLake):
    """Loses the last row of every `cases` it writes."""

    def write_night(
        self,
        workflow: str,
        asset: str,
        night: str,
        table: pa.Table,
        evolve: bool = False,
        note: Mapping[str, str] | None = None,
    ) -> int:
        kept = table.slice(0, table.num_rows - 1) if asset == "cases" else table
        return super().write_night(workflow, asset, night, kept, evolve, note)


def test_every_row_is_admitted_refused_or_a_duplicate() -> None:
    world = World()
    rows = [arrival(NIGHT, i) for i in range(8)]
    world.sources.rows[NIGHT] = [*rows, rows[0], arrival(NIGHT, 90, "cheap")]
    result = world.run(NIGHT, *NIGHTLY)
    assert result.success
    assert made(result) == {*NIGHTLY, "decision_bounds"}
    assert [len(world.table(n)) for n in ("arrivals", "cases", "quarantine")] == [10, 8, 1]
    assert metadata(result, "cases")["duplicates"] == 1
    assert "price" in metadata(result, "quarantine")["reasons"]
    assert all(checks(result).values())
    assert metadata(result, "arrivals")["landed"] == world.sources.fingerprint_of(NIGHT)


def test_what_was_assumed_while_reading_is_told_with_the_cases() -> None:
    world = World(claims(fields={**FIELDS, "words": {"type": "text"}}))
    row = arrival(NIGHT, 1)
    world.sources.rows[NIGHT] = [row | {"raw": json.dumps({**json.loads(row["raw"]), "words": "it\x07broke"})}]
    found = metadata(world.run(NIGHT, *ADMITTED), "cases")
    assert "control characters" in found["assumed"]
    assert found["outside_night"] == 0
    world.sources.rows[NEXT] = [arrival(NEXT, 1)]
    assert "no column is called 'words'" in metadata(world.run(NEXT, *ADMITTED), "cases")["assumed"]


def test_where_nothing_was_assumed_the_cases_say_so() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, 0)]
    assert metadata(world.run(NIGHT, *ADMITTED), "cases")["assumed"] == "nothing"


def test_a_repeated_delivery_is_no_second_case() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(3)]
    world.sources.rows[NEXT] = [*world.sources.rows[NIGHT], arrival(NEXT, 1)]
    assert world.run(NIGHT, *NIGHTLY).success
    result = world.run(NEXT, *NIGHTLY)
    assert result.success
    assert [row["case_id"] for row in world.table("cases", NEXT)] == ["C03-02-1"]
    assert checks(result)["nothing_vanished"]


def test_a_night_without_arrivals_is_empty_and_sound() -> None:
    world = World()
    result = world.run(NIGHT, *NIGHTLY)
    assert result.success
    assert all(world.table(asset_name) == [] for asset_name in NIGHTLY if asset_name != "outcomes")


def test_a_lost_row_stops_the_night_before_anything_is_decided() -> None:
    world = World(lake=LosingLake())
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(3)]
    result = world.run(NIGHT, *NIGHTLY)
    assert not result.success
    assert not checks(result)["nothing_vanished"]
    assert not made(result) & {"scores", "decisions"}
    assert world.ledger.decisions == {}


def test_what_was_found_in_the_files_stands_with_the_arrivals() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(3)]
    world.sources.readings[NIGHT] = [
        FileReading(world.sources.rows[NIGHT][0]["file"], 90, 5, 2, ",", ("packed with gzip", "the header is line 2"))
    ]
    result = world.run(NIGHT, *NIGHTLY)
    assert result.success
    assert checks(result)["nothing_vanished"]
    assert "the header is line 2" in metadata(result, "arrivals")["detected"]
    assert metadata(result, "arrivals")["readings"][0]["lines"] == 5


@pytest.mark.parametrize("lines", [5, 7])
def test_a_line_that_is_in_no_row_stops_the_night(lines: int) -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(5)]
    world.sources.readings[NIGHT] = [FileReading(world.sources.rows[NIGHT][0]["file"], 90, lines, 1, ",")]
    result = world.run(NIGHT, *NIGHTLY)
    assert not result.success
    assert not checks(result)["nothing_vanished"]
    assert "1 lines in no row" in _told(result)
    assert world.ledger.decisions == {}


def _counted(world: World, lines: int) -> dg.ExecuteInProcessResult:
    """Four rows from a file that says it has so many lines, one of them its header."""
    rows = [arrival(NIGHT, i) for i in range(4)]
    world.sources.rows[NIGHT] = rows
    world.sources.readings[NIGHT] = [FileReading(rows[0]["file"], 90, lines, 1, ",")]
    return world.run(NIGHT, "arrivals")


def test_lines_are_counted_by_what_stands_with_the_rows_and_not_by_an_event() -> None:
    """The run that wrote the rows died before its event, or Dagster's database was restored."""
    world = World()
    _counted(world, 7)
    with dg.DagsterInstance.ephemeral() as without_the_event:
        result = world.run(NIGHT, "cases", "quarantine", instance=without_the_event)
    assert not checks(result)["nothing_vanished"] and "2 lines in no row" in _told(result)


def test_an_event_of_another_reading_counts_for_nothing() -> None:
    world = World()
    _counted(world, 7)
    other = [FileReading(arrival(NIGHT, 0)["file"], 90, 5, 1, ",")]
    told = {"readings": dg.MetadataValue.json(as_json(other))}
    with dg.DagsterInstance.ephemeral() as instance:
        event = dg.AssetMaterialization([world.spec.name, "arrivals"], partition=NIGHT, metadata=told)
        instance.report_runless_asset_event(event)
        result = world.run(NIGHT, "cases", "quarantine", instance=instance)
    assert not checks(result)["nothing_vanished"] and "2 lines in no row" in _told(result)


def test_arrivals_of_which_nothing_tells_how_they_were_read_stop_the_night() -> None:
    world = World()
    _counted(world, 5)
    plain = world.lake.read_night(world.spec.name, "arrivals", NIGHT)
    assert plain is not None
    world.lake.write_night(world.spec.name, "arrivals", NIGHT, plain)
    result = world.run(NIGHT, "cases", "quarantine")
    assert not checks(result)["nothing_vanished"]
    assert "run the whole night again, arrivals included" in _told(result)
    assert _counted(world, 5).success and checks(world.run(NIGHT, "cases", "quarantine"))["nothing_vanished"]


def test_of_two_writings_of_a_night_each_is_counted_by_its_own_reading() -> None:
    world = World()
    _counted(world, 7)
    _counted(world, 5)
    assert checks(world.run(NIGHT, "cases", "quarantine"))["nothing_vanished"]
    _counted(world, 7)
    assert not checks(world.run(NIGHT, "cases", "quarantine"))["nothing_vanished"]


def test_a_row_that_holds_another_one_stops_the_night() -> None:
    world = World()
    rows = [arrival(NIGHT, i) for i in range(3)]
    cells = list(json.loads(rows[0]["raw"]).values())
    rows[0]["raw"] = json.dumps({"first": cells[0], "words": "5 inch\nC-2,fine,10\n9 inch", "price": "10"})
    world.sources.rows[NIGHT] = rows
    world.sources.readings[NIGHT] = [FileReading(rows[0]["file"], 90, 6, 1, ",")]
    result = world.run(NIGHT, *NIGHTLY)
    assert not checks(result)["nothing_vanished"]
    assert "1 rows with others in them" in _told(result)


def _told(result: object) -> str:
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}  # type: ignore[attr-defined]
    return str(found["nothing_vanished"].description)


@pytest.mark.parametrize(("refused", "sound"), [(2, True), (3, False)])
def test_too_many_refused_rows_stop_the_night(refused: int, sound: bool) -> None:
    world = World()  # at most a fifth
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, "cheap" if i < refused else "10") for i in range(10)]
    result = world.run(NIGHT, *NIGHTLY)
    assert result.success is sound
    assert checks(result)["night_is_sound"] is sound
    assert bool(world.ledger.decisions) is sound
    assert len(world.table("quarantine")) == refused, "what was refused is kept, whether the night goes on or not"


def test_one_bad_night_blocks_only_itself() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, "cheap") for i in range(3)]
    world.sources.rows[NEXT] = [arrival(NEXT, i) for i in range(3)]
    assert not world.run(NIGHT, *NIGHTLY).success
    assert world.run(NEXT, *NIGHTLY).success
    assert {row["night"] for row in world.table("decisions", NEXT)} == {NEXT}


def test_a_repaired_night_is_sound_again() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, "cheap" if i < 5 else "10") for i in range(10)]
    assert not world.run(NIGHT, *NIGHTLY).success
    world.sources.rows[NIGHT] += [arrival(NIGHT, i, "12") | {"file": "repair:1.csv"} for i in range(4)]
    assert world.run(NIGHT, *NIGHTLY).success
    assert len(world.table("cases")) == 9


def test_a_broken_rule_is_told_and_its_row_refused() -> None:
    world = World(spec=claims(contract={"quarantine_limit": 0.5}))
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(4)]
    world.contracts.broken["price_within_bounds"] = (2,)
    result = world.run(NIGHT, *NIGHTLY)
    assert result.success, "a rule that names rows takes those out and stops nothing"
    assert not checks(result)["price_within_bounds"]
    assert [row["case_id"] for row in world.table("quarantine")] == ["C03-01-2"]
    told = {c.check_name: c for c in result.get_asset_check_evaluations()}["price_within_bounds"]
    assert (told.severity.value, told.metadata["failed"].value, told.metadata["evaluated"].value) == ("WARN", 1, 4)


def test_a_rule_that_could_not_be_evaluated_stops_the_night_whatever_the_limit() -> None:
    world = World(spec=claims(contract={"quarantine_limit": 1}))
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(4)]
    world.contracts.raised.add("price_within_bounds")
    result = world.run(NIGHT, *NIGHTLY)
    assert not result.success
    assert not checks(result)["price_within_bounds"]
    told = {c.check_name: c for c in result.get_asset_check_evaluations()}["night_is_sound"]
    assert (told.passed, told.severity.value) == (False, "ERROR")
    assert "the rule `rule price_within_bounds` could not be evaluated" in str(told.description)
    assert world.table("cases") == []
    assert world.ledger.decisions == {}


def test_dropped_rows_that_tell_another_outcome_are_counted_and_told() -> None:
    outcome = {"kind": "column", "column": "finding", "known_at": [{"field": "night", "plus_days": 1}]}
    world = World(spec=claims(outcome=outcome))

    def told(number: int, finding: str) -> dict[str, object]:
        row = arrival(NIGHT, number)
        return row | {"raw": json.dumps(json.loads(row["raw"]) | {"finding": finding})}

    world.sources.rows[NIGHT] = [told(0, "kept"), told(1, "kept"), told(0, "worn"), told(0, "worn"), told(1, "kept")]
    result = world.run(NIGHT, *ADMITTED)
    assert result.success
    assert metadata(result, "cases")["duplicates"] == 3
    assert metadata(result, "cases")["duplicates_contradicting"] == 2
    alert = world.ledger.alerts[f"duplicates/{NIGHT}"]
    assert alert["kind"] == "duplicates_contradict"
    assert "of 3 rows of 2025-03-01 that were dropped as exact duplicates 2 tell another outcome" in alert["message"]
    world.sources.rows[NIGHT] = [told(0, "kept"), told(1, "kept"), told(1, "kept")]
    assert metadata(world.run(NIGHT, *ADMITTED), "cases")["duplicates_contradicting"] == 0
    assert f"duplicates/{NIGHT}" not in world.ledger.alerts


def test_outcomes_go_to_the_ledger_once() -> None:
    world = World()
    known = {"label": "kept", "known_at": datetime(2025, 3, 1, 12, tzinfo=UTC), "source": "desk"}
    world.sources.outcomes_of[NIGHT] = [{"case_id": "a", **known}, {"case_id": "b", **known}]
    first, second = (metadata(world.run(NIGHT, "outcomes"), "outcomes") for _ in range(2))
    assert (first["arrived"], first["new"], second["arrived"], second["new"]) == (2, 2, 2, 0)
    assert len(world.ledger.known) == 2


def test_a_night_on_which_nothing_came_is_told_by_a_check_and_an_alert() -> None:
    world = World()
    for back in range(1, 7):
        night = shifted(NIGHT, -back)
        world.sources.rows[night] = [arrival(night, i) for i in range(20)]
        assert world.run(night, "arrivals").success
    result = world.run(NIGHT, *NIGHTLY)
    assert result.success, "it is told, and stops nothing"
    assert checks(result)["landed_as_expected"] is False
    alert = world.ledger.alerts[f"landing/{NIGHT}"]
    assert "nothing came, where 20 on 6 earlier nights came" in alert["message"]
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(20)]
    assert checks(world.run(NIGHT, *NIGHTLY))["landed_as_expected"]
    assert f"landing/{NIGHT}" in world.ledger.closed


def test_a_file_that_was_not_read_is_told_beside_those_that_were() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, 1)]
    world.sources.unread = [Overlooked(NIGHT, "b.CSV is not read"), Overlooked(NEXT, "c.CSV is not read")]
    result = world.run(NIGHT, *NIGHTLY)
    assert result.success and not checks(result)["landed_as_expected"]
    assert world.ledger.alerts[f"landing/{NIGHT}"]["message"].endswith("b.CSV is not read")


@pytest.mark.parametrize(("blocks", "goes_on"), [(True, False), (False, True)])
def test_a_night_that_is_not_as_the_spec_expects_is_stopped_where_it_says_so(blocks: bool, goes_on: bool) -> None:
    source = {**claims().source.model_dump(), "expect": {"rows": [5, 10], "blocks": blocks}}
    world = World(claims(source=source))
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(4)]
    result = world.run(NIGHT, *NIGHTLY)
    assert result.success is goes_on
    assert not checks(result)["landed_as_expected"]
    assert ("decisions" in made(result)) is goes_on


def test_an_intake_says_whether_something_had_landed_since_the_one_before() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, 1)]
    with dg.DagsterInstance.ephemeral() as instance:
        told = [metadata(world.run(NIGHT, "arrivals", instance=instance), "arrivals")]
        told.append(metadata(world.run(NIGHT, "arrivals", instance=instance), "arrivals"))
        world.sources.rows[NIGHT].append(arrival(NIGHT, 2))
        told.append(metadata(world.run(NIGHT, "arrivals", instance=instance), "arrivals"))
        (record,) = instance.fetch_materializations(dg.AssetKey(["claims", "arrivals"]), limit=1).records
        told.append(metadata(world.run(NIGHT, "arrivals", instance=instance), "arrivals"))
    assert [each["late"] for each in told] == [False, False, True, False]
    assert ["late_at" in each for each in told] == [False, False, False, True]
    assert told[-1]["late_at"] == record.timestamp
