"""`AuditTrail`: searches the chain, proves one fact of it, and checks all of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, literal, select, tuple_

from pipeline_project.domain.audit.breaks import standing
from pipeline_project.domain.audit.findings import AuditFinding, ChainVerdict, Checkpoint, Tampering
from pipeline_project.domain.audit.merkle import inclusion
from pipeline_project.domain.audit.proofs import Proof
from resources.ledger.audit.checkpoint_file import BREAK_KIND, KIND
from resources.ledger.audit.comparison import TableComparison, compare_ledger
from resources.ledger.audit.reading import batch_of, check_chain, snapshot, stream
from resources.ledger.tables.audit import audit_batches, audit_rows


@dataclass(frozen=True)
class Sought:
    """What a search asks for; what is None is not asked for.

    Attributes:
        case_id: of one case.
        person: what one person did, by sign-in name.
        kind: decisions, actions, answers ...
        since, until: recorded at since <= time < until.
    """

    case_id: str | None = None
    person: str | None = None
    kind: str | None = None
    workflow: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """One row of the chain.

    Attributes:
        said: the fact, as recorded.
    """

    batch: int
    position: int
    kind: str
    workflow: str
    at: datetime
    case_id: str | None
    person: str | None
    said: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """Entries, newest first; `older` asks for the next page, None on the last one."""

    entries: Sequence[Entry]
    older: tuple[int, int] | None


@dataclass(frozen=True)
class Checked:
    """The verdict on the chain, with what the comparison with the ledger's tables added to its findings."""

    verdict: ChainVerdict
    tables: Sequence[TableComparison] = field(default_factory=tuple)


@dataclass(frozen=True)
class AuditTrail:
    """The chain of one ledger, for reading; it holds no connection.

    Every method raises DatabaseUnreachable when the database does not answer.
    """

    url: str = field(repr=False)

    def search(self, sought: Sought, limit: int = 50, before: tuple[int, int] | None = None) -> Page:
        """One page of what was recorded, newest first.

        Args:
            before: (batch, position) that the page before ended with: its `older`.
        """
        batches, rows = audit_batches.c, audit_rows.c
        query = select(
            rows.batch, rows.position, rows.case_id, rows.person, rows.body, batches.kind, batches.workflow, batches.at
        ).join(audit_batches, batches.number == rows.batch)
        wanted = {
            rows.case_id: sought.case_id,
            rows.person: sought.person,
            batches.kind: sought.kind,
            batches.workflow: sought.workflow,
        }
        query = query.where(*(name == value for name, value in wanted.items() if value is not None))
        if sought.since is not None:
            query = query.where(batches.at >= sought.since)
        if sought.until is not None:
            query = query.where(batches.at < sought.until)
        if before is not None:
            query = query.where(tuple_(rows.batch, rows.position) < tuple_(*map(literal, before)))
        query = query.order_by(rows.batch.desc(), rows.position.desc()).limit(limit + 1)
        with snapshot(self.url) as connection:
            entries = [_entry(record) for record in connection.execute(query)]
        shown = entries[:limit]
        older = (shown[-1].batch, shown[-1].position) if len(entries) > limit else None
        return Page(shown, older)

    def proof(self, batch: int, position: int, checkpoints: Sequence[Checkpoint] = ()) -> Proof | None:
        """That one fact is in the chain, up to the first checkpoint after it; None when there is no such row."""
        rows = audit_rows.c
        query = select(rows.position, rows.leaf, rows.body).where(rows.batch == batch).order_by(rows.position)
        with snapshot(self.url) as connection:
            leaves, body, at = [], None, 0
            for index, record in enumerate(stream(connection, query)):
                leaves.append(record.leaf)
                if record.position == position:
                    body, at = record.body, index
            if body is None:
                return None
            signed = next(
                (checkpoint for checkpoint in standing(checkpoints).checkpoints if checkpoint.number >= batch), None
            )
            until = signed.number if signed else batch
            query = select(audit_batches).where(audit_batches.c.number.between(batch, until))
            links = [batch_of(row) for row in connection.execute(query.order_by(audit_batches.c.number))]
        return Proof(body, inclusion(leaves, at), links, signed)

    def verify(self, checkpoints: Sequence[Checkpoint], tables: bool = True) -> Checked:
        """Checks the whole chain, and the ledger's tables against it, as they stand at one moment.

        Memory holds one batch and a few thousand rows, however long the chain is.

        Args:
            checkpoints: read before this call: they must not know more than the database.
        """
        with snapshot(self.url) as connection:
            return check(connection, checkpoints, tables)

    def length(self) -> int:
        """The newest batch's number; 0 for an empty chain."""
        with snapshot(self.url) as connection:
            query = select(audit_batches.c.number).order_by(audit_batches.c.number.desc()).limit(1)
            return int(connection.scalar(query) or 0)


def check(connection: Connection, checkpoints: Sequence[Checkpoint], tables: bool = True) -> Checked:
    """`AuditTrail.verify` of what a connection sees."""
    verdict = check_chain(connection, list(checkpoints))
    lost = _lost_checkpoints(connection, checkpoints)
    compared = compare_ledger(connection) if tables else []
    added = [*lost, *(finding for comparison in compared for finding in comparison.findings)]
    findings = sorted([*verdict.findings, *added], key=lambda finding: (finding.batch, finding.position or 0))
    return Checked(replace(verdict, findings=tuple(findings)), compared)


def _entry(record: Any) -> Entry:
    spelling = json.loads(record.body)
    return Entry(
        record.batch, record.position, record.kind, record.workflow, record.at, record.case_id, record.person, spelling
    )


def _lost_checkpoints(connection: Connection, checkpoints: Sequence[Checkpoint]) -> list[AuditFinding]:
    """Checkpoints and accepted breaks that the chain tells of and that are not there (any more), and the other way."""
    there = {(checkpoint.number, checkpoint.hash) for checkpoint in checkpoints if checkpoint.valid}
    records = {checkpoint.accepted.record for checkpoint in checkpoints if checkpoint.valid and checkpoint.accepted}
    query = (
        select(audit_rows.c.batch, audit_rows.c.body, audit_batches.c.kind)
        .join(audit_batches, audit_batches.c.number == audit_rows.c.batch)
        .where(audit_batches.c.kind.in_((KIND, BREAK_KIND)))
        .order_by(audit_rows.c.batch)
    )
    lost: list[AuditFinding] = []
    chained_breaks: set[Any] = set()
    for record in connection.execute(query):
        spelling = _spelling_of(record.body)
        if spelling.get("anew"):  # somebody said that what was before is lost
            lost.clear()
        if record.kind == BREAK_KIND:
            chained_breaks.add(spelling.get("record"))
            if spelling.get("record") not in records:
                description = f"the break of which batch {record.batch} tells is missing among the checkpoints"
                lost.append(AuditFinding(Tampering.CHECKPOINT_REMOVED, record.batch, description))
        elif (spelling.get("checkpoint"), spelling.get("hash")) not in there:
            signed = spelling.get("checkpoint")
            description = f"the checkpoint over batch {signed}, of which batch {record.batch} tells, is missing"
            lost.append(AuditFinding(Tampering.CHECKPOINT_REMOVED, record.batch, description))
    return [*lost, *_untold_breaks(checkpoints, chained_breaks)]


def _untold_breaks(checkpoints: Sequence[Checkpoint], chained_breaks: Collection[Any]) -> list[AuditFinding]:
    """Breaks in the file that the chain does not tell of. The newest line may be one: the next checkpoint tells it."""
    stand = standing(checkpoints).checkpoints
    description = "the break in line {} of the checkpoints is not told by the chain"
    return [
        AuditFinding(Tampering.BREAK_FORGED, checkpoint.number, description.format(checkpoint.line))
        for checkpoint in stand[:-1]
        if checkpoint.accepted is not None and checkpoint.accepted.record not in chained_breaks
    ]


def _spelling_of(body: str) -> Mapping[str, Any]:
    try:
        spelling = json.loads(body)
    except ValueError:
        return {}
    return spelling if isinstance(spelling, dict) else {}
