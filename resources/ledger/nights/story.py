"""Everything the ledger knows of one case, from the first decision to the last delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, select

from pipeline_project.domain.deciding.recorded import RecordedDecision
from pipeline_project.domain.delivery.outbox_rows import OutboxRow
from pipeline_project.domain.reporting import story as told
from pipeline_project.domain.reporting.story import CaseStory
from resources.ledger.rows import Value, columns, values
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


@dataclass(frozen=True)
class PostgresStories(LedgerStore):
    """The whole stories of cases in one ledger."""

    def story(self, workflow: str, case_id: str) -> CaseStory | None:
        """What is known of a case; None for one that was never decided."""
        with self._transaction() as connection:
            case = _OfCase(connection, workflow, case_id)
            made = case.rows(RecordedDecision, decisions)
            if not made:
                return None
            tasks, proposed = case.rows(told.AskedTask, review_tasks), case.rows(told.ProposedAnswer, review_proposals)
            sent = case.rows(OutboxRow, actions)
            asked, of_actions = [task.id for task in tasks], [action.id for action in sent]
            released = (releases.c.workflow == workflow, releases.c.night == made[0].night)
            return CaseStory(
                decisions=made,
                release=values(connection, told.NightRelease, select(releases).where(*released)),
                tasks=tasks,
                events=_of(connection, told.TaskChange, task_events, "task_id", asked),
                notices=_of(connection, told.TaskNotice, review_notices, "task_id", asked),
                reveals=_of(connection, told.Reveal, reveals, "task_id", asked),
                answers=_of(connection, told.GivenAnswer, review_answers, "task_id", asked),
                proposals=proposed,
                approvals=_of(
                    connection, told.SecondWord, review_approvals, "proposal_id", [made.id for made in proposed]
                ),
                outcomes=case.rows(told.LearnedOutcome, outcomes),
                actions=sent,
                deliveries=_of(connection, told.ActionEvent, action_events, "action_id", of_actions),
                replays=_of(connection, told.AskedRedelivery, replays, "action_id", of_actions),
                chain=_chain(connection, workflow, case_id),
            )


@dataclass(frozen=True)
class _OfCase:
    connection: Connection
    workflow: str
    case_id: str

    def rows(self, kind: type[Value], table: Table) -> list[Value]:
        query = select(*columns(kind, table)).where(table.c.workflow == self.workflow, table.c.case_id == self.case_id)
        return values(self.connection, kind, query.order_by(*table.primary_key.columns))


def _of(connection: Connection, kind: type[Value], table: Table, column: str, parents: Sequence[int]) -> list[Value]:
    if not parents:
        return []
    query = select(*columns(kind, table)).where(table.c[column].in_(parents))
    return values(connection, kind, query.order_by(*table.primary_key.columns))


def _chain(connection: Connection, workflow: str, case_id: str) -> list[told.ChainedBatch]:
    """Which batches of the audit chain speak of the case."""
    query = (
        select(audit_batches.c.number, audit_batches.c.kind, audit_batches.c.at, audit_batches.c.hash)
        .join_from(audit_rows, audit_batches, audit_rows.c.batch == audit_batches.c.number)
        .where(audit_rows.c.case_id == case_id, audit_batches.c.workflow == workflow)
        .distinct()
        .order_by(audit_batches.c.number)
    )
    return values(connection, told.ChainedBatch, query)
