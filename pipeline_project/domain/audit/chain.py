"""The chain's links: one per batch of facts, each holding the hash of the one before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from pipeline_project.domain.audit.canonical import canonical

#: What the first batch names as the hash before it.
GENESIS = "0" * 64

_BATCH = b"\x02"


@dataclass(frozen=True)
class ChainBatch:
    """One link: what was recorded in one transaction.

    Attributes:
        number: 1, 2, 3 ... without a gap.
        kind: what the facts are about: decisions, actions, answers ...
        at: when, by the database's clock; never before the batch before it.
        prev_hash: the `hash` of batch number - 1, or GENESIS.
        root: Merkle root over the rows' leaves, in their order.
        count: how many rows.
        hash: as stored; `hash_of` gives what it must be.
    """

    number: int
    kind: str
    workflow: str
    at: datetime
    prev_hash: str
    root: str
    count: int
    hash: str = ""


def hash_of(batch: ChainBatch) -> str:
    """The hash that binds a batch to everything before it."""
    content = {
        "number": batch.number,
        "kind": batch.kind,
        "workflow": batch.workflow,
        "prev": batch.prev_hash,
        "root": batch.root,
        "count": batch.count,
        "at": batch.at,
    }
    return sha256(_BATCH + canonical(content).encode("ascii")).hexdigest()
