"""Fourteen ways to tamper with the audit chain, as somebody would who owns the database.

Each changes what stands in a transaction that is rolled back afterwards, or the lines of the checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from random import Random
from typing import Any

from sqlalchemy import Connection, text

from pipeline_project.domain.audit.canonical import spelled
from pipeline_project.domain.audit.chain import ChainBatch, hash_of
from pipeline_project.domain.audit.findings import Tampering
from pipeline_project.domain.audit.merkle import leaf_hash, merkle_root
from resources.ledger.audit.facts import columns_of
from resources.ledger.audit.reading import read_batches


@dataclass(frozen=True)
class Bench:
    """What is tampered with: batches up to `signed` are older than the last checkpoint."""

    connection: Connection
    random: Random
    signed: int

    def run(self, statement: str, **values: Any) -> Any:
        return self.connection.execute(text(statement), values)

    def batch(self, after: int = 0) -> int:
        """A batch of decisions that was signed."""
        found = self.run(
            "SELECT number FROM audit_batches WHERE kind = 'decisions' AND number > :after AND number <= :signed",
            after=after, signed=self.signed,
        )  # fmt: skip
        return int(self.random.choice(list(found.scalars())))

    def row(self, batch: int) -> tuple[int, str]:
        """A row of a batch: position and body."""
        found = self.run("SELECT position, body FROM audit_rows WHERE batch = :batch ORDER BY 1", batch=batch)
        position, body = self.random.choice(found.all())
        return int(position), str(body)

    def leaves(self, batch: int) -> list[str]:
        return list(
            self.run("SELECT leaf FROM audit_rows WHERE batch = :batch ORDER BY position", batch=batch).scalars()
        )


def _other(body: str, random: Random) -> dict[str, Any]:
    said = json.loads(body)
    name = random.choice(["option", "amount", "reason", "made_by", "case_id"])
    said[name] = said[name] + 1 if name == "amount" else f"{said[name]}x"
    return dict(said)


def _write(bench: Bench, batch: int, position: int, said: Mapping[str, Any], with_leaf: bool) -> None:
    body = spelled(said)
    source, key, case, person = columns_of(said)
    bench.run(
        "UPDATE audit_rows SET body = :body, source = :source, key = :key, case_id = :case, person = :person "
        "WHERE batch = :batch AND position = :position",
        body=body, source=source, key=key, case=case, person=person, batch=batch, position=position,
    )  # fmt: skip
    if with_leaf:
        leaf = leaf_hash(position, body)
        bench.run(
            "UPDATE audit_rows SET leaf = :leaf WHERE batch = :batch AND position = :position",
            leaf=leaf, batch=batch, position=position,
        )  # fmt: skip


def changed(bench: Bench) -> None:
    """One row says something else; the more careful also mend its leaf, the root and the batch's hash."""
    batch = bench.batch()
    position, body = bench.row(batch)
    care = bench.random.randrange(5)
    if care == 4:
        bench.run("UPDATE audit_rows SET case_id = 'X' WHERE batch = :b AND position = :p", b=batch, p=position)
        return
    _write(bench, batch, position, _other(body, bench.random), with_leaf=care > 0)
    if care > 1:
        bench.run("UPDATE audit_batches SET root = :root WHERE number = :b", root=_root(bench, batch), b=batch)
    if care > 2:
        _rehash(bench, batch, chain=False)


def removed(bench: Bench) -> None:
    """A row or a whole batch is gone; the more careful count one less, or renumber the rest."""
    batch = bench.batch()
    care = bench.random.randrange(4)
    if care == 0:
        bench.run("DELETE FROM audit_rows WHERE batch = :b", b=batch)
        bench.run("DELETE FROM audit_batches WHERE number = :b", b=batch)
        return
    position, _ = bench.row(batch)
    bench.run("DELETE FROM audit_rows WHERE batch = :b AND position = :p", b=batch, p=position)
    if care > 1:
        bench.run(
            "UPDATE audit_rows SET position = position - 1 WHERE batch = :b AND position > :p", b=batch, p=position
        )
    if care > 2:
        bench.run("UPDATE audit_batches SET count = count - 1 WHERE number = :b AND count > 1", b=batch)


def reordered(bench: Bench) -> None:
    """Two rows of a batch, or two batches, change places."""
    batch, care = bench.batch(), bench.random.randrange(3)
    if care == 0:
        other = bench.batch()
        while other == batch:
            other = bench.batch()
        _swap(bench, "audit_batches", "number", batch, other, "true")
        _swap(bench, "audit_rows", "batch", batch, other, "true")
        return
    one, other = bench.row(batch)[0], bench.row(batch)[0]
    while other == one:
        other = bench.row(batch)[0]
    _swap(bench, "audit_rows", "position", one, other, f"batch = {batch}")
    if care == 2:
        for position in (one, other):
            body = bench.run("SELECT body FROM audit_rows WHERE batch = :b AND position = :p", b=batch, p=position)
            _write(bench, batch, position, json.loads(body.scalar_one()), with_leaf=True)


def _swap(bench: Bench, table: str, column: str, one: int, other: int, where: str) -> None:
    away = 1_000_000
    for old, new in ((one, away), (other, one), (away, other)):
        bench.run(f"UPDATE {table} SET {column} = :new WHERE {column} = :old AND {where}", old=old, new=new)


def inserted(bench: Bench) -> None:
    """A row, or a whole batch in the middle, that nobody recorded."""
    batch, care = bench.batch(), bench.random.randrange(3)
    if care == 0:
        _insert_batch(bench, batch)
        return
    _, body = bench.row(batch)
    position = len(bench.leaves(batch))
    _insert_row(bench, batch, position, _other(body, bench.random))
    if care == 2:
        bench.run("UPDATE audit_batches SET count = count + 1 WHERE number = :b", b=batch)


def _insert_row(bench: Bench, batch: int, position: int, said: Mapping[str, Any]) -> None:
    bench.run(
        "INSERT INTO audit_rows (batch, position, leaf, body) VALUES (:batch, :position, :leaf, '')",
        batch=batch, position=position, leaf="0" * 64,
    )  # fmt: skip
    _write(bench, batch, position, said, with_leaf=True)


def _insert_batch(bench: Bench, after: int) -> None:
    for table, column in (("audit_batches", "number"), ("audit_rows", "batch")):
        for sign in ("+ 1000001", "- 1000000"):
            above = after if sign.startswith("+") else 1_000_000
            bench.run(f"UPDATE {table} SET {column} = {column} {sign} WHERE {column} > :above", above=above)
    _, body = bench.row(after)
    new = after + 1
    bench.run(
        "INSERT INTO audit_batches SELECT :new, kind, workflow, 1, root, :prev, :hash, at FROM audit_batches "
        "WHERE number = :after",
        new=new, prev="1" * 64, hash="2" * 64, after=after,
    )  # fmt: skip
    _insert_row(bench, new, 0, _other(body, bench.random))
    bench.run("UPDATE audit_batches SET root = :root WHERE number = :b", root=_root(bench, new), b=new)
    before = bench.run("SELECT hash FROM audit_batches WHERE number = :b", b=after).scalar_one()
    bench.run("UPDATE audit_batches SET prev_hash = :h WHERE number = :later", h="3" * 64, later=new + 1)
    bench.run("UPDATE audit_batches SET prev_hash = :h WHERE number = :b", h=before, b=new)
    _rehash(bench, new, chain=bench.random.random() < 0.5)


def moved(bench: Bench) -> None:
    """A row stands in another batch than the one it was recorded in."""
    batch = bench.batch()
    other = bench.batch()
    while other == batch:
        other = bench.batch()
    position, body = bench.row(batch)
    end = len(bench.leaves(other))
    bench.run("DELETE FROM audit_rows WHERE batch = :b AND position = :p", b=batch, p=position)
    _insert_row(bench, other, end, json.loads(body))


def retimed(bench: Bench) -> None:
    """A batch says that it was recorded at another time."""
    batch = bench.batch()
    by = timedelta(seconds=bench.random.choice([-86_400, -1, 1, 86_400]))
    bench.run("UPDATE audit_batches SET at = at + :by WHERE number = :b", by=by, b=batch)
    if bench.random.random() < 0.5:
        _rehash(bench, batch, chain=False)


def truncated(bench: Bench) -> None:
    """The end of the chain is gone, and so are the decisions that it told of."""
    until = bench.random.randrange(1, bench.signed)
    bench.run(
        "DELETE FROM decisions d USING audit_rows r WHERE r.source = 'decisions' AND r.case_id = d.case_id "
        "AND r.batch > :until",
        until=until,
    )
    bench.run("DELETE FROM audit_rows WHERE batch > :until", until=until)
    bench.run("DELETE FROM audit_batches WHERE number > :until", until=until)


def rechained(bench: Bench) -> None:
    """A decision says something else, in its table and in the chain, all of which was computed again from there."""
    batch = bench.batch()
    position, body = bench.row(batch)
    said = _other(body, bench.random)
    bench.run(
        'UPDATE decisions SET "option" = :option, amount = :amount, reason = :reason, made_by = :made_by, '
        "case_id = :case_id WHERE case_id = :old",
        **{name: said[name] for name in ("option", "amount", "reason", "made_by", "case_id")},
        old=json.loads(body)["case_id"],
    )
    _write(bench, batch, position, said, with_leaf=True)
    bench.run("UPDATE audit_batches SET root = :root WHERE number = :b", root=_root(bench, batch), b=batch)
    _rehash(bench, batch, chain=True)


def _root(bench: Bench, batch: int) -> str:
    return merkle_root(bench.leaves(batch))


def _rehash(bench: Bench, first: int, chain: bool) -> None:
    """The hash of a batch as its columns are now; with `chain` also the links and hashes of all after it."""
    before = None
    for batch in list(read_batches(bench.connection, first - 1)):
        linked = ChainBatch(**{**vars(batch), "prev_hash": before or batch.prev_hash})
        before = hash_of(linked)
        bench.run(
            "UPDATE audit_batches SET prev_hash = :prev, hash = :hash WHERE number = :b",
            prev=linked.prev_hash, hash=before, b=batch.number,
        )  # fmt: skip
        if not chain:
            return


def ledger_changed(bench: Bench) -> None:
    """A decision says something else than the chain recorded."""
    column = bench.random.choice(
        ["option = option || 'x'", "amount = amount + 1", "reason = 'other'", "night = '2001-01-01'"]
    )
    bench.run(f"UPDATE decisions SET {column} WHERE id = :id", id=_decision(bench))


def ledger_removed(bench: Bench) -> None:
    """A decision is gone."""
    bench.run("DELETE FROM decisions WHERE id = :id", id=_decision(bench))


def ledger_inserted(bench: Bench) -> None:
    """A decision is there that the chain knows nothing of."""
    bench.run(
        "INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, "
        "attempt, run_id, amount) SELECT workflow, case_id, epoch + 1, night, option, reason, spec_hash, "
        "data_versions, attempt, run_id, amount FROM decisions WHERE id = :id",
        id=_decision(bench),
    )


def _decision(bench: Bench) -> int:
    return int(bench.random.choice(list(bench.run("SELECT id FROM decisions").scalars())))


#: Tampering with the database.
IN_DATABASE: Mapping[Tampering, Callable[[Bench], None]] = {
    Tampering.CHANGED: changed,
    Tampering.REMOVED: removed,
    Tampering.REORDERED: reordered,
    Tampering.INSERTED: inserted,
    Tampering.TRUNCATED: truncated,
    Tampering.RECHAINED: rechained,
    Tampering.MOVED: moved,
    Tampering.RETIMED: retimed,
    Tampering.LEDGER_CHANGED: ledger_changed,
    Tampering.LEDGER_REMOVED: ledger_removed,
    Tampering.LEDGER_INSERTED: ledger_inserted,
}


def checkpoint_forged(lines: list[bytes], random: Random, other_key: Any) -> list[bytes]:
    """A checkpoint says something else, is signed with another key, was doubled or lost between two others."""
    at, care = random.randrange(len(lines) - 1), random.randrange(4)
    said = json.loads(lines[at])
    if care == 0:
        said["hash"] = said["hash"][::-1]
    elif care == 1:
        said.pop("signature")
        said["signature"] = other_key.sign(spelled(said).encode()).hex()
    elif care == 2:
        return lines[:at] + lines[at + 1 :]
    else:
        return [*lines[: at + 1], *lines[at:]]
    return [*lines[:at], spelled(said).encode(), *lines[at + 1 :]]


def checkpoint_removed(lines: list[bytes], random: Random, other_key: Any) -> list[bytes]:
    """The newest checkpoints are gone, or all of them."""
    return lines[: random.randrange(len(lines))]


def break_forged(lines: list[bytes], random: Random, own_key: Any) -> list[bytes]:
    """Whoever holds the key accepts a break where none is, or one that names other ends than those before it."""
    said = [json.loads(line) for line in lines]
    ends = [{name: each[name] for name in ("number", "hash")} for each in said]
    agreed, lost = ends[-2], ends[-1]
    care = random.randrange(4)
    if care == 0:
        lost = {**lost, "hash": lost["hash"][::-1]}
    elif care == 1:
        agreed = {**agreed, "hash": agreed["hash"][::-1]}
    elif care == 2:
        agreed, lost = lost, agreed
    made = {"before": sha256(lines[-1]).hexdigest(), "signed_at": said[-1]["signed_at"], **ends[-1]}
    made["break"] = {"agreed": agreed, "lost": lost, "by": "mallory", "reason": "disk lost"}
    made["signature"] = own_key.sign(spelled(made).encode()).hex()
    return [*lines, spelled(made).encode()]


#: Tampering with the checkpoints' lines; what is forged with the house's own key takes that one.
IN_FILE: Mapping[Tampering, Callable[[list[bytes], Random, Any], list[bytes]]] = {
    Tampering.BREAK_FORGED: break_forged,
    Tampering.CHECKPOINT_FORGED: checkpoint_forged,
    Tampering.CHECKPOINT_REMOVED: checkpoint_removed,
}
