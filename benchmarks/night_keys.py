"""`python -m benchmarks.night_keys`: how long migration v0020 takes, which writes every table with a night anew.

And how long a statement takes that adds decisions, before and after it.
"""

from __future__ import annotations

import argparse
import time
import uuid

from sqlalchemy import Engine, create_engine, text

from benchmarks.home import bench_home
from benchmarks.tables import machine, table
from resources.ledger import migrate
from resources.postgres.databases import engine_of
from resources.postgres.embedded import EmbeddedServer

BEFORE, AFTER = "0019", "0020"
_SPEC = "INSERT INTO workflow_versions (workflow, spec_hash, spec) VALUES ('big', 'spec', '{}')"
#: As wide as real ones: two options with their costs, a cluster, the versions of four tables.
_DECISIONS = """
INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, cluster, reasons,
    probabilities, expected_costs, amount, propensity, attempt, run_id)
SELECT 'big', 'C-' || i, 1, {night}, 'pay', 'cheapest', 'spec', '{{"cases": 1, "scores": 2, "clusters": 3}}',
    'K-' || i % 300, '["amount is high", "kind is theft"]', '[0.2, 0.8]', '[12.5, 81.0]', i % 500, 1.0, 1, 'run'
FROM generate_series({first}, {last}) i
"""
_DAY = "date '2025-01-01' + (i / 2500)::integer"


def main() -> None:
    given = _arguments()
    print(f"## Keys of nights\n\n{machine()}.\n", flush=True)
    with bench_home() as home:
        server = EmbeddedServer(home / "postgres")
        try:
            server.start()
            print(_measured(server.superuser_url, given.rows))
        finally:
            server.stop()


def _measured(server: str, rows: int) -> str:
    url = _database(server)
    migrate.upgrade(url, BEFORE)
    engine = engine_of(url)
    before = _seconds(engine, _SPEC, _DECISIONS.format(night=_DAY, first=1, last=rows))
    size = _size(engine)
    began = time.perf_counter()
    migrate.upgrade(url, AFTER)
    took = time.perf_counter() - began
    more, night = rows // 10, f"to_char({_DAY}, 'YYYY-MM-DD')"
    after = _seconds(engine, _DECISIONS.format(night=night, first=rows + 1, last=rows + more))
    per = 1e6 / rows
    return table(
        f"{rows:,} decisions",
        ("", "seconds", "seconds per million rows", "MiB with indexes"),
        [
            ("adding them, as dates", before, before * per, size),
            ("the migration", took, took * per, _size(engine) * rows / (rows + more)),
            ("adding a tenth more, as keys", after, after * per * 10, "-"),
        ],
    )


def _database(server: str) -> str:
    name = f"keys_{uuid.uuid4().hex[:8]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return engine.url.set(database=name).render_as_string(hide_password=False)


def _seconds(engine: Engine, *statements: str) -> float:
    """With the triggers of facts and clearances left out: what is made up stands on no night's checks."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        began = time.perf_counter()
        for statement in statements:
            connection.execute(text(statement))
        return time.perf_counter() - began


def _size(engine: Engine) -> float:
    with engine.connect() as connection:
        return float(connection.scalar(text("SELECT pg_total_relation_size('decisions')")) or 0) / 2**20


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
