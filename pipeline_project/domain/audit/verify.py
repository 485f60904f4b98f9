"""Checks a chain as it streams by: memory holds one batch's leaves, and a few broken batches to tell what became of
them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from pipeline_project.domain.audit.breaks import standing
from pipeline_project.domain.audit.chain import GENESIS, ChainBatch, hash_of
from pipeline_project.domain.audit.findings import AuditFinding, ChainVerdict, Checkpoint, Tampering
from pipeline_project.domain.audit.merkle import leaf_hash, merkle_root

#: Findings that are kept with their words; more are counted.
FINDINGS_KEPT = 1_000
#: How far from its place a batch is looked for before it is called changed.
_NEARBY = 500
#: Rows that left a batch or joined one, kept in order to tell a move from a removal.
_LOST_KEPT = 64


@dataclass(frozen=True)
class StoredRow:
    """One row of a batch as stored; `fits` says whether the columns for the search are those that its body gives."""

    batch: int
    position: int
    leaf: str
    body: str
    fits: bool = True


@dataclass(frozen=True)
class Start:
    """Where a check begins: behind this batch, which was checked before. By default at the chain's beginning."""

    number: int = 0
    hash: str = GENESIS
    at: datetime | None = None


@dataclass(frozen=True)
class _Lost:
    """A batch that lacks rows: what is left of it, by position."""

    batch: ChainBatch
    rows: dict[int, str]

    def whole_with(self, body: str) -> int | None:
        """The position at which this body makes the batch what it was, if it lacks just that one."""
        missing = [position for position in range(self.batch.count) if position not in self.rows]
        if len(missing) != 1:
            return None
        leaves = [leaf_hash(position, self.rows.get(position, body)) for position in range(self.batch.count)]
        return missing[0] if merkle_root(leaves) == self.batch.root else None


@dataclass
class _Check:
    """A check in progress."""

    start: Start
    checkpoints: dict[int, list[Checkpoint]]
    lost_checkpoints: frozenset[tuple[int, str]] = frozenset()
    before: ChainBatch | None = None
    batches: int = 0
    rows: int = 0
    found: list[AuditFinding] = field(default_factory=list)
    more: int = 0
    vouched: Checkpoint | None = None
    disagreed: bool = False
    lost: list[_Lost] = field(default_factory=list)
    joined: list[StoredRow] = field(default_factory=list)

    def add(self, what: Tampering, batch: int, text: str, position: int | None = None, last: int | None = None) -> None:
        if len(self.found) < FINDINGS_KEPT:
            self.found.append(AuditFinding(what, batch, text, position, last))
        else:
            self.more += 1


def verify_chain(
    batches: Iterable[tuple[ChainBatch, Sequence[StoredRow]]],
    checkpoints: Sequence[Checkpoint],
    orphans: Iterable[tuple[int, int]] = (),
    start: Start | None = None,
) -> ChainVerdict:
    """Checks batches in the order of their numbers, each with its rows in the order of their positions.

    Args:
        checkpoints: valid and invalid ones, in the order of their lines, breaks that were accepted among them.
        orphans: (batch, rows) of rows whose batch is not there.
        start: where the batches begin.
    """
    stand = standing(checkpoints)
    by_number: dict[int, list[Checkpoint]] = {}
    for checkpoint in stand.checkpoints:
        by_number.setdefault(checkpoint.number, []).append(checkpoint)
    check = _Check(start or Start(), by_number, frozenset((lost.number, lost.hash) for lost in stand.lost))
    check.found += stand.findings
    for batch, rows in batches:
        _check_rows(check, batch, rows)
        _check_link(check, batch)
        _check_signed(check, batch)
        check.before = batch
        check.batches += 1
    for number, count in orphans:
        check.add(Tampering.INSERTED, number, f"{count} rows belong to batch {number}, which is not there")
    _check_end(check, checkpoints, stand.checkpoints)
    _report_moves(check)
    tip = check.before
    return ChainVerdict(
        batches=check.batches,
        rows=check.rows,
        tip=tip.number if tip else check.start.number,
        tip_hash=tip.hash if tip else check.start.hash,
        vouched=check.vouched,
        findings=sorted(check.found, key=lambda finding: (finding.batch, finding.position or 0)),
        more=check.more,
        breaks=tuple(stand.breaks),
    )


# -- rows ------------------------------------------------------------------------------------------------------------


def _check_rows(check: _Check, batch: ChainBatch, rows: Sequence[StoredRow]) -> None:
    check.rows += len(rows)
    leaves = [leaf_hash(row.position, row.body) for row in rows]
    positions = [row.position for row in rows]
    wrong = [i for i, row in enumerate(rows) if leaves[i] != row.leaf or not row.fits]
    whole = positions == list(range(batch.count))
    if not wrong and whole and merkle_root(leaves) == batch.root:
        return
    if _report_order(check, batch, rows, wrong):
        return
    explained = _report_count(check, batch, rows, positions)
    for i in wrong:
        here = rows[i]
        if here.position >= batch.count:  # told as one too many
            continue
        what = "it is not what its leaf was made of" if leaves[i] != here.leaf else "its columns and body disagree"
        check.add(
            Tampering.CHANGED, batch.number, f"row {here.position} of batch {batch.number}: {what}", here.position
        )
        explained = True
    if not explained:
        text = f"the rows of batch {batch.number} are not those that its root was made of"
        check.add(Tampering.CHANGED, batch.number, text)


def _report_order(check: _Check, batch: ChainBatch, rows: Sequence[StoredRow], wrong: Sequence[int]) -> bool:
    """Whether some rows only changed places: put back where their leaves were made, they give the root."""
    if len(rows) != batch.count or not 1 < len(wrong) <= _NEARBY:
        return False
    places = {rows[i].position for i in wrong}
    back = {row.position: row for row in rows}
    for i in wrong:
        home = next((place for place in places if leaf_hash(place, rows[i].body) == rows[i].leaf), None)
        if home is None:
            return False
        places.discard(home)
        back[home] = rows[i]
    if sorted(back) != list(range(batch.count)):
        return False
    if merkle_root([leaf_hash(place, back[place].body) for place in range(batch.count)]) != batch.root:
        return False
    moved = sorted(rows[i].position for i in wrong)
    text = f"rows {', '.join(map(str, moved[:8]))} of batch {batch.number} changed places"
    check.add(Tampering.REORDERED, batch.number, text, moved[0])
    return True


def _report_count(check: _Check, batch: ChainBatch, rows: Sequence[StoredRow], positions: Sequence[int]) -> bool:
    there = set(positions)
    missing = [position for position in range(batch.count) if position not in there]
    beyond = [row for row in rows if row.position >= batch.count]
    if missing:
        text = f"{len(missing)} of {batch.count} rows of batch {batch.number} are missing, the first at {missing[0]}"
        check.add(Tampering.REMOVED, batch.number, text, missing[0])
        if len(missing) == 1 and len(check.lost) < _LOST_KEPT:
            check.lost.append(_Lost(batch, {row.position: row.body for row in rows if row.position < batch.count}))
    for row in beyond:
        text = f"row {row.position} of batch {batch.number} is one too many: it had {batch.count}"
        check.add(Tampering.INSERTED, batch.number, text, row.position)
        if len(check.joined) < _LOST_KEPT:
            check.joined.append(row)
    return bool(missing or beyond)


def _report_moves(check: _Check) -> None:
    """What is missing in one batch and too many in another was moved."""
    for lost in check.lost:
        for row in check.joined:
            position = lost.whole_with(row.body)
            if position is None:
                continue
            number = lost.batch.number
            pair = ((Tampering.REMOVED, number, position), (Tampering.INSERTED, row.batch, row.position))
            check.found = [
                finding for finding in check.found if (finding.what, finding.batch, finding.position) not in pair
            ]
            text = f"row {position} of batch {number} stands in batch {row.batch} now, at {row.position}"
            check.found.append(AuditFinding(Tampering.MOVED, number, text, position, max(number, row.batch)))
            check.joined.remove(row)
            break


# -- links -----------------------------------------------------------------------------------------------------------


def _check_link(check: _Check, batch: ChainBatch) -> None:
    number, before, at = _end(check)
    if batch.number != number + 1:
        text = f"batches {number + 1} to {batch.number - 1} are missing"
        check.add(Tampering.REMOVED, number + 1, text, last=batch.number - 1)
    whole = hash_of(batch) == batch.hash
    if not whole:
        _report_batch(check, batch)
    elif batch.number == number + 1 and batch.prev_hash != before:
        text = f"batch {batch.number} does not follow batch {number} as it is now: one of them was written anew"
        check.add(Tampering.RECHAINED, batch.number, text)
    elif at is not None and batch.at < at:
        text = f"batch {batch.number} says that it is older than batch {number}"
        check.add(Tampering.RETIMED, batch.number, text)


def _end(check: _Check) -> tuple[int, str, datetime | None]:
    before = check.before
    return (check.start.number, check.start.hash, check.start.at) if before is None else _place(before)


def _place(batch: ChainBatch) -> tuple[int, str, datetime]:
    return batch.number, batch.hash, batch.at


def _report_batch(check: _Check, batch: ChainBatch) -> None:
    """A batch whose hash is not that of its columns: one that changed places, or one that was changed."""
    number = batch.number
    nearby = range(max(1, number - _NEARBY), number + _NEARBY + 1)
    home = next((candidate for candidate in nearby if hash_of(replace(batch, number=candidate)) == batch.hash), None)
    if home is not None:
        check.add(Tampering.REORDERED, number, f"batch {number} was written as batch {home}", last=max(home, number))
        return
    at = _end(check)[2]
    if at is not None and batch.at < at:
        text = f"batch {number} says that it is older than the batch before it, and its hash does not fit"
        check.add(Tampering.RETIMED, number, text)
        return
    what = "its hash is that of other columns (kind, workflow, count, time, root or the hash before it)"
    check.add(Tampering.CHANGED, number, f"batch {number}: {what}")


# -- checkpoints -----------------------------------------------------------------------------------------------------


def _check_signed(check: _Check, batch: ChainBatch) -> None:
    if (batch.number, batch.hash) in check.lost_checkpoints:
        text = f"a break calls the checkpoint over batch {batch.number} lost, and the chain holds that batch"
        check.add(Tampering.BREAK_FORGED, batch.number, text)
    for checkpoint in check.checkpoints.get(batch.number, ()):
        if checkpoint.hash == batch.hash:
            check.vouched = checkpoint
            continue
        after = check.vouched.number + 1 if check.vouched else check.start.number + 1
        # one finding for the whole chain: after the first disagreement all later checkpoints disagree as well
        if not check.disagreed:
            text = (
                f"batches {after} to {batch.number} were written anew: batch {batch.number} has another hash than was "
                f"signed on {checkpoint.signed_at.isoformat(timespec='seconds')}"
            )
            check.add(Tampering.RECHAINED, after, text, last=batch.number)
        check.disagreed = True


def _check_end(check: _Check, checkpoints: Sequence[Checkpoint], stand: Sequence[Checkpoint]) -> None:
    tip = _end(check)[0]
    for checkpoint in checkpoints:
        if not checkpoint.valid:
            text = (
                f"line {checkpoint.line} of the checkpoints has no valid signature, or does not follow the line before"
            )
            check.add(Tampering.CHECKPOINT_FORGED, 0, text)
    signed = max((checkpoint.number for checkpoint in stand), default=0)
    if signed > tip:
        text = f"batches {tip + 1} to {signed} are missing at the end: a checkpoint was signed over {signed}"
        check.add(Tampering.TRUNCATED, tip + 1, text, last=signed)
    numbers = [checkpoint.number for checkpoint in stand]
    if any(later < earlier for earlier, later in pairwise(numbers)):
        check.add(Tampering.CHECKPOINT_FORGED, 0, "the checkpoints are not in the order in which the chain grew")


# -- rows beside their batches ---------------------------------------------------------------------------------------


def with_rows(
    batches: Iterable[ChainBatch], rows: Iterable[StoredRow], orphan: Callable[[StoredRow], None]
) -> Iterator[tuple[ChainBatch, list[StoredRow]]]:
    """Puts rows, ordered by batch and position, beside the batches, ordered by number.

    Args:
        orphan: told each row whose batch is not there.
    """
    left = iter(rows)
    row = next(left, None)
    for batch in batches:
        while row is not None and row.batch < batch.number:
            orphan(row)
            row = next(left, None)
        mine = []
        while row is not None and row.batch == batch.number:
            mine.append(row)
            row = next(left, None)
        yield batch, mine
    while row is not None:
        orphan(row)
        row = next(left, None)
