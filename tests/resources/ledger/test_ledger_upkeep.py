"""When the server tidies the ledger's tables up, and what a ledger of before brings along."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from benchmarks.tidied import report
from resources.ledger import migrate, upkeep
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.schema import FACTS, metadata
from resources.postgres.databases import engine_of

_OPTIONS = text("SELECT relname, unnest(reloptions) FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL")
_TASK = """
INSERT INTO review_tasks (workflow, night, case_id, epoch, state, escalated_at, why, information, content, due_at)
VALUES ('returns', '2026-03-04', :case, 1, 'escalated', now(), 'doubt', 0.3, '{}', now() - interval '9 days')
RETURNING id
"""
_NOTICE = "INSERT INTO review_notices (task_id, kind, level, workflow) VALUES (:task, :kind, :level, 'returns')"
_DECISION = """
INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, attempt, run_id,
    made_by)
VALUES ('returns', :case, :epoch, :night, :option, 'doubt', 'spec', '{}', 1, 'run', 'person:anna')
"""


def options(url: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    with engine_of(url).connect() as connection:
        for table, option in connection.execute(_OPTIONS):
            name, _, value = option.partition("=")
            found.setdefault(table, {})[name] = int(value)
    return found


def test_tables_with_a_row_a_case_are_tidied_by_rows_and_not_by_their_share(new_database: Callable[[], str]) -> None:
    url = new_database()
    migrate.upgrade(url)
    assert options(url) == {table: dict(settings) for table, settings in upkeep.SETTINGS.items()}
    assert set(upkeep.SETTINGS) <= set(metadata.tables)
    frozen = {table for table, settings in upkeep.SETTINGS.items() if "autovacuum_freeze_min_age" in settings}
    assert frozen <= set(FACTS), "only what never changes is frozen at once"
    shown = report(url)
    assert all(f"| {table} |" in shown for table in upkeep.SETTINGS) and "freeze_min_age=0" in shown
    migrate.downgrade(url, "0017")
    assert options(url) == {}
    assert "nothing: run `pipeline up`" in report(url)


def test_a_task_of_before_knows_which_notices_it_had(new_database: Callable[[], str]) -> None:
    url = new_database()
    migrate.upgrade(url, "0017")
    with engine_of(url).begin() as connection:
        told, new = (connection.scalar(text(_TASK), {"case": case}) for case in ("a", "b"))
        for kind, level in (("reminder", 1), ("reminder", 2), ("escalation", 1), ("lapse", 1)):
            connection.execute(text(_NOTICE), {"task": told, "kind": kind, "level": level})
    migrate.upgrade(url)
    with engine_of(url).connect() as connection:
        rows = connection.execute(
            text("SELECT id, reminded, stayed_at IS NOT NULL FROM review_tasks ORDER BY id")
        ).all()
    assert [tuple(row) for row in rows] == [(told, 2, True), (new, 0, False)]
    migrate.downgrade(url, "0017")
    migrate.upgrade(url)


def test_counts_are_of_the_decisions_that_stand(ledger: PostgresLedger) -> None:
    ledger.record_workflow("returns", "spec", {"name": "returns"})
    made = [("a", 1, "04", "ask"), ("a", 2, "04", "refund"), ("a", 3, "04", "reject"), ("b", 1, "04", "ask")]
    made += [("c", 1, "05", "refund"), ("d", 1, "05", "ask"), ("d", 2, "05", "ask"), ("e", 1, "06", "ask")]
    with engine_of(ledger.url).begin() as connection:
        for case, epoch, day, option in made:
            given = {"case": case, "epoch": epoch, "night": f"2026-03-{day}", "option": option}
            connection.execute(text(_DECISION), given)

    def counted(first: str | None = None, last: str | None = None) -> list[tuple[str, str, int]]:
        return [
            (str(night)[-2:], option, cases) for night, option, cases in ledger.counts("returns", first, last).values
        ]

    every = [("04", "ask", 1), ("04", "reject", 1), ("05", "ask", 1), ("05", "refund", 1), ("06", "ask", 1)]
    assert counted() == every
    assert counted("2026-03-05", "2026-03-05") == every[2:4]
    assert counted("2026-03-05") == every[2:]
    assert counted(last="2026-03-04") == every[:2]
