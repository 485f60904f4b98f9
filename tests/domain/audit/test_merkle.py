from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.audit.merkle import Inclusion, inclusion, leaf_hash, merkle_root, proves

LEAVES = [leaf_hash(position, f"fact {position}") for position in range(40)]


def by_the_book(leaves: list[str]) -> bytes:
    """RFC 6962, section 2.1, as it is written."""
    if len(leaves) == 1:
        return bytes.fromhex(leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + by_the_book(leaves[:k]) + by_the_book(leaves[k:])).digest()


@pytest.mark.parametrize("count", range(1, 40))
def test_the_root_is_that_of_the_rfc(count: int) -> None:
    assert merkle_root(LEAVES[:count]) == by_the_book(LEAVES[:count]).hex()


def test_no_leaves_have_the_hash_of_nothing() -> None:
    assert merkle_root([]) == sha256(b"").hexdigest()


def test_a_node_does_not_pass_for_a_leaf() -> None:
    both = merkle_root(LEAVES[:2])
    assert both != sha256(b"\x00" + bytes.fromhex(LEAVES[0] + LEAVES[1])).hexdigest()
    assert merkle_root([both, LEAVES[2]]) == merkle_root(LEAVES[:3])  # which is why the count is hashed with the root


def test_the_place_is_part_of_a_leaf() -> None:
    assert leaf_hash(0, "a") != leaf_hash(1, "a")


@given(st.integers(1, 40), st.data())
def test_each_leaf_has_its_proof_and_no_other_fits_it(count: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, count - 1))
    root, proof = merkle_root(LEAVES[:count]), inclusion(LEAVES[:count], position)
    assert proves(LEAVES[position], proof, root)
    assert len(proof.path) <= 6
    other = data.draw(st.integers(0, 39).filter(lambda each: each != position))
    assert not proves(LEAVES[other], proof, root)
    for wrong in (
        Inclusion(position, count, (*proof.path, LEAVES[0])),
        Inclusion(position, count, proof.path[:-1]) if proof.path else Inclusion(1, 1, ()),
        Inclusion(position + 1, count, proof.path),
        Inclusion(-1, count, proof.path),
    ):
        assert not proves(LEAVES[position], wrong, root) or (wrong.path == proof.path and count == 1)


def test_there_is_no_proof_of_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="no leaf 3"):
        inclusion(LEAVES[:3], 3)
