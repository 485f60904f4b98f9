"""The audit chain beside the ledger, with hashes and trees of its own making."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, text

from pipeline_project.reconcile.places import content_at
from pipeline_project.reconcile.scope import Link, Span
from pipeline_project.reconcile.stores import Rows

_BATCHES = "SELECT number, kind, workflow, count AS rows, root, prev_hash, hash, at FROM audit_batches ORDER BY number"
_ROWS = "SELECT batch, position, leaf, body FROM audit_rows ORDER BY batch, position"
#: What the chain says about the tables that are compared, and what became of actions.
_FACTS = (
    "SELECT r.source, b.kind, b.workflow, r.body FROM audit_rows r JOIN audit_batches b ON b.number = r.batch "
    "WHERE r.source IN ('decisions', 'actions', 'releases', 'review_answers') OR b.kind IN ('deliveries', 'replays')"
)

#: What the chain holds about a workflow, by table; `deliveries` and `replays` for what became of actions.
Facts = dict[str, Rows]


def check_chain(connection: Connection, checkpoints: str) -> Link:
    """Every row, batch and link, and the newest signed checkpoint's hash; no signature is looked at here."""
    link = Link("", "chain ↔ its own links and checkpoints")
    rows = _grouped(connection)
    before, count, batches = "0" * 64, 0, 0
    hashes: dict[int, str] = {0: "0" * 64}
    broken: dict[str, list[int]] = {"leaf": [], "root": [], "link": [], "number": []}
    current = next(rows, None)
    for batch in connection.execute(text(_BATCHES)):
        batches += 1
        bodies: list[Any] = []
        while current is not None and current[0] < batch.number:
            broken["number"].append(current[0])
            current = next(rows, None)
        if current is not None and current[0] == batch.number:
            bodies, current = current[1], next(rows, None)
        count += len(bodies)
        leaves = [_leaf(place, row.body) for place, row in enumerate(bodies)]
        if [row.leaf for row in bodies] != leaves or [row.position for row in bodies] != list(range(len(bodies))):
            broken["leaf"].append(batch.number)
        if _root(leaves) != batch.root or len(leaves) != batch.rows:
            broken["root"].append(batch.number)
        if batch.prev_hash != before or _hash(batch) != batch.hash:
            broken["link"].append(batch.number)
        if batch.number != batches:
            broken["number"].append(batch.number)
        hashes[batch.number], before = batch.hash, batch.hash
    link.counted = (count, batches)
    link.expect_none("batches whose rows are not what was hashed", broken["leaf"])
    link.expect_none("batches whose root or count is not that of their rows", broken["root"])
    link.expect_none("batches that do not follow the one before", broken["link"])
    link.expect_none("batches whose number is out of turn, or rows without a batch", broken["number"])
    signed, breaks = _standing(_signed(checkpoints))
    link.expect_none(
        "checkpoints that name another end than the chain has there",
        [number for number, tip in signed if hashes.get(number) != tip],
    )
    link.note(f"a break of the chain was accepted {breaks} times: pipeline audit verify", breaks)
    link.note("nothing is signed yet: pipeline audit checkpoint", batches and not signed)
    return link


def facts(connection: Connection) -> dict[str, Facts]:
    """What the chain holds, by workflow."""
    by_workflow: dict[str, Facts] = {}
    for source, kind, workflow, body in connection.execute(text(_FACTS)):
        try:
            fact = json.loads(body)
        except ValueError:
            # changed so that it is no JSON any more: the check of the chain itself says so
            continue
        if isinstance(fact, dict):
            mine = by_workflow.setdefault(fact.get("workflow", workflow), {})
            # a delivery is told as a change of its row of `actions`; chains from before name no table there
            for name in {source, kind if kind in ("deliveries", "replays") else source or kind} - {None}:
                mine.setdefault(name, []).append(fact)
    return by_workflow


def check_facts(link: Link, span: Span, ledger: Mapping[str, Rows], facts: Facts) -> Link:
    """Decisions, actions, releases and deliveries of the ledger beside what the chain says of them."""
    decided = {(row["case_id"], row["epoch"]): row["option"] for row in ledger["decisions"] if row["night"] in span}
    chained = {
        (fact["case_id"], fact.get("epoch", 1)): fact["option"]
        for fact in facts.get("decisions", [])
        if fact.keys() >= {"option", "night"} and fact["night"] in span
    }
    link.expect_none("decisions that the chain does not hold", (case for case, _ in decided.keys() - chained.keys()))
    link.expect_none("decisions of the chain that are gone", (case for case, _ in chained.keys() - decided.keys()))
    both = decided.keys() & chained.keys()
    link.expect_none("decisions with another option than the chain's", (k[0] for k in both if decided[k] != chained[k]))
    asked = {row["key"]: round(row["money"], 2) for row in ledger["actions"] if row["night"] in span}
    logged = {
        str(fact["key"]): round(float(fact["money"]), 2)
        for fact in facts.get("actions", [])
        if fact.keys() >= {"money", "night"} and fact["night"] in span
    }
    link.expect_none("actions that the chain does not hold", asked.keys() - logged.keys())
    link.expect_none("actions of the chain that are gone", logged.keys() - asked.keys())
    link.expect_none(
        "actions with other money than the chain's", (k for k in asked.keys() & logged.keys() if asked[k] != logged[k])
    )
    released = {row["night"] for row in ledger["releases"] if row["night"] in span}
    said_so = {str(fact["night"]) for fact in facts.get("releases", []) if fact.get("night") in span}
    link.expect_none("nights released in one of the two only", released ^ said_so)
    delivered = {str(fact["key"]) for fact in facts.get("deliveries", []) if fact.get("state") == "done"}
    delivered |= {str(fact["key"]) for fact in facts.get("replays", []) if fact.get("happened") is True}
    done = {row["key"] for row in ledger["actions"] if row["state"] == "done" and row["night"] in span}
    link.expect_none("deliveries that the chain does not hold", done - delivered)
    gone = {row["key"] for row in ledger["actions"] if row["state"] != "done"}
    link.expect_none("deliveries of the chain that the outbox calls otherwise", delivered & gone)
    link.counted = (len(decided) + len(asked) + len(released), len(chained) + len(logged) + len(said_so))
    return link


def _grouped(connection: Connection) -> Iterator[tuple[int, list[Any]]]:
    number, rows = 0, list[Any]()
    for row in connection.execute(text(_ROWS).execution_options(yield_per=2_000)):
        if rows and row.batch != number:
            yield number, rows
            rows = []
        number = row.batch
        rows.append(row)
    if rows:
        yield number, rows


def _leaf(position: int, body: str) -> str:
    return sha256(bytes([0]) + position.to_bytes(8, "big") + body.encode()).hexdigest()


def _root(leaves: list[str]) -> str:
    """RFC 6962's tree, written from its definition: split at the largest power of two below the count."""
    if not leaves:
        return sha256(b"").hexdigest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + bytes.fromhex(_root(leaves[:split])) + bytes.fromhex(_root(leaves[split:]))).hexdigest()


def _hash(batch: Any) -> str:
    at: datetime = batch.at.astimezone(UTC)
    header = {
        "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "count": batch.rows,
        "kind": batch.kind,
        "number": batch.number,
        "prev": batch.prev_hash,
        "root": batch.root,
        "workflow": batch.workflow,
    }
    return sha256(b"\x02" + json.dumps(header, separators=(",", ":")).encode("ascii")).hexdigest()


#: Number and hash of a batch.
_End = tuple[Any, Any]


@dataclass(frozen=True)
class _Signed:
    """What a checkpoint says: the chain's end, and of an accepted break the end that is lost and the one agreed on."""

    number: int
    hash: str
    lost: _End | None = None
    agreed: _End | None = None


def _signed(place: str) -> Iterator[_Signed]:
    """What every checkpoint says; a line that cannot be read names batch -1, which there never is."""
    try:
        content = content_at(place, "checkpoints.jsonl")
    except FileNotFoundError:
        return
    for line in content.split(b"\n")[:-1]:
        try:
            checkpoint = json.loads(line)
            number, digest, ends = int(checkpoint["number"]), str(checkpoint["hash"]), checkpoint.get("break")
            lost, agreed = (_end(ends, name) for name in ("lost", "agreed")) if isinstance(ends, dict) else (None, None)
            yield _Signed(number, digest, lost, agreed)
        except (ValueError, KeyError, TypeError):
            yield _Signed(-1, "")


def _end(ends: Mapping[str, Any], name: str) -> _End:
    end = ends.get(name) or {}
    return end.get("number"), end.get("hash")


def _standing(lines: Iterable[_Signed]) -> tuple[list[tuple[int, str]], int]:
    """Number and hash of the checkpoints that no later line calls lost; and how many lines do so.

    A line that accepts a restored ledger names the checkpoint before it, which is lost, and up to which one before that
    the chain still agreed. One that names other ends takes nothing away.
    """
    standing: list[tuple[int, str]] = []
    breaks = 0
    for line in lines:
        if line.agreed is not None and standing and line.lost == standing[-1]:
            named = line.agreed
            left = 0 if named == (0, "0" * 64) else standing.index(named) + 1 if named in standing else None
            if left is not None and left < len(standing):
                standing, breaks = standing[:left], breaks + 1
        standing.append((line.number, line.hash))
    return standing, breaks
