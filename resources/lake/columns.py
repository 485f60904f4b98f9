"""Columns of the lake: the types Delta keeps exactly, and which changes of a table's columns are allowed."""

from __future__ import annotations

import pyarrow as pa

from pipeline_project.domain.core.errors import LakeSchemaChanged


def lake_type(kind: pa.DataType) -> pa.DataType:
    """The type a column has in the lake: Delta knows fewer than Arrow, and one spelling of each reads back equal."""
    if pa.types.is_dictionary(kind):
        return lake_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(lake_type(kind.value_type))
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_unsigned_integer(kind):
        return pa.int64()
    return pa.float32() if pa.types.is_float16(kind) else kind


def lake_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns with the types they have in the lake, all nullable, without metadata."""
    return pa.schema([pa.field(f.name, lake_type(f.type)) for f in schema])


def agreed_schema(standing: pa.Schema, coming: pa.Schema, name: str, evolve: bool) -> pa.Schema:
    """The table's schema after the write.

    Raises:
        LakeSchemaChanged: it would not be what was declared.
    """
    added = [f for f in coming if f.name not in standing.names]
    missing = [f for f in standing if f.name not in coming.names]
    # A column of nulls has no values to be of a wrong type: it takes the type that the table has.
    changed = [
        f"{f.name} (is {standing.field(f.name).type}, would be {f.type})"
        for f in coming
        if f.name in standing.names and f.type not in (standing.field(f.name).type, pa.null())
    ]
    if changed:
        raise LakeSchemaChanged(
            f"{name} would change the type of {', '.join(changed)}. A type never changes in place: "
            "give the column a new name, or move the table away and run its nights again"
        )
    if (added or missing) and not evolve:
        differences = [f"new: {', '.join(f.name for f in added)}"] if added else []
        differences += [f"missing: {', '.join(f.name for f in missing)}"] if missing else []
        raise LakeSchemaChanged(
            f"{name} would change its columns ({'; '.join(differences)}) although its spec did not change. "
            "If that is meant, declare it in the workflow's spec, which allows new columns and fills missing ones "
            "with null; if not, look at what the night's source or the asset's code changed"
        )
    return pa.schema([*standing, *added])


def fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with exactly these columns, null where there was none."""
    columns = [
        rows[f.name].cast(f.type) if f.name in rows.column_names else pa.nulls(rows.num_rows, f.type) for f in schema
    ]
    return pa.table(columns, schema=schema)
