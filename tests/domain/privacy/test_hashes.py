from __future__ import annotations

from pipeline_project.domain.privacy.hashes import KEYED, keyed


def test_a_hash_under_a_key_is_the_same_for_the_same_hash_and_key_alone() -> None:
    plain, secret = "ab" * 32, b"s" * 32
    told = keyed(plain, secret)
    assert told.startswith(KEYED) and plain not in told
    assert keyed(plain, secret) == told == keyed(told, secret)
    assert len({told, keyed("cd" * 32, secret), keyed(plain, b"t" * 32)}) == 3
