"""`python -m benchmarks.sizes`: what a night takes in each store, before and after retention, and what a year comes to.

    python -m benchmarks.sizes --nights 30 --per-night 200     # nights of the sample, in a home that goes afterwards
    python -m benchmarks.sizes --home HOME                     # of a home that is there; what is over there goes

Sizes are of rows and files as they lie, tables packed (`VACUUM FULL`) before each look: room that a table holds ready
for what comes next is not counted. Retention is asked as if a thousand days had passed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from sqlalchemy import NullPool, create_engine, make_url, text

from benchmarks.child import SEED, WORKFLOW
from benchmarks.home import bench_home, environ
from benchmarks.tables import machine, table
from pipeline_project.commands.shared.app_context import prepare, settings, workflows
from pipeline_project.container.privacy import open_sealed_lake
from pipeline_project.domain.core.store_terms import StoreTerms
from resources.files.trees import tree_of
from resources.postgres.databases import DAGSTER, LEDGER, MLFLOW, embedded

YEAR, MIB, KIB = 365, 2**20, 2**10
#: By store, for how many nights everything is there; the others have no terms of their own.
WHOLE = {"Dagster's database": "events", "Dagster's folders": "events", "lake: vectors by content": "vectors"}


@dataclass(frozen=True)
class Sized:
    """Bytes of each store, and how many nights they are of."""

    nights: int
    stores: Mapping[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("--nights", type=int, default=30, help="decided nights, after the workflow's warm-up")
    parser.add_argument("--per-night", type=int, default=200)
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    with nullcontext(given.home) if given.home else bench_home() as home, _standing_in(home.resolve()):
        if not given.home:
            _made(given.nights, given.per_night)
        before = look()
        _let_go()
        after = look()
    print(f"{machine()}\n")
    print(report(before, after, StoreTerms()))


def look() -> Sized:
    """The stores of the home that this process stands in."""
    context = prepare()
    chosen = context.settings
    lake = open_sealed_lake(chosen)
    files = tree_of(chosen.lake_url).sizes()
    server = embedded(chosen).superuser_url
    databases = {name: _packed(server, name) for name in (LEDGER, DAGSTER, MLFLOW)}
    folders = {"models": chosen.models, "reports": chosen.reports, "dagster": str(chosen.home / "dagster")}
    below = {name: sum(tree_of(place).sizes().values()) for name, place in folders.items()}
    of_lake = {
        "lake: tables": sum(size for path, size in files.items() if _of_table(path)),
        "lake: their logs": sum(size for path, size in files.items() if "/_delta_log/" in path),
        "lake: vectors by content": sum(
            size for path, size in files.items() if path.startswith("_vectors") and "/_delta_log/" not in path
        ),
    }
    return Sized(
        len(lake.nights(WORKFLOW, "arrivals")),
        {
            "ledger": databases[LEDGER], "Dagster's database": databases[DAGSTER],
            "Dagster's folders": below["dagster"], "MLflow's database": databases[MLFLOW],
            "models": below["models"], **of_lake, "reports": below["reports"],
        },
    )  # fmt: skip


def report(before: Sized, after: Sized, terms: StoreTerms) -> str:
    """A night and a year of each store."""
    rows: list[tuple[str | float, ...]] = []
    sums = [0.0, 0.0, 0.0, 0.0]
    for store, size in before.stores.items():
        night, later = size / before.nights, after.stores[store] / after.nights
        whole = getattr(terms, WHOLE[store]) if store in WHOLE else YEAR
        without, kept = night * YEAR / MIB, (night * whole + later * (YEAR - whole)) / MIB
        figures = (night / KIB, later / KIB, without, kept)
        rows.append((store, *figures))
        sums = [one + other for one, other in zip(sums, figures, strict=True)]
    rows.append(("together", *sums))
    columns = ["", "a night, KiB", "once its time is over, KiB", "a year, MiB", "a year with retention, MiB"]
    return table(f"{before.nights} nights", columns, rows)


def _of_table(path: str) -> bool:
    return not path.startswith("_vectors") and "/_delta_log/" not in path


def _packed(server: str, name: str) -> int:
    """Bytes of a database's tables and indexes, packed."""
    url = make_url(server).set(database=name)
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    sizes = (
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname = 'public' AND relkind IN ('r', 'm')"
    )
    with engine.connect() as connection:
        connection.execute(text("VACUUM FULL"))
        return int(connection.scalar(text(sizes)) or 0)


def _let_go() -> None:
    context = prepare()
    upkeep = context.stores.upkeep(open_sealed_lake(settings()), datetime.now(UTC) + timedelta(days=1000))
    upkeep = replace(upkeep, terms=StoreTerms())
    for name in workflows().specs:
        upkeep.of_workflow(name, dry=False)
    upkeep.of_house(dry=False)


def _made(nights: int, per_night: int) -> None:
    from pipeline_project.commands.demo import run_demo

    run_demo(nights, per_night, SEED, as_json=True)


@contextmanager
def _standing_in(home: Path) -> Iterator[None]:
    with mock.patch.dict(os.environ, environ(home), clear=True):
        yield


if __name__ == "__main__":
    main()
