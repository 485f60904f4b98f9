"""Outputs become nights, inputs are the nights asked for, through Dagster itself."""
# No `from __future__ import annotations`: Dagster reads the annotation of `context` as it stands.

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import LakeSchemaChanged, NightMissing
from pipeline_project.domain.core.stored_tables import NotedTable, StoredTable, versions_of
from resources.lake.io_manager import LakeIOManager
from resources.lake.lake import DeltaLake
from resources.metering import RunMeter, StepMeter
from tests.present import present

NIGHTS = dg.DailyPartitionsDefinition("2024-03-01", end_date=datetime(2024, 3, 8, tzinfo=UTC))
FIRST, SECOND, THIRD = "2024-03-01", "2024-03-02", "2024-03-03"


def cases(night: str, *ids: str) -> pa.Table:
    return pa.table({"night": pa.array([night] * len(ids), pa.string()), "case_id": pa.array(ids, pa.string())})


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "lake"))


def producer(make: Callable[[str], pa.Table], spec_hash: str | None = "one") -> dg.AssetsDefinition:
    """returns/cases, made by a function of the night."""

    @dg.asset(
        key=["returns", "cases"],
        partitions_def=NIGHTS,
        metadata={} if spec_hash is None else {"spec_hash": spec_hash},
        io_manager_key="io_manager",
    )
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult[pa.Table]:
        table = pa.concat_tables([make(night) for night in context.partition_keys])
        return dg.MaterializeResult(value=table, metadata={"rows": table.num_rows, "own": "kept"})

    return made


def consumer(seen: list[StoredTable], mapping: dg.PartitionMapping | None = None) -> dg.AssetsDefinition:
    """returns/scores, which keeps what it was given in `seen`."""

    @dg.asset(
        key=["returns", "scores"],
        partitions_def=NIGHTS,
        ins={"cases": dg.AssetIn(["returns", "cases"], partition_mapping=mapping)},
    )
    def scores(context: dg.AssetExecutionContext, cases: StoredTable) -> pa.Table:
        seen.append(cases)
        return pa.table({"n": [cases.rows.num_rows]})

    return scores


def run(lake: DeltaLake, *assets: dg.AssetsDefinition, night: str, **options: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(list(assets), partition_key=night, resources={"io_manager": LakeIOManager(lake)}, **options)


def test_an_output_is_a_night_and_says_what_was_written(lake: DeltaLake) -> None:
    result = run(lake, producer(lambda night: cases(night, "a", "b")), night=FIRST)
    assert present(lake.read_night("returns", "cases", FIRST))["case_id"].to_pylist() == ["a", "b"]
    (materialization,) = result.asset_materializations_for_node("returns__cases")
    said = {name: value.value for name, value in materialization.metadata.items()}
    assert said["lake_version"] == lake.version("returns", "cases")
    assert said["rows"] == said["dagster/row_count"] == 2
    assert said["uri"] == lake.uri("returns", "cases")
    assert said["dagster/table_name"] == "returns/cases"
    assert said["own"] == "kept"
    schema = said["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [(column.name, column.type) for column in schema.columns] == [("night", "string"), ("case_id", "string")]


def test_what_is_noted_stands_in_the_commit_beside_the_spec(lake: DeltaLake) -> None:
    @dg.asset(key=["returns", "cases"], partitions_def=NIGHTS, metadata={"spec_hash": "one"})
    def noted(context: dg.AssetExecutionContext) -> NotedTable:
        return NotedTable(cases(FIRST, "a"), {"readings": "[]"})

    run(lake, noted, night=FIRST)
    content = str(lake.content("returns", "cases", FIRST))
    assert lake.note("returns", "cases", content) == {"readings": "[]", "spec_hash": "one"}


def test_an_input_is_the_same_night_with_its_version(lake: DeltaLake) -> None:
    seen: list[StoredTable] = []
    make = producer(lambda night: cases(night, night))
    run(lake, make, night=FIRST)
    run(lake, make, consumer(seen), night=SECOND)
    assert seen[0].rows["case_id"].to_pylist() == [SECOND]
    assert versions_of(seen) == {"returns/cases": lake.version("returns", "cases")}


def test_an_empty_night_is_an_input_without_rows(lake: DeltaLake) -> None:
    seen: list[StoredTable] = []
    run(lake, producer(cases), consumer(seen), night=FIRST)
    assert seen[0].rows.num_rows == 0
    assert seen[0].rows.column_names == ["night", "case_id"]


def test_a_window_is_its_nights_in_order(lake: DeltaLake) -> None:
    seen: list[StoredTable] = []
    make = producer(lambda night: cases(night, f"{night}-b", f"{night}-a"))
    for night in (THIRD, FIRST, SECOND):
        run(lake, make, night=night)
    window = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=0)
    run(lake, make, consumer(seen, window), night=THIRD, selection=dg.AssetSelection.assets(["returns", "scores"]))
    assert seen[0].rows["case_id"].to_pylist() == [f"{SECOND}-b", f"{SECOND}-a", f"{THIRD}-b", f"{THIRD}-a"]
    assert versions_of(seen) == {"returns/cases": lake.version("returns", "cases")}


def test_nights_in_the_gap_of_a_window_are_not_read(lake: DeltaLake) -> None:
    seen: list[StoredTable] = []
    make = producer(lambda night: cases(night, night))
    for night in (FIRST, SECOND, THIRD):
        run(lake, make, night=night)
    two = dg.SpecificPartitionsPartitionMapping([THIRD, FIRST])
    run(lake, make, consumer(seen, two), night=THIRD, selection=dg.AssetSelection.assets(["returns", "scores"]))
    assert seen[0].rows["case_id"].to_pylist() == [FIRST, THIRD]
    assert versions_of(seen) == {"returns/cases": lake.version("returns", "cases")}


def test_an_output_says_which_versions_its_step_read(lake: DeltaLake) -> None:
    make, use = producer(lambda night: cases(night, night)), consumer([])
    run(lake, make, night=FIRST)
    result = run(lake, make, use, night=SECOND)
    read = {}
    for name in ("returns__cases", "returns__scores"):
        (materialization,) = result.asset_materializations_for_node(name)
        read[name] = materialization.metadata["lake_versions_read"].value
    assert read == {"returns__cases": {}, "returns__scores": {"returns/cases": lake.version("returns", "cases")}}


def test_a_night_can_be_loaded_outside_of_a_run(lake: DeltaLake) -> None:
    lake.write_night("returns", "cases", FIRST, cases(FIRST, "a"))
    defs = dg.Definitions([producer(cases)], resources={"io_manager": LakeIOManager(lake)})
    loaded = defs.load_asset_value(["returns", "cases"], partition_key=FIRST)
    assert isinstance(loaded, StoredTable)
    assert loaded.rows["case_id"].to_pylist() == ["a"]


@pytest.mark.parametrize(("others", "said"), [((), "the night 2024-03-02"), ((FIRST,), "the night 2024-03-02")])
def test_a_missing_night_names_itself_and_the_command(lake: DeltaLake, others: tuple[str, ...], said: str) -> None:
    make = producer(lambda night: cases(night, "a"))
    for night in others:
        run(lake, make, night=night)
    with pytest.raises(NightMissing) as raised:
        run(lake, make, consumer([]), night=SECOND, selection=dg.AssetSelection.assets(["returns", "scores"]))
    assert "returns/cases was never written" in str(raised.value)
    assert said in str(raised.value)
    assert f"pipeline nights returns --from {SECOND} --to {SECOND}" in str(raised.value)


def test_new_columns_need_a_changed_spec(lake: DeltaLake) -> None:
    def wider(night: str) -> pa.Table:
        return cases(night, "a").append_column("extra", pa.array([1]))

    run(lake, producer(lambda night: cases(night, "a")), night=FIRST)
    with pytest.raises(LakeSchemaChanged, match="new: extra"):
        run(lake, producer(wider), night=SECOND)
    with pytest.raises(LakeSchemaChanged, match="new: extra"):
        run(lake, producer(wider, spec_hash=None), night=SECOND)
    run(lake, producer(wider, spec_hash="two"), night=SECOND)
    assert lake.last_note("returns", "cases") == {"spec_hash": "two"}
    assert present(lake.read_night("returns", "cases", FIRST))["extra"].to_pylist() == [None]
    with pytest.raises(LakeSchemaChanged, match="missing: extra"):
        run(lake, producer(lambda night: cases(night, "a"), spec_hash="two"), night=THIRD)


def test_one_output_of_several_nights_is_split(lake: DeltaLake) -> None:
    made = producer(lambda night: cases(night) if night == SECOND else cases(night, night))
    dg.materialize(
        [made],
        resources={"io_manager": LakeIOManager(lake)},
        tags={"dagster/asset_partition_range_start": FIRST, "dagster/asset_partition_range_end": THIRD},
    )
    assert lake.nights("returns", "cases") == {FIRST, SECOND, THIRD}
    span = present(lake.read_span("returns", "cases", None, "2025-01-01"))
    assert span["case_id"].to_pylist() == [FIRST, THIRD]
    assert present(lake.read_night("returns", "cases", SECOND)).num_rows == 0


def output_context(nights: list[str], **options: Any) -> dg.OutputContext:
    return dg.build_output_context(
        asset_key=dg.AssetKey(["returns", "cases"]),
        asset_partitions_def=NIGHTS,
        partition_key=nights[0],
        **options,
    )


def test_what_is_no_table_or_of_another_night_is_refused(lake: DeltaLake) -> None:
    manager = LakeIOManager(lake)
    with pytest.raises(TypeError, match="returns/cases returned dict"):
        manager.handle_output(output_context([FIRST]), {"case_id": ["a"]})
    with pytest.raises(ValueError, match=f"rows of {SECOND}"):
        manager.handle_output(output_context([FIRST]), cases(SECOND, "a"))
    assert lake.version("returns", "cases") is None


def test_an_asset_without_nights_or_with_another_key_is_refused(lake: DeltaLake) -> None:
    manager = LakeIOManager(lake)
    with pytest.raises(ValueError, match="has no nights"):
        manager.handle_output(dg.build_output_context(asset_key=dg.AssetKey(["returns", "cases"])), cases(FIRST))
    with pytest.raises(ValueError, match="keyed \\[workflow, asset\\]"):
        manager.handle_output(dg.build_output_context(asset_key=dg.AssetKey(["cases"])), cases(FIRST))


@pytest.mark.parametrize(("device", "more"), [("cpu", set()), ("cuda", {"device_seconds"})])
def test_a_materialization_says_what_its_step_took(lake: DeltaLake, device: str, more: set[str]) -> None:
    meter = StepMeter()

    @dg.asset(key=["returns", "cases"], partitions_def=NIGHTS, pool="gpu")
    def made(context: dg.AssetExecutionContext) -> pa.Table:
        # as the event log lets it know
        meter.observe(dg.DagsterEventType.STEP_START, context.run.run_id, "returns__cases")
        return cases(FIRST, "a")

    manager = LakeIOManager(lake, RunMeter(meter, device))
    done = dg.materialize([made], partition_key=FIRST, resources={"io_manager": manager})
    metadata = done.asset_materializations_for_node("returns__cases")[0].metadata
    took = {name: entry.value for name, entry in metadata.items() if name.endswith("_seconds")}
    assert set(took) == {"processor_seconds", *more}
    assert all(isinstance(value, float) and value > 0 for value in took.values())
