"""Rows of past nights as they were: which nights were written again since, and what stood there before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, NIGHT

Commits = Mapping[str, Sequence[tuple[int, datetime]]]


def current_versions(decided: pd.DataFrame, table: str, commits: Commits) -> dict[tuple[str, str], tuple[str, int]]:
    """By (night, case) what has to be read at an older version than the newest, as (night, version).

    Args:
        decided: night, case_id, data_versions: the version of each table that a decision rests on.
        table: `workflow/asset_name`.
        commits: the versions that replaced each night, in order.
    """
    last = {night: max(version for version, _ in committed) for night, committed in commits.items() if committed}
    older: dict[tuple[str, str], tuple[str, int]] = {}
    for night, case, versions in zip(decided[NIGHT], decided[CASE_ID], decided["data_versions"], strict=True):
        version = versions.get(table) if isinstance(versions, dict) else None
        if version is not None and last.get(night, -1) > version:
            older[(night, case)] = (night, int(version))
    return older


def pinned_rows(
    newest: pa.Table,
    older: Mapping[tuple[str, str], tuple[str, int]],
    read: Mapping[tuple[str, int], pa.Table | None],
) -> pa.Table:
    """The newest rows of every case but those that must be older, whose rows come from the versions named.

    Args:
        older: as `current_versions`.
        read: nights by version.
    """
    now = _keys(newest)
    current = newest.filter(pa.array([key not in older for key in now], pa.bool_()))
    parts = [current]
    for source, table in read.items():
        if table is not None:
            wanted = [older.get(key) == source for key in _keys(table)]
            # a column that was added later is null in what stood there before
            parts.append(_like(table.filter(pa.array(wanted, pa.bool_())), newest.schema))
    whole = pa.concat_tables(parts)
    order = np.argsort(np.array(whole.column(NIGHT).to_pylist(), dtype=object), kind="stable")
    return whole.take(pa.array(order))


def version_before(commits: Sequence[tuple[int, datetime]], until: datetime) -> int | None:
    """The last version of a night that was written before a moment; None if there was none."""
    earlier = [version for version, time in commits if time < until]
    return max(earlier) if earlier else None


def first_of_each(tables: Sequence[pa.Table]) -> pa.Table:
    """Rows of several tables with the columns of the last; of one case of one night the first row that there is."""
    whole = pa.concat_tables([_like(table, tables[-1].schema) for table in tables])
    index = pd.MultiIndex.from_tuples(_keys(whole), names=[NIGHT, CASE_ID])
    return whole.filter(pa.array(~index.duplicated()))


def _keys(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table.column(NIGHT).to_pylist(), table.column(CASE_ID).to_pylist(), strict=True))


def _like(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table.column(f.name).cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)
