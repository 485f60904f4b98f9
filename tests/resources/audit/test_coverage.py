"""Every column of the ledger has a line that says whether the chain vouches for it, or why not."""

from __future__ import annotations

import pytest

from resources.audit.coverage import APART, BEFORE, MATRIX
from resources.audit.facts import key_columns
from resources.ledger.schema import metadata


def test_every_table_has_its_line() -> None:
    assert sorted(MATRIX.keys() | APART.keys()) == sorted(metadata.tables)
    assert MATRIX.keys() & APART.keys() == set()
    assert all(reason.strip() for reason in APART.values())
    assert MATRIX.keys() >= BEFORE


@pytest.mark.parametrize("name", MATRIX)
def test_every_column_is_held_or_has_its_reason(name: str) -> None:
    kept, table = MATRIX[name], metadata.tables[name]
    assert kept.columns | kept.apart.keys() == {column.name for column in table.columns}
    assert not kept.fixed_columns & kept.latest_columns
    assert not kept.columns & kept.apart.keys()
    assert kept.digested_columns <= kept.columns
    assert set(key_columns(table)) <= kept.fixed_columns
    assert all(reason.strip() for reason in kept.apart.values())
