"""`Checkpoints`: signs how long the chain is and how it ends, to a file that lives apart from the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select

from pipeline_project.domain.audit.breaks import NOTHING
from pipeline_project.domain.audit.chain import GENESIS
from pipeline_project.domain.audit.findings import AcceptedBreak, ChainVerdict, Checkpoint, End
from pipeline_project.domain.audit.verify import Start
from pipeline_project.domain.core.errors import AuditBroken, BreakRefused, FileMissing
from pipeline_project.domain.core.locations import below
from pipeline_project.ports.files import Files
from resources.files import files_at
from resources.keys import checkpoint_key as keys
from resources.keys.key_files import keys_at
from resources.ledger.audit import breaks, checkpoint_file
from resources.ledger.audit.chain import append
from resources.ledger.audit.checkpoint_file import KIND, NewLine
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.reading import check_chain, snapshot
from resources.ledger.tables.audit import audit_batches
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.databases import pooled_engine


@dataclass(frozen=True)
class Checkpoints:
    """Signed checkpoints over the chain of one ledger.

    Attributes:
        url: the ledger's.
        place: the folder or URL with the checkpoints, best on another disk.
        keys: the folder of the private key.
    """

    url: str = field(repr=False)
    place: str
    keys: Path | str

    def checkpoint(self, anew: bool = False) -> Checkpoint | None:
        """Signs the chain as it stands; None when nothing was added since the last time.

        What was added since the last checkpoint is checked first, rows and links: a chain that does not continue what
        was signed is not signed. The chain then gets a row that says so, by which a lost file is noticed.

        Args:
            anew: sign although the file lacks checkpoints that the chain knows of, because it was lost.

        Raises:
            AuditBroken: the chain does not extend the last checkpoint, or the file is not what it was.
            DatabaseUnreachable: the database does not answer.
        """
        key = keys.signing_key(self.keys)
        with checkpoint_file.writing(self.place) as append_line:
            keys.publish(key.public_key(), self._files)
            lines = checkpoint_file.read_lines(self._files, key.public_key())
            last = self._last(lines)
            if last is not None and last.accepted is not None:
                self._record_break(last.accepted)
            with snapshot(self.url) as connection:
                verdict = self._continues(connection, last, anew)
                if verdict is None:
                    return None
                now = connection.execute(select(func.clock_timestamp())).scalar_one()
            before = lines[-1].digest if lines else GENESIS
            tip = End(verdict.tip, verdict.tip_hash)
            checkpoint_file.write_line(append_line, key, NewLine(tip, before, now))
            self._remember(verdict, now, anew)
        return Checkpoint(len(lines) + 1, verdict.tip, verdict.tip_hash, now)

    def parted(self) -> breaks.Parted:
        """The break that `accept_break` would sign; changes nothing.

        Raises:
            As `accept_break`.
        """
        lines = checkpoint_file.read_lines(self._files, keys.signing_key(self.keys).public_key())
        self._last(lines)
        with snapshot(self.url) as connection:
            return breaks.parted(connection, [line.checkpoint for line in lines])

    def accept_break(self, by: str, reason: str) -> AcceptedBreak:
        """Signs that this chain goes on although it lacks what was signed, because an older ledger was restored.

        The line names both ends, and so does a fact of the chain. All that the restored ledger holds is checked first.
        What was added since is signed right afterwards.

        Args:
            by: the sign-in name of an auditor who has signed in.

        Raises:
            AuditBroken: the file is not what it was.
            BreakRefused: there is no break, or the chain is broken in another way as well.
            DatabaseUnreachable: the database does not answer.
        """
        if not reason.strip():
            raise BreakRefused("--reason says why the chain may go on without what was signed")
        key = keys.signing_key(self.keys)
        with checkpoint_file.writing(self.place) as append_line:
            lines = checkpoint_file.read_lines(self._files, key.public_key())
            self._last(lines)
            with snapshot(self.url) as connection:
                candidate = breaks.parted(connection, [line.checkpoint for line in lines])
            line = NewLine(candidate.kept, lines[-1].digest, candidate.at, candidate.statement(by, reason))
            record = checkpoint_file.write_line(append_line, key, line)
            accepted = AcceptedBreak(candidate.agreed, candidate.lost, candidate.kept, by, reason, candidate.at, record)
            self._record_break(accepted)
        self.checkpoint()
        return accepted

    def read(self, public: Path | None = None) -> list[Checkpoint]:
        """All checkpoints, oldest first, checked with a public key: the one named, else that of the private key where
        it can be read, else the one beside the checkpoints.

        Raises:
            AuditBroken: the key named is none.
        """
        if public is not None:
            key = keys.public_key(public)
        elif keys_at(self.keys).has(keys.PRIVATE):
            key = keys.signing_key(self.keys).public_key()
        else:
            try:
                key = keys.public_key_of(self._files.read(keys.PUBLIC), self._files.place(keys.PUBLIC))
            except FileMissing:
                return []
        return [line.checkpoint for line in checkpoint_file.read_lines(self._files, key)]

    @property
    def file(self) -> str:
        """Where the checkpoints lie, for people."""
        return below(self.place, checkpoint_file.FILE)

    @property
    def _files(self) -> Files:
        return files_at(self.place)

    def _last(self, lines: list[checkpoint_file.CheckpointLine]) -> Checkpoint | None:
        broken = next((line.checkpoint for line in lines if not line.checkpoint.valid), None)
        if broken is not None:
            raise AuditBroken(
                f"line {broken.line} of {self.file} was not signed with this key or does not "
                "follow the line before; put the file and the keys back from your backup, then run "
                "`pipeline audit verify`"
            )
        return lines[-1].checkpoint if lines else None

    def _continues(self, connection: Connection, last: Checkpoint | None, anew: bool) -> ChainVerdict | None:
        """The verdict on what was added since the last checkpoint; None when that is nothing but its own row."""
        batches = audit_batches.c
        start = Start()
        if last is not None and last.end != NOTHING:
            signed = connection.execute(select(batches.hash, batches.at).where(batches.number == last.number)).first()
            if signed is None or signed.hash != last.hash:
                raise AuditBroken(
                    f"the chain does not continue what was signed over batch {last.number} on "
                    f"{last.signed_at.isoformat(timespec='seconds')}: it was cut or written anew; nothing was signed. "
                    "Run `pipeline audit verify` and compare with a backup of the ledger; if an older ledger was "
                    "restored on purpose, an auditor accepts that with `pipeline audit accept-break`"
                )
            start = Start(last.number, signed.hash, signed.at)
        self._remembered(connection, last, anew)
        added = connection.scalar(select(func.count()).where(batches.number > start.number, batches.kind != KIND))
        if (not added and last is not None) or not connection.scalar(select(func.count()).select_from(audit_batches)):
            return None
        verdict = check_chain(connection, [], start)
        if not verdict.intact:
            first = verdict.findings[0]
            raise AuditBroken(
                f"the chain was tampered with after batch {start.number}, nothing was signed: {first.words}; run "
                "`pipeline audit verify` for all of it"
            )
        return verdict

    def _remembered(self, connection: Connection, last: Checkpoint | None, anew: bool) -> None:
        batches = audit_batches.c
        newest = connection.scalar(select(func.max(batches.number)).where(batches.kind == KIND)) or 0
        reached = last.number if last else 0
        # the row about a checkpoint follows it at once: two of them behind the last line mean that a line is lost
        since = connection.scalar(select(func.count()).where(batches.kind == KIND, batches.number > reached)) or 0
        if since > (1 if last else 0) and not anew:
            raise AuditBroken(
                f"the chain knows of checkpoints up to batch {newest}, {self.file} ends at "
                f"{reached}: put it back from your backup, or sign anew with `pipeline audit checkpoint --anew` if it "
                "is lost"
            )

    def _remember(self, verdict: ChainVerdict, now: datetime, anew: bool) -> None:
        fact = Fact(None, {"checkpoint": verdict.tip, "hash": verdict.tip_hash, "signed_at": now, "anew": anew})
        with unit_of_work(pooled_engine(self.url)) as connection:
            append(connection, KIND, "", [fact])

    def _record_break(self, accepted: AcceptedBreak) -> None:
        with unit_of_work(pooled_engine(self.url)) as connection:
            breaks.record_break(connection, accepted)
