"""Merkle trees as in RFC 6962: a leaf and a node are hashed with different prefixes, so that none passes for the other.

Hashes are 64 lower-case hexadecimal digits (SHA-256) wherever they are handed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(position: int, body: str) -> str:
    """The leaf of a fact's canonical spelling; with its place in it two facts that changed places are told by name."""
    return sha256(_LEAF + position.to_bytes(8, "big") + body.encode()).hexdigest()


def merkle_root(leaves: Sequence[str]) -> str:
    """The root over leaves in their order; of none it is the hash of nothing."""
    if not leaves:
        return sha256(b"").hexdigest()
    level = [bytes.fromhex(leaf) for leaf in leaves]
    while len(level) > 1:
        level = _above(level)
    return level[0].hex()


def _above(level: list[bytes]) -> list[bytes]:
    # an odd one out moves up unhashed, which gives the trees of RFC 6962
    pairs = [sha256(_NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
    return pairs if len(level) % 2 == 0 else [*pairs, level[-1]]


@dataclass(frozen=True)
class Inclusion:
    """That a leaf stands at a position of a tree.

    Attributes:
        position: counted from 0.
        count: leaves of the tree.
        path: the hashes beside the way from the leaf to the root, from below.
    """

    position: int
    count: int
    path: tuple[str, ...]


def inclusion(leaves: Sequence[str], position: int) -> Inclusion:
    """The proof for the leaf at a position.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= position < len(leaves):
        raise ValueError(f"there is no leaf {position} among {len(leaves)}")
    path, at = [], position
    level = [bytes.fromhex(leaf) for leaf in leaves]
    while len(level) > 1:
        beside = at ^ 1
        if beside < len(level):
            path.append(level[beside].hex())
        level, at = _above(level), at // 2
    return Inclusion(position, len(leaves), tuple(path))


def proves(leaf: str, proof: Inclusion, root: str) -> bool:
    """Whether a leaf and its proof lead to this root."""
    at, last, path = proof.position, proof.count - 1, list(proof.path)
    if not 0 <= at <= last:
        return False
    digest = bytes.fromhex(leaf)
    while last > 0:
        if at % 2 or at < last:
            if not path:
                return False
            beside = bytes.fromhex(path.pop(0))
            digest = sha256(_NODE + (beside + digest if at % 2 else digest + beside)).digest()
        at, last = at // 2, last // 2
    return not path and digest.hex() == root
