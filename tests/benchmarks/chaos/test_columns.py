"""Every column that the chain holds is tampered with, once each; `python -m benchmarks.chaos.columns` does it more."""

from __future__ import annotations

from random import Random

from benchmarks.chaos.columns import CHANGED, EMPTIED, UNREADABLE, Act, acts, fill, found
from resources.ledger.audit.comparison import compare_table
from resources.ledger.audit.coverage import MATRIX
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.schema import metadata
from resources.postgres.databases import engine_of

#: The comparison reads dates, times, JSON and numbers in one way each.
READ = {"releases", "decisions", "actions", "review_tasks", "live_checks"}


def wanted(act: Act) -> bool:
    return act.how not in (EMPTIED, UNREADABLE) or act.table in READ


def test_each_column_that_is_tampered_with_is_found_and_nothing_without(ledger: PostgresLedger) -> None:
    with engine_of(ledger.url).connect() as connection:
        fill(connection)
        assert [name for name in MATRIX if compare_table(connection, metadata.tables[name]).findings] == []
        done = [act for name in MATRIX for act in acts(name, Random(7)) if wanted(act)]
        changed = {(act.table, act.column) for act in done if act.how == CHANGED}
        assert changed == {(name, column) for name, kept in MATRIX.items() for column in kept.columns}
        assert [str(act) for act in done if not found(connection, act)] == []
        # the control: the chain itself is whole all the while
        some = [act for act in done if act.table == "people"]
        assert [str(act) for act in some if found(connection, act, compare=False)] == []
        connection.rollback()
