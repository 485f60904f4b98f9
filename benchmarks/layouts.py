"""`python -m benchmarks.layouts`: what a table of decisions costs by how it is laid out, as it grows.

Three layouts that all keep a case from being decided twice in one epoch: one table; sixteen hash partitions by case;
and partitions by night, where a second, slim table holds the keys, for a table partitioned by night cannot. The rows
are made by the database; case ids come in no order, which is the dear case for an index.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, Engine, make_url, text

from benchmarks.home import bench_home
from benchmarks.tables import head, line, machine
from resources.postgres.databases import engine_of
from resources.postgres.embedded import EmbeddedServer

HASHES = 16
#: Nights that the rows there already are spread over, each as large as the others.
NIGHTS = 40
_COLUMNS = """workflow text NOT NULL, case_id text NOT NULL, epoch int NOT NULL DEFAULT 1, night date NOT NULL,
    option text NOT NULL, spec_hash text NOT NULL, body jsonb NOT NULL, decided_at timestamptz NOT NULL DEFAULT now()"""
_KEY = "workflow, case_id, epoch"
#: Rows :first to :last of the night with number :night.
_ROWS = """
SELECT 'returns' AS workflow, substr(md5(i::text), 1, 14) AS case_id, 1 AS epoch,
    date '2020-01-01' + CAST(:night AS int) AS night,
    (ARRAY['refund', 'reject', 'ask_person'])[1 + i % 3] AS option, 'a1b2c3d4e5f60718' AS spec_hash,
    jsonb_build_object('costs', jsonb_build_array(i % 97, 2.5, 4.5), 'probabilities', jsonb_build_array(0.25, 0.75),
        'reasons', jsonb_build_array('price is high (+' || i % 31 || ')'), 'cluster', 'K-' || i % 300) AS body
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) i
"""
_NAMED = "workflow, case_id, epoch, night, option, spec_hash, body"


@dataclass(frozen=True)
class Layout:
    """How the table is made, and the statement that adds a night's rows and returns how many were new."""

    title: str
    made: tuple[str, ...]
    add: str
    by_night: bool = False


_PLAIN_ADD = f"INSERT INTO made ({_NAMED}) SELECT {_NAMED} FROM sent ON CONFLICT DO NOTHING"
LAYOUTS = (
    Layout(
        "one table",
        (
            f"CREATE TABLE made ({_COLUMNS}, UNIQUE ({_KEY}))",
            "CREATE INDEX ON made (workflow, night, option)",
        ),
        _PLAIN_ADD,
    ),
    Layout(
        f"{HASHES} hash partitions by case",
        (
            f"CREATE TABLE made ({_COLUMNS}, UNIQUE ({_KEY})) PARTITION BY HASH (case_id)",
            *(
                f"CREATE TABLE made_{part} PARTITION OF made FOR VALUES WITH (MODULUS {HASHES}, REMAINDER {part})"
                for part in range(HASHES)
            ),
            "CREATE INDEX ON made (workflow, night, option)",
        ),
        _PLAIN_ADD,
    ),
    Layout(
        "by night, with a table of keys",
        (
            f"CREATE TABLE made ({_COLUMNS}) PARTITION BY RANGE (night)",
            f"CREATE INDEX ON made ({_KEY})",
            "CREATE INDEX ON made (workflow, night, option)",
            f"CREATE TABLE keys (workflow text, case_id text, epoch int, night date, PRIMARY KEY ({_KEY}))",
        ),
        f"WITH new AS (INSERT INTO keys SELECT {_KEY}, night FROM sent ON CONFLICT DO NOTHING RETURNING {_KEY}) "
        f"INSERT INTO made ({_NAMED}) SELECT {_NAMED} FROM sent JOIN new USING ({_KEY})",
        by_night=True,
    ),
)

_OF_CASES = "SELECT count(*) FROM (SELECT body FROM made WHERE workflow = 'returns' AND case_id = ANY(:cases)) AS rows"
#: Through the keys where there are any: without the night every partition would be looked into.
_OF_CASES_BY_KEY = """SELECT count(*) FROM (SELECT body FROM keys JOIN made USING (workflow, case_id, epoch, night)
    WHERE workflow = 'returns' AND case_id = ANY(:cases)) AS rows"""
_OF_NIGHT = (
    "SELECT option, count(*) FROM made WHERE workflow = 'returns' AND night = date '2020-01-01' + :night GROUP BY 1"
)


def measure(engine: Engine, layout: Layout, sizes: list[int], a_night: int) -> None:
    """Prints one line for each size: what a further night of `a_night` cases, a look-up and a night's counts take."""
    with engine.begin() as connection:
        for statement in layout.made:
            connection.execute(text(statement))
    there = night = 0
    for size in sizes:
        step = (size - there) // NIGHTS
        for _ in range(NIGHTS):
            there, night = _add(engine, layout, there, step, night)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE) made"))
        added = []
        for _ in range(5):
            with _measured(engine) as spent:
                there, night = _add(engine, layout, there, a_night, night)
            added.append(spent)
        best = min(added, key=lambda spent: spent.milliseconds)
        with engine.connect() as connection:
            looked = _looked_up(connection, layout, there)
            counted = _best(partial(_counted, connection, night - 1))
            held = connection.scalar(text(_SIZE)) or 0
        figures = (best.milliseconds, best.wal / a_night, looked, counted, float(held) / there)
        print(line((f"{layout.title}, {size:,}", *figures)), flush=True)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS made, keys"))


@dataclass
class _Spent:
    milliseconds: float = 0.0
    wal: float = 0.0


class _measured:
    """Milliseconds and bytes of the server's log that a block takes."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._spent = engine, _Spent()

    def __enter__(self) -> _Spent:
        self._log, self._began = self._position(), time.perf_counter()
        return self._spent

    def __exit__(self, *_: object) -> None:
        self._spent.milliseconds = 1000 * (time.perf_counter() - self._began)
        self._spent.wal = self._position() - self._log

    def _position(self) -> float:
        with self._engine.connect() as connection:
            return float(connection.scalar(text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")) or 0)


_SIZE = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relname LIKE 'made%' OR relname LIKE 'keys%'"


def _add(engine: Engine, layout: Layout, there: int, count: int, night: int) -> tuple[int, int]:
    given: Mapping[str, int] = {"first": there + 1, "last": there + count, "night": night}
    with engine.begin() as connection:
        if layout.by_night:
            connection.execute(
                text(
                    f"CREATE TABLE made_{night} PARTITION OF made FOR VALUES FROM (date '2020-01-01' + {night}) "
                    f"TO (date '2020-01-01' + {night + 1})"
                )
            )
        connection.execute(
            text(f"WITH sent AS ({_ROWS}) {layout.add}" if not layout.by_night else _nested(layout)), given
        )
    return there + count, night + 1


def _nested(layout: Layout) -> str:
    return f"WITH sent AS MATERIALIZED ({_ROWS}), {layout.add.removeprefix('WITH ')}"


def _counted(connection: Connection, night: int) -> None:
    connection.execute(text(_OF_NIGHT), {"night": night}).all()


def _looked_up(connection: Connection, layout: Layout, there: int) -> float:
    numbers = [1 + (place * 7_919) % there for place in range(1_000)]
    cases = list(connection.scalars(text("SELECT substr(md5(i::text), 1, 14) FROM unnest(:n) i"), {"n": numbers}))
    query = text(_OF_CASES_BY_KEY if layout.by_night else _OF_CASES)
    return _best(lambda: connection.execute(query, {"cases": cases}).all())


def _best(act: Callable[[], object], times: int = 5) -> float:
    """Milliseconds of the quickest of some tries."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        took.append(1000 * (time.perf_counter() - began))
    return min(took)


def main() -> None:
    given = _arguments()
    sizes = [int(size) for size in given.sizes.split(",")]
    print(f"## How decisions are laid out\n\n{machine()}.\n", flush=True)
    columns = [
        "layout, rows there",
        "a night added, ms",
        "log, bytes a row",
        "1,000 cases looked up, ms",
        "a night counted, ms",
        "stored, bytes a row",
    ]
    print(head(f"A night of {given.night:,} cases on top of what is there, best of 5", columns), flush=True)
    with bench_home() as home:
        server = EmbeddedServer(home / "postgres")
        url = make_url(server.start()).render_as_string(hide_password=False)
        for layout in LAYOUTS:
            measure(engine_of(url), layout, sizes, given.night)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layouts", description=__doc__)
    parser.add_argument("--sizes", default="200000,1000000", help="rows there are, growing (default: %(default)s)")
    parser.add_argument("--night", type=int, default=10_000, help="cases of a night (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
