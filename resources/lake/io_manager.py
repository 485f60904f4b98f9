"""Between Dagster and the lake: an asset's output becomes a night of its table, an input the nights it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.errors import NightMissing
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.core.stored_tables import NotedTable, StoredTable
from pipeline_project.domain.core.tenants import tenant_and_workflow
from resources.lake.lake import DeltaLake
from resources.metering import RunMeter

_NO_NIGHT = "0001-01-01"


class LakeIOManager(dg.IOManager):
    """Keeps outputs of assets keyed `[workflow, asset]` and partitioned by night; inputs say which writing they are.

    New columns are allowed only when the asset's definition metadata `spec_hash` differs from the one recorded with
    the table's last night, that is, when somebody changed the workflow's spec since.
    """

    def __init__(self, lake: DeltaLake, meter: RunMeter | None = None) -> None:
        self.lake = lake
        self.meter = meter
        self._versions_read: dict[tuple[str, str], dict[str, int]] = {}

    def handle_output(self, context: dg.OutputContext, obj: pa.Table | NotedTable) -> None:
        """Replaces each night of the output in one commit and says so in the materialization's metadata.

        Raises:
            TypeError: the output is no Arrow table.
            LakeSchemaChanged, LakeUnavailable: see `DeltaLake.write_night`.
        """
        table, noted = (obj.rows, obj.note) if isinstance(obj, NotedTable) else (obj, {})
        if not isinstance(table, pa.Table):
            raise TypeError(
                f"{context.asset_key.to_user_string()} returned {type(obj).__name__}; return a pyarrow.Table"
            )
        workflow, asset = _names(context.asset_key)
        nights = _nights(context)
        spec_hash = _text((context.definition_metadata or {}).get("spec_hash"))
        for night, rows in _split(table, nights).items():
            version = self.lake.write_output(workflow, asset, night, rows, spec_hash, noted)
        step = _step(context)
        read = self._versions_read.get(step, {}) if step else {}
        took = self.meter.output_metadata(*step, context.op_def.pool) if self.meter and step else {}
        context.add_output_metadata({**_metadata(table, version, self.lake.uri(workflow, asset), read), **took})

    def load_input(self, context: dg.InputContext) -> StoredTable:
        """The night of the partition, or the nights of its window in order, all of one version of the table.

        Raises:
            NightMissing: a night that the input asks for was never written; the message has the command to run.
            LakeUnavailable: the lake cannot be read.
        """
        workflow, asset = _names(context.asset_key)
        nights = _nights(context)
        version = self.lake.version(workflow, asset)
        if version is None:
            raise _missing(workflow, asset, nights)
        written = self.lake.nights(workflow, asset, version)
        if absent := [night for night in nights if night not in written]:
            raise _missing(workflow, asset, absent)
        stored = self._read(workflow, asset, nights, version)
        self._remember(context, stored)
        return stored

    def _remember(self, context: dg.InputContext, stored: StoredTable) -> None:
        """Keeps what a step read until its output is written, whose metadata says it."""
        if step := _step(context):
            self._versions_read = {key: read for key, read in self._versions_read.items() if key[0] == step[0]}
            self._versions_read.setdefault(step, {})[stored.name] = stored.version

    def _read(self, workflow: str, asset: str, nights: Sequence[str], version: int) -> StoredTable:
        """The nights' rows; a window has few gaps, so it is read at once and what lies in a gap is left out."""
        if len(nights) == 1:
            stored = self.lake.stored_night(workflow, asset, nights[0], version)
            if stored is None:
                raise _missing(workflow, asset, nights)
            return stored
        first = nights[0] if nights else _NO_NIGHT
        before = shifted(nights[-1], 1) if nights else _NO_NIGHT
        span = self.lake.read_span(workflow, asset, first, before, version=version)
        if span is None:
            raise _missing(workflow, asset, nights)
        rows = span.filter(pc.is_in(span[NIGHT], value_set=pa.array(nights, pa.string())))
        return StoredTable(rows, f"{workflow}/{asset}", version)


def _step(context: dg.OutputContext | dg.InputContext) -> tuple[str, str] | None:
    """The run and the step, or None outside of a run (`load_asset_value`)."""
    try:
        return context.step_context.run_id, context.step_context.step.key
    except dg.DagsterInvariantViolationError:
        return None


def _names(key: dg.AssetKey) -> tuple[str, str]:
    if len(key.path) != 2:
        raise ValueError(f"the lake keeps assets keyed [workflow, asset], not {key.to_user_string()}")
    return tenant_and_workflow(key.path[0])[1], key.path[1]


def _nights(context: dg.OutputContext | dg.InputContext) -> list[str]:
    if not context.has_asset_partitions:
        raise ValueError(f"{context.asset_key.to_user_string()} has no nights; give it partitions_def=nights(spec)")
    return sorted(context.asset_partition_keys)


def _text(value: Any) -> str | None:
    """A metadata value as it was given: Dagster may have wrapped it."""
    return None if value is None else str(getattr(value, "value", value))


def _missing(workflow: str, asset: str, nights: Sequence[str]) -> NightMissing:
    first, last = (nights[0], nights[-1]) if nights else ("NIGHT", "NIGHT")
    many = f"{len(nights)} nights from {first} to {last}" if len(nights) > 1 else f"the night {first}"
    return NightMissing(
        f"{workflow}/{asset} was never written for {many}. "
        f"Run `pipeline nights {workflow} --from {first} --to {last}`, then this night again"
    )


def _split(table: pa.Table, nights: Sequence[str]) -> Mapping[str, pa.Table]:
    """The rows of each night, a night without rows included.

    Raises:
        ValueError: rows of a night that was not asked for, or several nights and no column to tell them apart.
    """
    if len(nights) == 1:
        return {nights[0]: table}
    if NIGHT not in table.column_names:
        raise ValueError(f"an output of {len(nights)} nights needs a column {NIGHT!r} that says which row is whose")
    others = set(table[NIGHT].unique().to_pylist()) - set(nights)
    if others:
        raise ValueError(f"rows of {', '.join(sorted(map(str, others)))} in an output of {nights[0]} to {nights[-1]}")
    return {night: table.filter(pc.equal(table[NIGHT], night)) for night in nights}


def _metadata(table: pa.Table, version: int, uri: str, read: Mapping[str, int]) -> dict[str, Any]:
    columns = [dg.TableColumn(f.name, str(f.type)) for f in table.schema]
    return {
        "lake_version": version,
        "rows": table.num_rows,
        "uri": uri,
        "lake_versions_read": dg.MetadataValue.json(dict(read)),
        "dagster/row_count": table.num_rows,
        "dagster/table_name": "/".join(uri.rsplit("/", 2)[-2:]),
        "dagster/column_schema": dg.TableSchema(columns),
    }
