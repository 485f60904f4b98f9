"""`python -m benchmarks.tidied`: how the server tidies up the ledger of the home one stands in, table by table.

What each table that has a row for a case is told (`resources/ledger/upkeep.py`), how many dead rows lie in it, when it
was last vacuumed and analyzed, and how many transactions old its oldest row is that is not frozen.
"""

from __future__ import annotations

import argparse

from sqlalchemy import text

from benchmarks.tables import table
from pipeline_project.commands.shared.app_context import settings
from resources.ledger.upkeep import SETTINGS
from resources.postgres.databases import databases, engine_of

_STATE = """
SELECT c.relname, c.reltuples::bigint, s.n_dead_tup, age(c.relfrozenxid),
    to_char(greatest(s.last_vacuum, s.last_autovacuum), 'YYYY-MM-DD HH24:MI'),
    to_char(greatest(s.last_analyze, s.last_autoanalyze), 'YYYY-MM-DD HH24:MI'), c.reloptions
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relname = ANY(:tables) ORDER BY 2 DESC, 1
"""


def report(url: str) -> str:
    """The table of a ledger."""
    with engine_of(url).connect() as connection:
        rows = connection.execute(text(_STATE), {"tables": list(SETTINGS)}).all()
    columns = ["", "rows, about", "dead", "age, transactions", "vacuumed", "analyzed", "told"]
    shown = [
        (name, max(0, about), dead, age, vacuumed or "never", analyzed or "never", _short(told or []))
        for name, about, dead, age, vacuumed, analyzed, told in rows
    ]
    return table("The ledger's tables with a row for a case", columns, shown)


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.tidied", description=__doc__).parse_args()
    print(report(databases(settings()).ledger_url))


def _short(told: list[str]) -> str:
    return ", ".join(option.removeprefix("autovacuum_") for option in told) or "nothing: run `pipeline up`"


if __name__ == "__main__":
    main()
