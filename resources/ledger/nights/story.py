"""Everything the ledger knows of one case, from the first decision to the last delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select

from resources.ledger.tables.actions import action_events, actions, releases, replays
from resources.ledger.tables.audit import audit_batches, audit_rows
from resources.ledger.tables.nights import decisions, outcomes
from resources.ledger.tables.review import (
    reveals,
    review_answers,
    review_approvals,
    review_notices,
    review_proposals,
    review_tasks,
    task_events,
)
from resources.ledger.unit_of_work import LedgerStore

#: Not told: what a task shows is long, and a claim's token is a secret.
_UNTOLD = ("content", "claim_token")


@dataclass(frozen=True)
class PostgresStories(LedgerStore):
    """The whole stories of cases in one ledger."""

    def story(self, workflow: str, case_id: str) -> dict[str, list[dict[str, Any]]] | None:
        """Decisions, tasks, events, answers, proposals, approvals, reveals, outcomes, actions, deliveries, chain.

        Each a list of rows by column, in the order in which they happened; None for a case that was never decided.
        """

        def of(table: Any) -> Select[Any]:
            query = select(table).where(table.c.workflow == workflow, table.c.case_id == case_id)
            return query.order_by(*table.primary_key.columns)

        with self._transaction() as connection:
            made = _rows(connection, of(decisions))
            if not made:
                return None
            tasks = _rows(connection, of(review_tasks))
            sent = _rows(connection, of(actions))
            proposed = _rows(connection, of(review_proposals))
            return {
                "decisions": made,
                "release": _rows(
                    connection,
                    select(releases).where(releases.c.workflow == workflow, releases.c.night == made[0]["night"]),
                ),
                "tasks": tasks,
                "events": _of(connection, task_events, "task_id", tasks),
                "notices": _of(connection, review_notices, "task_id", tasks),
                "reveals": _of(connection, reveals, "task_id", tasks),
                "answers": _of(connection, review_answers, "task_id", tasks),
                "proposals": proposed,
                "approvals": _of(connection, review_approvals, "proposal_id", proposed),
                "outcomes": _rows(connection, of(outcomes)),
                "actions": sent,
                "deliveries": _of(connection, action_events, "action_id", sent),
                "replays": _of(connection, replays, "action_id", sent),
                "chain": _chain(connection, workflow, case_id),
            }


def _of(connection: Connection, table: Any, column: str, parents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not parents:
        return []
    query = select(table).where(table.c[column].in_([parent["id"] for parent in parents]))
    return _rows(connection, query.order_by(*table.primary_key.columns))


def _chain(connection: Connection, workflow: str, case_id: str) -> list[dict[str, Any]]:
    """Which batches of the audit chain speak of the case."""
    query = (
        select(audit_batches.c.number, audit_batches.c.kind, audit_batches.c.at, audit_batches.c.hash)
        .join_from(audit_rows, audit_batches, audit_rows.c.batch == audit_batches.c.number)
        .where(audit_rows.c.case_id == case_id, audit_batches.c.workflow == workflow)
        .distinct()
        .order_by(audit_batches.c.number)
    )
    return _rows(connection, query)


def _rows(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    found = connection.execute(query)
    return [{name: value for name, value in row._mapping.items() if name not in _UNTOLD} for row in found]
