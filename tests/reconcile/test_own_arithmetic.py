"""The checker computes hashes by its own code; here both are compared, which is what independence is for."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pipeline_project.domain.audit.chain import ChainBatch, hash_of
from pipeline_project.domain.audit.merkle import leaf_hash, merkle_root
from pipeline_project.reconcile.chain import _hash, _leaf, _root


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33])
def test_trees(size: int) -> None:
    leaves = [leaf_hash(place, f'{{"case":"ä{place}"}}') for place in range(size)]
    assert leaves == [_leaf(place, f'{{"case":"ä{place}"}}') for place in range(size)]
    assert merkle_root(leaves) == _root(leaves)


def test_links() -> None:
    at = datetime(2025, 3, 5, 1, 2, 3, 400, UTC)
    theirs = ChainBatch(7, "decisions", "returns", at, "a" * 64, "b" * 64, 12)
    ours = SimpleNamespace(
        number=7, kind="decisions", workflow="returns", at=at, prev_hash="a" * 64, root="b" * 64, rows=12
    )
    assert hash_of(theirs) == _hash(ours)
