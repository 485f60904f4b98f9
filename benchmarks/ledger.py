"""`python -m benchmarks.ledger`: what a night asks of the ledger, by how many decisions there are already.

The decisions before are made by the database with all their columns, their outcomes and their rows of the audit chain;
everything that is timed is the ledger's own code. Case ids come in no order, which is the dear case for an index.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from sqlalchemy import make_url, text

from benchmarks.home import bench_home
from benchmarks.passed import passed
from benchmarks.tables import machine, table
from pipeline_project.domain.deciding.recorded import NewDecision
from resources.ledger import migrate
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.nights.story import PostgresStories
from resources.postgres.databases import engine_of
from resources.postgres.embedded import EmbeddedServer

WORKFLOW, SPEC = "returns", "spec"
FIRST = datetime(2020, 1, 1, tzinfo=UTC)
#: Nights that the rows of one size are spread over.
NIGHTS = 50

#: Triggers and foreign keys are left out: the rows are made up, and there are many of them.
_DECIDED = """
INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, contract, cluster,
    reasons, probabilities, expected_costs, option_order, amount, propensity, attempt, run_id)
SELECT 'returns', substr(md5(i::text), 1, 14), 1, CAST(:night AS text),
    (ARRAY['refund', 'reject', 'ask_person'])[1 + i % 3],
    'cheapest', 'spec', '{"cases": 41, "scores": 37}', '{"passed": 12}', 'K-' || i % 300,
    jsonb_build_array('price is high (+' || i % 31 || ')'), '[0.25, 0.75]', jsonb_build_array(i % 97, 2.5, 4.5),
    '["refund", "reject", "ask_person"]', i % 200, 0.01, 1, 'run'
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) i
"""
_LEARNED = """
INSERT INTO outcomes (workflow, case_id, label, known_at, source)
SELECT 'returns', substr(md5(i::text), 1, 14), (ARRAY['fine', 'defective'])[1 + i % 2],
    CAST(:night AS date) + interval '9 days', 'shop'
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) i
"""
_CHAINED = """
INSERT INTO audit_rows (batch, position, leaf, body, source, key, case_id)
SELECT :batch, i - CAST(:first AS bigint), encode(sha256(i::text::bytea), 'hex'), repeat(md5(i::text), 12), 'decisions',
    substr(md5(i::text), 1, 14) || '/1', substr(md5(i::text), 1, 14)
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) i
"""


@dataclass
class Filled:
    """A ledger that is filled up, night by night."""

    url: str
    admin: str
    there: int = 0
    nights: int = 0

    @property
    def next_night(self) -> str:
        return str((FIRST + timedelta(days=self.nights)).date())

    def fill(self, size: int) -> None:
        """Up to so many decisions, each with an outcome and a row of the chain."""
        step = (size - self.there) // NIGHTS
        for _ in range(NIGHTS):
            given = {"first": self.there + 1, "last": self.there + step, "night": self.next_night}
            with engine_of(self.admin).begin() as connection:
                connection.execute(text("SET LOCAL session_replication_role = replica"))
                connection.execute(text(_DECIDED), given)
                connection.execute(text(_LEARNED), given)
                connection.execute(text(_CHAINED), {**given, "batch": 1_000_000_000 + self.nights})
            self.there, self.nights = self.there + step, self.nights + 1
        with engine_of(self.url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE) decisions, outcomes, audit_rows"))


def measure(filled: Filled, cases: int) -> list[float]:
    """Milliseconds of each thing of `THINGS`, the better of two."""
    ledger, stories = PostgresLedger(filled.url), PostgresStories(filled.url)
    taken = [_Night(filled, ledger, cases).took() for _ in range(2)]
    night, last = filled.next_night, str((FIRST + timedelta(days=filled.nights - 3)).date())
    with engine_of(filled.url).connect() as connection:
        some = list(
            connection.scalars(
                text("SELECT substr(md5((1 + i * 7919 % :there)::text), 1, 14) FROM generate_series(1, :cases) i"),
                {"there": filled.there, "cases": cases},
            )
        )
    as_of = FIRST + timedelta(days=filled.nights + 30)
    looked: Sequence[Callable[[], object]] = (
        lambda: ledger.decided_cases(WORKFLOW, some),
        lambda: [ledger.decision(WORKFLOW, case) for case in some[:20]],
        lambda: [stories.story(WORKFLOW, case) for case in some[:20]],
        lambda: ledger.decided(WORKFLOW, last, last),
        lambda: ledger.counts(WORKFLOW, last, night),
        lambda: ledger.counts(WORKFLOW),
        lambda: ledger.contradictions(WORKFLOW),
        lambda: ledger.outcomes_known(WORKFLOW, as_of),
    )
    return [
        *(min(one, other) for one, other in zip(*taken, strict=True)),
        *(min(_timed(act), _timed(act)) for act in looked),
    ]


THINGS = (
    "a night of {cases:,} decided",
    "their outcomes recorded",
    "which of {cases:,} cases were decided",
    "20 standing decisions",
    "20 whole stories",
    "the decisions of one night",
    "counts of the last nights (the desk)",
    "counts of all nights (`pipeline status`)",
    "outcomes that contradict each other",
    "all outcomes known at a night",
)


@dataclass
class _Night:
    """One more night through the ledger's own door."""

    filled: Filled
    ledger: PostgresLedger
    cases: int

    def took(self) -> tuple[float, float]:
        night, first = self.filled.next_night, self.filled.there + 1
        with engine_of(self.filled.url).connect() as connection:
            ids = list(
                connection.scalars(
                    text("SELECT substr(md5(i::text), 1, 14) FROM generate_series(:first, :last) i"),
                    {"first": first, "last": first + self.cases - 1},
                )
            )
        attempt = self.ledger.begin_attempt(WORKFLOW, night, "run")
        basis = passed(self.ledger, WORKFLOW, night)
        decisions = [
            NewDecision(
                case, "refund", "cheapest", spec_hash=SPEC, data_versions={"cases": 1}, propensity=0.01, amount=20.0,
                probabilities=[0.25, 0.75], expected_costs=[1.0, 2.5, 4.5], reasons=["price is high"], cluster="K-1",
            )
            for case in ids
        ]  # fmt: skip
        decided = _timed(lambda: self.ledger.record_decisions(WORKFLOW, night, attempt, decisions, basis=basis))
        known = [FIRST + timedelta(days=self.filled.nights)] * self.cases
        outcomes = pa.table(
            {"case_id": ids, "label": ["fine"] * self.cases, "known_at": pa.array(known, pa.timestamp("us", "UTC")),
             "source": ["shop"] * self.cases}
        )  # fmt: skip
        learned = _timed(lambda: self.ledger.record_outcomes(WORKFLOW, outcomes))
        self.filled.there, self.filled.nights = self.filled.there + self.cases, self.filled.nights + 1
        return decided, learned


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    given = _arguments()
    sizes = [int(size) for size in given.sizes.split(",")]
    print(f"## The ledger as it grows\n\n{machine()}.\n", flush=True)
    columns: list[list[float]] = []
    with bench_home() as home:
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        name = "grown"
        with engine_of(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        own, admin = (
            make_url(of).set(database=name).render_as_string(hide_password=False) for of in (url, server.superuser_url)
        )
        migrate.upgrade(own)
        PostgresLedger(own).record_workflow(WORKFLOW, SPEC, {"name": WORKFLOW})
        with engine_of(own).begin() as connection:
            append(connection, "opened", WORKFLOW, [Fact("alerts", {"workflow": WORKFLOW})])
        filled = Filled(own, admin)
        for size in sizes:
            filled.fill(size)
            columns.append(measure(filled, given.night))
            with engine_of(own).connect() as connection:
                held = connection.scalar(text("SELECT pg_database_size(current_database())")) or 0
            print(
                f"{size:,} decisions, each with an outcome and its row of the chain: {held / 2**30:.2f} GiB.",
                flush=True,
            )
    rows = [
        (thing.format(cases=given.night), *(column[place] for column in columns)) for place, thing in enumerate(THINGS)
    ]
    print(table("Milliseconds, the better of two", ["decisions there", *(f"{size:,}" for size in sizes)], rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--sizes", default="100000,400000", help="decisions there are, growing (default: %(default)s)")
    parser.add_argument("--night", type=int, default=2_000, help="cases of a further night (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
