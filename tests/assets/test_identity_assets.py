"""Every run of a night asks who its cases are: a changed id, a changed name or a second id pays nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from assets.identity import history_of
from pipeline_project.domain.core.errors import LakeSchemaChanged
from pipeline_project.domain.core.schema import CONTENT
from pipeline_project.domain.core.stored_tables import StoredTable
from tests.doubles import NEXT, NIGHT, MemoryLake, MemoryLedger, World, arrival, checks, claims, metadata

NIGHTLY = ("arrivals", "cases", "quarantine", "outcomes", "scores", "decisions")
ADMITTED = NIGHTLY[:3]
HASHED: dict[str, Any] = {
    "fields": {
        "claim_id": {"type": "identifier"},
        "customer": {"type": "identifier", "role": "subject"},
        "price": {"type": "number", "role": "amount", "minimum": 0},
    },
    "id_from": ["claim_id", "price"],
}


def strict(**changes: Any) -> World:
    """A workflow that says nothing about twins."""
    return World(spec=claims(**{"twins": {}, **changes}))


def again(world: World, **changes: Any) -> World:
    """The same house after the workflow's file was edited."""
    return World(spec=claims(**{"twins": {}, **changes}), lake=world.lake, ledger=world.ledger, sources=world.sources)


def decided(count: int = 3) -> World:
    world = strict(contract={"quarantine_limit": 1})
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, price=str(10 + i)) for i in range(count)]
    assert world.run(NIGHT, *NIGHTLY).success
    assert len(world.ledger.decisions) == count
    return world


def failure(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    return str(failed.step_failure_data.error)


def test_the_same_content_under_another_id_goes_to_quarantine() -> None:
    world = decided()
    world.sources.rows[NEXT] = [
        arrival(NIGHT, i, price=f"{10 + i}.0", case=f"X{i}") for i in range(3)
    ] + [arrival(NEXT, 9, price="99")]  # fmt: skip
    result = world.run(NEXT, *NIGHTLY)
    assert result.success
    assert [row["case_id"] for row in world.table("cases", NEXT)] == ["C03-02-9"]
    told = [row["reasons"] for row in world.table("quarantine", NEXT)]
    assert len(told) == 3
    assert all("says the same under another id" in reasons[0] for reasons in told)
    assert len(world.ledger.decisions) == 4
    assert checks(result)["nothing_vanished"]


class KeyedLake(MemoryLake):
    """Keeps and gives hashes as a house with personal fields does, those of nights from before as well."""

    def keyed(self, workflow: str, hashes: Sequence[str]) -> list[str]:
        return [each if each.startswith("k-") else f"k-{each}" for each in hashes]

    def stored_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> StoredTable | None:
        stored = super().stored_night(workflow, asset, night, version)
        return None if stored is None else replace(stored, rows=self._under_key(workflow, stored.rows))

    def read_span(
        self, workflow: str, asset: str, first: str | None, before: str, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        table = super().read_span(workflow, asset, first, before, columns)
        return None if table is None else self._under_key(workflow, table)

    def _under_key(self, workflow: str, table: pa.Table) -> pa.Table:
        for name in {"row_sha256", CONTENT} & set(table.column_names):
            kept = [each if each is None else self.keyed(workflow, [each])[0] for each in table[name].to_pylist()]
            at = table.column_names.index(name)
            table = table.set_column(at, table.schema.field(at), pa.array(kept, pa.string()))
        return table


def test_twins_and_rows_of_nights_from_before_are_known_where_hashes_are_under_a_key() -> None:
    before = decided()
    lake = KeyedLake()
    for kept in ("tables", "versions", "log", "times"):
        setattr(lake, kept, getattr(before.lake, kept))
    world = replace(before, lake=lake)
    world.sources.rows[NEXT] = [
        arrival(NIGHT, 0, price="10"),  # the very row
        arrival(NIGHT, 1, price="11.0", case="X1"),  # what it says, under another id
        arrival(NEXT, 9, price="99"),
    ]
    result = world.run(NEXT, *NIGHTLY)
    assert result.success
    assert metadata(result, "cases")["duplicates"] == 1
    assert [row["case_id"] for row in world.table("cases", NEXT)] == ["C03-02-9"]
    assert "says the same under another id" in str(world.table("quarantine", NEXT))
    assert len(world.ledger.decisions) == 4
    renamed_twins = renamed(world, renamed_from="claims")
    renamed_twins.sources.rows[NEXT] = [arrival(NIGHT, 2, price="12.0", case="X2")]
    assert renamed_twins.run(NEXT, *NIGHTLY).success
    assert renamed_twins.table("cases", NEXT) == []


def test_a_late_file_for_an_earlier_night_brings_no_twin_of_a_later_one() -> None:
    world = strict(contract={"quarantine_limit": 1})
    world.sources.rows[NEXT] = [arrival(NEXT, 1, price="55")]
    assert world.run(NEXT, *NIGHTLY).success
    world.sources.rows[NIGHT] = [arrival(NEXT, 1, price="55", case="LATE")]
    assert world.run(NIGHT, *NIGHTLY).success
    assert world.table("cases", NIGHT) == []
    assert set(world.ledger.decisions) == {"C03-02-1"}


def test_an_explicit_word_lets_twins_through() -> None:
    world = strict(twins={"real": "a customer may claim the same twice"})
    world.sources.rows[NIGHT] = [arrival(NIGHT, 0)]
    world.sources.rows[NEXT] = [arrival(NIGHT, 0, case="X0")]
    assert world.run(NIGHT, *NIGHTLY).success
    assert world.run(NEXT, *NIGHTLY).success
    assert len(world.ledger.decisions) == 2


@pytest.mark.parametrize("launched", [NIGHTLY, ("cases", "quarantine"), ("decisions",), ("scores", "decisions")])
def test_other_ids_stop_every_run_of_a_workflow_with_history(launched: tuple[str, ...]) -> None:
    world = again(decided(), **HASHED)
    for night in (NIGHT, NEXT):
        world.sources.rows.setdefault(NEXT, [arrival(NEXT, 5, price="7")])
        if night == NEXT and launched[0] != "arrivals":
            continue  # nothing of that night is there to begin with
        result = world.run(night, *launched)
        assert not result.success
        assert "renamed_from" in failure(result) or "stays decided" in failure(result)
    assert len(world.ledger.decisions) == 3


def test_a_night_that_was_decided_is_not_decided_under_new_ids_whatever_the_spec_says() -> None:
    world = again(decided(), **HASHED, new_cases_from=NIGHT)
    result = world.run(NIGHT, *NIGHTLY)
    assert not result.success
    assert "what was decided stays decided" in failure(result)
    assert len(world.ledger.decisions) == 3


def test_new_cases_are_decided_under_new_ids_and_old_ones_are_not() -> None:
    before = decided()
    world = again(before, **HASHED, new_cases_from=NEXT, contract={"quarantine_limit": 1})
    world = replace(world, lake=_history_alone(before.lake))
    world.sources.rows[NEXT] = [
        arrival(NIGHT, 1, price="11"),
        arrival(NIGHT, 2, "12", case="X"),
        arrival(NEXT, 7, "77"),
    ]
    result = world.run(NEXT, *NIGHTLY)
    assert result.success
    # The first is the very row of before, the second says the same as a case of before, the third is new.
    assert metadata(result, "cases")["duplicates"] == 1
    assert len(world.table("quarantine", NEXT)) == 1
    assert len(world.table("cases", NEXT)) == 1
    assert len(world.ledger.decisions) == 4


def test_a_night_keeps_its_decided_cases_when_a_source_gives_them_other_ids() -> None:
    """The columns are the same, the values are not: a query whose numbers are drawn anew."""
    world = decided()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, price=str(10 + i), case=f"N{i}") for i in range(3)]
    for _ in range(2):  # and once more, when the lake's newest version no longer holds the first ids
        result = world.run(NIGHT, *NIGHTLY)
        assert result.success
        assert world.table("cases") == []
        told = [row["reasons"][0] for row in world.table("quarantine")]
        assert all("was decided in this night and says the same" in why for why in told)
        assert len(world.ledger.decisions) == 3


def test_a_fields_change_does_not_hide_twins() -> None:
    world = decided()
    fields = {**claims().model_dump(mode="json")["fields"], "note": {"type": "category", "required": False}}
    fields = {name: {key: value for key, value in each.items() if value is not None} for name, each in fields.items()}
    fields["customer"] = {"type": "category", "role": "subject"}
    edited = again(World(lake=MemoryLake(), ledger=world.ledger, sources=world.sources), fields=fields)
    edited = replace(edited, lake=_history_alone(world.lake))
    edited.sources.rows[NEXT] = [arrival(NIGHT, 1, price="11", case="X1")]
    edited.run(NEXT, *ADMITTED)
    (refused,) = edited.table("quarantine", NEXT)
    assert "says the same under another id" in refused["reasons"][0]


def _history_alone(lake: MemoryLake) -> MemoryLake:
    """A lake whose tables of before are read and not written: its columns are those of the spec of before."""

    class Before(MemoryLake):
        def read_span(self, workflow: str, asset: str, *given: Any, **named: Any) -> pa.Table | None:
            if asset == "cases":
                return lake.read_span(workflow, asset, *given, **named)
            return super().read_span(workflow, asset, *given, **named)

    return Before()


# -- another name on the same source --------------------------------------------------------------------------


def renamed(world: World, **changes: Any) -> World:
    return again(world, workflow="claims_b", contract={"quarantine_limit": 1}, **changes)


def test_another_name_on_a_source_with_history_stops() -> None:
    world = renamed(decided())
    for night in (NIGHT, NEXT):
        result = world.run(night, *NIGHTLY)
        assert not result.success
        assert "renamed_from: claims" in failure(result)
    assert len(world.ledger.decisions) == 3


def test_under_its_new_name_what_was_decided_counts_as_decided() -> None:
    world = renamed(decided(), renamed_from="claims")
    world.sources.rows[NIGHT].append(arrival(NIGHT, 8, price="88"))
    world.sources.rows[NEXT] = [
        arrival(NIGHT, 0, price="10"),  # the very row
        arrival(NIGHT, 1, price="11", case="X1"),  # what it says, under another id
        arrival(NIGHT, 2, price="99"),  # its id, with other content
        arrival(NEXT, 9, price="77"),
    ]
    first = world.run(NIGHT, *NIGHTLY)
    assert first.success
    assert metadata(first, "cases")["duplicates"] == 3
    assert [row["case_id"] for row in world.table("cases", NIGHT)] == ["C03-01-8"]
    second = world.run(NEXT, *NIGHTLY)
    assert second.success
    assert checks(second)["nothing_vanished"]
    assert [row["case_id"] for row in world.table("cases", NEXT)] == ["C03-02-9"]
    assert len(world.table("quarantine", NEXT)) == 2
    assert len(world.ledger.decisions) == 5


def test_a_night_from_which_cases_are_new_lets_no_old_one_through() -> None:
    world = renamed(decided(), new_cases_from=NEXT)
    assert not world.run(NIGHT, *NIGHTLY).success
    world.sources.rows[NEXT] = [arrival(NIGHT, 0, price="10"), arrival(NEXT, 9, price="77")]
    assert world.run(NEXT, *NIGHTLY).success
    assert [row["case_id"] for row in world.table("cases", NEXT)] == ["C03-02-9"]
    assert len(world.ledger.decisions) == 4


def test_two_workflows_read_one_source_on_purpose() -> None:
    world = renamed(decided(), twins={"shared_with": {"claims": "it decides the payout, this one the spare parts"}})
    assert world.run(NIGHT, *ADMITTED).success
    assert len(world.table("cases", NIGHT)) == 3


def test_the_old_name_stops_once_another_took_its_place() -> None:
    old = decided()
    new = renamed(old, renamed_from="claims")
    new.sources.rows[NEXT] = [arrival(NEXT, 9, price="77")]
    assert new.run(NEXT, *NIGHTLY).success
    result = again(old).run(NEXT, *NIGHTLY)
    assert not result.success
    assert "claims_b took the place of claims" in failure(result)


def test_a_lake_from_before_contents_were_kept_is_read() -> None:
    class Old(MemoryLake):
        def read_span(self, workflow: str, asset: str, first: Any, before: str, columns: Any = None) -> Any:
            if columns and CONTENT in columns:
                raise LakeSchemaChanged("no such column")
            return super().read_span(workflow, asset, first, before, columns)

    world = decided()
    old = Old()
    old.tables, old.versions = world.lake.tables, world.lake.versions
    found = history_of(old, "claims")
    assert found is not None
    assert found[CONTENT].null_count == len(found) == 3
    assert history_of(old, "nobody") is None
    assert isinstance(world.ledger, MemoryLedger)
