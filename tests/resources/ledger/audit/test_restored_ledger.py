"""An older ledger is restored, as a database: what is refused, what may be accepted, and what is told for good."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, delete, insert, make_url, select, text

from benchmarks.chaos.audit import write_chain
from pipeline_project.domain.audit.findings import ChainVerdict, Tampering
from pipeline_project.domain.audit.proofs import holds
from pipeline_project.domain.core.errors import AuditBroken, BreakRefused
from pipeline_project.reconcile.chain import check_chain
from resources.ledger.audit.chain import append
from resources.ledger.audit.checkpoint_file import FILE
from resources.ledger.audit.checkpoints import Checkpoints
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.trail import AuditTrail, Sought
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.tables.audit import audit_batches, audit_rows
from resources.postgres.databases import engine_of

WHY = "disk lost"


Copy = dict[str, list[dict[str, Any]]]


class Backups:
    """A ledger whose chain is copied and put back, its checkpoints apart from it."""

    def __init__(self, signer: Checkpoints) -> None:
        self.signer = signer

    def nights(self, count: int, word: str) -> None:
        """Batches that no other call makes; the chain is signed behind each."""
        for number in range(count):
            with engine_of(self.signer.url).begin() as connection:
                append(connection, "answers", "returns", [Fact(None, {"case_id": f"{word}-{number}"})])
            self.signer.checkpoint()

    def back_up(self) -> Copy:
        with engine_of(self.signer.url).connect() as connection:
            tables = (audit_batches, audit_rows)
            return {each.name: [dict(row._mapping) for row in connection.execute(select(each))] for each in tables}

    def restore(self, copy: Copy) -> None:
        with engine_of(self.signer.url).begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for each in (audit_rows, audit_batches):
                connection.execute(delete(each))
                if copy[each.name]:
                    connection.execute(insert(each), copy[each.name])

    @property
    def lines(self) -> list[str]:
        return (Path(self.signer.place) / FILE).read_text().splitlines()

    def write(self, lines: list[str]) -> None:
        (Path(self.signer.place) / FILE).write_text("".join(f"{line}\n" for line in lines))

    def verdict(self) -> ChainVerdict:
        return AuditTrail(self.signer.url).verify(self.signer.read()).verdict

    def found(self) -> list[Tampering]:
        return [each.what for each in self.verdict().findings]

    def counted_again(self) -> tuple[list[str], list[str]]:
        """What the independent checker says: what does not add up, and what is worth knowing."""
        with engine_of(self.signer.url).connect() as connection:
            link = check_chain(connection, self.signer.place)
        return [each.words for each in link.breaks], link.notes


@pytest.fixture
def backups(ledger: PostgresLedger, tmp_path: Path) -> Backups:
    """Decisions and their chain, three checkpoints long."""
    return Backups(write_chain(ledger.url, tmp_path / "checkpoints", tmp_path / "keys", batches=6, rows=4))


def copied(server: str, name: str, template: str) -> None:
    """A database as a copy of another one, in the place of what bore its name."""
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        # nobody may look on while it is copied, and on a busy machine sessions that were closed are still there
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        connection.execute(text(ended), {"name": template})
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever wants to tell the chain of a break dies first."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("resources.ledger.audit.breaks.record_break", die)
        yield


def test_a_restored_ledger_is_signed_again_once_an_auditor_has_accepted_the_break(
    backups: Backups, postgres_server: str, new_database: Callable[[], str]
) -> None:
    signer = replace(backups.signer, url=new_database())
    there, copy = str(make_url(signer.url).database), str(make_url(new_database()).database)
    engine_of(backups.signer.url).dispose()
    copied(postgres_server, there, str(make_url(backups.signer.url).database))
    backups = Backups(signer)
    copied(postgres_server, copy, there)
    backups.nights(3, "lost")
    last = signer.read()[-1]
    engine_of(signer.url).dispose()
    copied(postgres_server, there, copy)
    with pytest.raises(AuditBroken, match="pipeline audit accept-break"):
        signer.checkpoint()
    assert backups.found() == [Tampering.TRUNCATED]
    with engine_of(signer.url).begin() as connection:
        # nights go on meanwhile, past the batch that was signed last
        for number in range(8):
            append(connection, "answers", "returns", [Fact(None, {"case_id": f"new-{number}"})])
    assert Tampering.RECHAINED in backups.found() and backups.counted_again()[0]
    with pytest.raises(AuditBroken, match="accept-break"):
        signer.checkpoint()

    tip = AuditTrail(signer.url).length()
    shown = signer.parted()
    accepted = signer.accept_break("olga", WHY)
    assert (accepted.lost, accepted.kept.number, accepted.by) == (last.end, tip, "olga")
    assert (shown.agreed, shown.lost, shown.kept) == (accepted.agreed, accepted.lost, accepted.kept)
    said = json.loads(backups.lines[-2])
    assert said["break"]["lost"] == {"number": last.number, "hash": last.hash} and said["number"] == tip
    (fact,) = AuditTrail(signer.url).search(Sought(kind="breaks", person="olga")).entries
    assert fact.said["break"]["lost"]["number"] == last.number and fact.said["break"]["kept"]["number"] == tip
    assert fact.said["reason"] == WHY

    backups.nights(2, "after")
    verdict = backups.verdict()
    assert verdict.intact and verdict.vouched == signer.read()[-1]
    assert [each.lost for each in verdict.breaks] == [last.end] and last.hash[:12] in verdict.words
    assert backups.counted_again() == ([], ["a break of the chain was accepted 1 times: pipeline audit verify"])
    proof = AuditTrail(signer.url).proof(accepted.agreed.number + 2, 0, signer.read())
    assert proof is not None and holds(proof) and proof.checkpoint is not None
    with pytest.raises(BreakRefused, match="there is no break to accept"):
        signer.accept_break("olga", WHY)


def test_another_divergence_fails_again_and_needs_another_yes(backups: Backups) -> None:
    signer = backups.signer
    first = backups.back_up()
    backups.nights(2, "lost")
    later = backups.back_up()
    backups.nights(1, "lost-too")
    backups.restore(first)
    signer.accept_break("olga", WHY)
    backups.nights(2, "new")
    second = backups.back_up()
    backups.nights(2, "lost-again")
    backups.restore(second)
    assert backups.found()[0] is Tampering.TRUNCATED and backups.counted_again()[0]
    with pytest.raises(AuditBroken, match="accept-break"):
        signer.checkpoint()
    signer.accept_break("olga", "again")
    assert backups.verdict().intact and len(backups.verdict().breaks) == 2
    backups.restore(later)  # a newer copy is found after all: neither break nor what followed is in it
    assert backups.found()
    signer.accept_break("olga", "a newer copy was found")
    backups.nights(1, "on")
    verdict = backups.verdict()
    assert verdict.intact and len(verdict.breaks) == 3
    assert backups.counted_again()[0] == []


@pytest.mark.parametrize("left", ["nothing", "a beginning that was never signed"])
def test_a_ledger_from_before_any_checkpoint_may_go_on_too(backups: Backups, left: str) -> None:
    with engine_of(backups.signer.url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for name in ("audit_rows", "audit_batches", "decisions", "workflow_versions"):
            connection.execute(text(f"DELETE FROM {name}"))
        if left != "nothing":
            append(connection, "answers", "returns", [Fact(None, {"case_id": "first"})])
    accepted = backups.signer.accept_break("olga", WHY)
    assert accepted.agreed.number == 0 and accepted.kept.number == (0 if left == "nothing" else 1)
    backups.nights(2, "on")
    assert backups.verdict().intact and backups.counted_again()[0] == []


def test_a_crash_between_the_record_and_the_chains_fact_is_mended_by_going_on(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backups.back_up()
    backups.nights(2, "lost")
    backups.restore(copy)
    with dying(monkeypatch):
        backups.signer.accept_break("olga", WHY)
    assert backups.found() == []
    backups.nights(1, "on")
    assert len(AuditTrail(backups.signer.url).search(Sought(kind="breaks")).entries) == 1
    assert backups.found() == []


def test_a_break_is_not_told_to_a_chain_that_it_does_not_accept(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backups.back_up()
    backups.nights(2, "lost")
    backups.restore(copy)
    with dying(monkeypatch):
        with engine_of(backups.signer.url).begin() as connection:
            append(connection, "answers", "returns", [Fact(None, {"case_id": "kept"})])
        backups.signer.accept_break("olga", WHY)
    backups.restore(copy)
    with pytest.raises(AuditBroken, match="accept-break"):
        backups.signer.checkpoint()
    assert AuditTrail(backups.signer.url).search(Sought(kind="breaks")).entries == []


def test_what_is_done_to_a_record_is_found(backups: Backups) -> None:
    copy = backups.back_up()
    backups.nights(2, "lost")
    backups.restore(copy)
    backups.signer.accept_break("olga", WHY)
    backups.nights(2, "on")
    lines = backups.lines
    at = next(number for number, line in enumerate(lines) if '"break"' in line)
    for edited in (lines[at].replace(WHY, "mice"), lines[at].replace("olga", "anna")):
        backups.write([*lines[:at], edited, *lines[at + 1 :]])
        assert Tampering.CHECKPOINT_FORGED in backups.found()
        with pytest.raises(AuditBroken, match="was not signed with this key"):
            backups.signer.accept_break("olga", WHY)
    backups.write(lines[:at])  # the record and all after it are taken away
    assert {Tampering.CHECKPOINT_REMOVED, Tampering.TRUNCATED} & set(backups.found())
    backups.write(lines[:-1])  # a checkpoint behind the break is taken away
    assert backups.found() == [Tampering.CHECKPOINT_REMOVED]
    backups.write(lines)
    assert backups.found() == []


def test_the_chain_has_to_tell_a_break_that_the_file_tells(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = backups.back_up()
    backups.nights(2, "lost")
    backups.restore(copy)
    monkeypatch.setattr("resources.ledger.audit.breaks.record_break", lambda *_: None)
    backups.signer.accept_break("olga", WHY)
    backups.nights(2, "on")
    assert backups.found() == [Tampering.BREAK_FORGED]


def test_where_nothing_is_broken_nothing_is_accepted(backups: Backups) -> None:
    before = backups.lines
    with pytest.raises(BreakRefused, match="there is no break to accept"):
        backups.signer.accept_break("olga", WHY)
    backups.nights(1, "later")
    with pytest.raises(BreakRefused, match="there is no break"):
        backups.signer.parted()
    (Path(backups.signer.place) / FILE).unlink()
    with pytest.raises(BreakRefused, match="no checkpoint was signed yet"):
        backups.signer.accept_break("olga", WHY)
    backups.write(before)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET option = 'refund-all' WHERE case_id = (SELECT min(case_id) FROM decisions)",
        "UPDATE audit_rows SET body = '{}' WHERE batch = 2 AND position = 0",
        "DELETE FROM audit_rows WHERE batch = 3",
    ],
)
def test_a_restored_ledger_that_was_tampered_with_is_not_accepted(backups: Backups, statement: str) -> None:
    copy = backups.back_up()
    backups.nights(2, "lost")
    backups.restore(copy)
    with engine_of(backups.signer.url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(statement))
    before = backups.lines
    with pytest.raises(BreakRefused, match="is not as it was recorded, apart from what it lacks"):
        backups.signer.accept_break("olga", WHY)
    assert backups.lines == before


def test_a_break_needs_a_reason(backups: Backups) -> None:
    copy = backups.back_up()
    backups.nights(1, "lost")
    backups.restore(copy)
    with pytest.raises(BreakRefused, match="--reason"):
        backups.signer.accept_break("olga", " ")
