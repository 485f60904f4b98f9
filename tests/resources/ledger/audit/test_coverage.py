"""Every column of the ledger has a line that says whether the chain vouches for it, or why not."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from resources.ledger.audit.coverage import APART, BEFORE, MATRIX
from resources.ledger.audit.facts import key_columns
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.schema import metadata
from resources.postgres.databases import engine_of


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


def test_the_matrix_is_about_the_tables_that_the_database_has(ledger: PostgresLedger) -> None:
    """Asked of the server itself: a column that a migration adds is missed here, whatever the declarations say."""
    with engine_of(ledger.url).connect() as connection:
        there = connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
            )
        ).all()
    columns = {(name, column) for name, column in there if name not in APART}
    told = {(name, column) for name, kept in MATRIX.items() for column in kept.columns | kept.apart.keys()}
    assert columns == told
    assert {name for name, _ in there} == MATRIX.keys() | APART.keys()
