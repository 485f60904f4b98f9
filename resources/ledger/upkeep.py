"""When the server tidies each table of the ledger up by itself: set table by table, because the usual shares of a table
mean never, once it has a hundred million rows.

Facts are only added. Their pages are frozen as soon as they are looked at, so that no run through a whole table is ever
due because of its age, and they are looked at after so many new rows, whatever was there before; statistics follow, or
the planner takes the newest night for empty.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Rows after which a table of facts is vacuumed and analyzed: at most some seconds' reading.
ADDED, ANALYZED = 500_000, 50_000
#: Changed rows after which a table is vacuumed whose rows change: what is dead at a queue's head is passed over.
CHANGED = 20_000

#: A setting of PostgreSQL's and its value, a whole number.
Storage = Mapping[str, int]

_ADDED_TO: Storage = {
    "autovacuum_vacuum_insert_scale_factor": 0,
    "autovacuum_vacuum_insert_threshold": ADDED,
    "autovacuum_analyze_scale_factor": 0,
    "autovacuum_analyze_threshold": ANALYZED,
    "autovacuum_freeze_min_age": 0,
}
_CHANGED: Storage = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": CHANGED,
    "autovacuum_vacuum_insert_scale_factor": 0,
    "autovacuum_vacuum_insert_threshold": ADDED,
    "autovacuum_analyze_scale_factor": 0,
    "autovacuum_analyze_threshold": ANALYZED,
}

#: The tables that have a row for a case; all others stay small.
SETTINGS: Mapping[str, Storage] = {
    **dict.fromkeys(
        (
            "decisions", "outcomes", "audit_rows", "action_events", "task_events", "review_answers", "review_notices",
            "reveals", "cluster_members", "recalled_decisions",
        ),
        _ADDED_TO,
    ),
    "review_tasks": _CHANGED,
    "actions": _CHANGED,
}  # fmt: skip


def set_statement(table: str, settings: Storage) -> str:
    return f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in settings.items())})"


def reset_statement(table: str, settings: Storage) -> str:
    return f"ALTER TABLE {table} RESET ({', '.join(settings)})"
