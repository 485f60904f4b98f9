"""`Recalls`: decisions that are taken back, each once; what has left is compensated, never deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.errors import RecallRefused
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.lifecycle.recall.effects import Again, Data, Kind, Touched
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.decisions import standing_decisions
from resources.ledger.outbox.outbox import take_back
from resources.ledger.tables import nights as tables
from resources.ledger.tables.rollout import recalled_decisions, recalls, recalls_again
from resources.ledger.unit_of_work import LedgerStore
from resources.postgres import locks


@dataclass(frozen=True)
class RecallRequest:
    """What is recalled, why, and on which data its decisions were made again."""

    workflow: str
    kind: Kind
    named: str
    reason: str
    by: str
    data: Data = "decided"

    @property
    def grounds(self) -> Mapping[str, str]:
        """What tells one recall of the same from another."""
        return {"reason": self.reason, "by": self.by, "data": self.data}


@dataclass(frozen=True)
class RecallResult:
    """What became of the actions of recalled decisions.

    Attributes:
        decisions: recalled now.
        cancelled: actions that had not left.
        compensations: actions that undo others, added now.
        for_good: cases of which an action has left that cannot be undone.
    """

    decisions: int = 0
    cancelled: int = 0
    compensations: int = 0
    for_good: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recalls(LedgerStore):
    """Every method raises DatabaseUnreachable when the database does not answer."""

    def policy_hash(self, workflow: str, beginning: str) -> str:
        """The hash of a spec of which the beginning is given.

        Raises:
            RecallRefused: none begins like this, or several do.
        """
        versions = tables.workflow_versions.c
        query = select(versions.spec_hash).where(
            versions.workflow == workflow, versions.spec_hash.startswith(beginning, autoescape=True)
        )
        with self._transaction() as connection:
            hashes = list(connection.scalars(query.limit(2)))
        if len(hashes) != 1:
            many = "no policy" if not hashes else "more than one policy"
            raise RecallRefused(
                f"{many} of {workflow} has a hash that begins with {beginning!r}; "
                f"`pipeline why {workflow} CASE --json` names the one of a decision"
            )
        return str(hashes[0])

    def touched(self, workflow: str, kind: Kind, named: str) -> list[Touched]:
        """Decisions of the policy that stand, by night and case; what a person decided since is not among them."""
        standing = standing_decisions(workflow).subquery()
        done = recalled_decisions.c
        which: dict[Kind, ColumnElement[bool]] = {
            "model": standing.c.model_version == named,
            "policy": standing.c.spec_hash == named,
            "night": standing.c.night == named,
        }
        same = (
            (done.workflow == standing.c.workflow)
            & (done.case_id == standing.c.case_id)
            & (done.epoch == standing.c.epoch)
        )
        query = (
            select(standing, done.recall)
            .join_from(standing, recalled_decisions, same, isouter=True)
            .where(standing.c.made_by == "policy", which[kind])
            .order_by(standing.c.night, standing.c.case_id)
        )
        with self._transaction() as connection:
            return [
                Touched(row.case_id, row.epoch, row.night, row.option, row.reason, row.recall is not None)
                for row in connection.execute(query)
            ]

    def apply(self, recall: RecallRequest, flipped: Sequence[Again], terms: ActionTerms) -> RecallResult:
        """Takes back the actions of decisions that would be others now; each decision in a transaction of its own.

        What has not left is cancelled, what has is compensated up to the point of no return. A decision is recalled
        once: whoever asks again, or at the same time, adds nothing; after a broken run the rest is taken back. Whoever
        recalls the same for another reason, or on other data, stands beside what was taken back then.
        """
        begun = self._begun(recall)
        made, cancelled, compensations, for_good = 0, 0, 0, []
        for decision in flipped:
            effects = self._one(recall.workflow, begun, decision, terms)
            if effects is None:
                continue
            made, cancelled = made + 1, cancelled + effects["cancelled"]
            compensations += effects["compensations"]
            for_good += [decision.touched.case_id] * bool(effects["for_good"])
        return RecallResult(made, cancelled, compensations, tuple(for_good))

    def _begun(self, recall: RecallRequest) -> tuple[int, int]:
        """The recall and its round: the same person with the same words goes on with what was begun."""
        recall_columns, again = recalls.c, recalls_again.c
        workflow, kind, named, grounds = recall.workflow, recall.kind, recall.named, recall.grounds
        row = {"workflow": workflow, "kind": kind, "named": named, **grounds}
        with self._transaction() as connection:
            locks.RECALL.of(workflow=workflow, kind=kind, named=named).take(connection)
            here = (recall_columns.workflow == workflow, recall_columns.kind == kind, recall_columns.named == named)
            first = connection.execute(select(recalls).where(*here)).first()
            if first is None:
                number = connection.execute(insert(recalls).values(row).returning(recall_columns.id)).scalar_one()
                append(connection, "recalls", workflow, [Fact("recalls", row)])
                return int(number), 1
            if all(first._mapping[name] == value for name, value in grounds.items()):
                return int(first.id), 1
            rounds = select(recalls_again).where(again.recall == first.id).order_by(again.round)
            others = connection.execute(rounds).all()
            for other in others:
                if all(other._mapping[name] == value for name, value in grounds.items()):
                    return int(first.id), int(other.round)
            later = {"recall": int(first.id), "round": len(others) + 2, "workflow": workflow, **grounds}
            connection.execute(insert(recalls_again).values(later))
            append(connection, "recalls", workflow, [Fact("recalls_again", later)])
            return int(first.id), len(others) + 2

    def _one(self, workflow: str, begun: tuple[int, int], decision: Again, terms: ActionTerms) -> dict[str, int] | None:
        case, epoch = decision.touched.case_id, decision.touched.epoch
        recalled = recalled_decisions.c
        with self._transaction() as connection:
            locks.RECALLED_CASE.of(workflow=workflow, case=case).take(connection)
            here = (recalled.workflow == workflow, recalled.case_id == case, recalled.epoch == epoch)
            latest = select(func.max(tables.decisions.c.epoch)).where(
                tables.decisions.c.workflow == workflow, tables.decisions.c.case_id == case
            )
            # a person who decided the case in the meantime has the last word, actions and all
            if connection.scalar(select(recalled.epoch).where(*here)) or connection.scalar(latest) != epoch:
                return None
            effects = take_back(connection, workflow, case, epoch, terms)
            row = {
                "workflow": workflow,
                "case_id": case,
                "epoch": epoch,
                "recall": begun[0],
                "round": begun[1],
                "was": decision.touched.option,
                "would_be": decision.would_be,
                "cancelled": effects["cancelled"],
                "compensated": effects["compensations"],
                "for_good": effects["for_good"],
            }
            connection.execute(insert(recalled_decisions).values(row))
            append(connection, "recalls", workflow, [Fact("recalled_decisions", row)])
        return effects
