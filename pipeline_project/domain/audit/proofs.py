"""That one fact is in the chain, shown without the rest: its way to the root, and from there to a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline_project.domain.audit.chain import ChainBatch, hash_of
from pipeline_project.domain.audit.findings import Checkpoint
from pipeline_project.domain.audit.merkle import Inclusion, leaf_hash, proves


@dataclass(frozen=True)
class Proof:
    """One fact's proof.

    Attributes:
        body: the fact's canonical spelling.
        path: from its leaf to the root of its batch.
        links: its batch, then those after it up to the checkpoint's.
        checkpoint: the first signed after the fact, or None while there is none.
    """

    body: str
    path: Inclusion
    links: Sequence[ChainBatch]
    checkpoint: Checkpoint | None


def holds(proof: Proof) -> bool:
    """Whether the proof is right in itself; that the checkpoint is really signed is checked with the public key."""
    if not proof.links:
        return False
    first = proof.links[0]
    if first.count != proof.path.count:
        return False
    if not proves(leaf_hash(proof.path.position, proof.body), proof.path, first.root):
        return False
    before = first.prev_hash
    for number, link in enumerate(proof.links, start=first.number):
        if link.number != number or link.prev_hash != before or hash_of(link) != link.hash:
            return False
        before = link.hash
    signed = proof.checkpoint
    return signed is None or (signed.hash == proof.links[-1].hash and signed.number == proof.links[-1].number)
