from __future__ import annotations

import pytest

from pipeline_project.domain.privacy.seal import (
    NOBODY,
    is_pseudonym,
    is_sealed,
    looks_pseudonymous,
    owners,
    packed,
    parsed,
    pseudonym_of,
    token_of,
    unpacked,
)

KEY, OTHER = b"k" * 32, b"o" * 32


def test_a_subject_has_one_pseudonym_and_others_have_others() -> None:
    name = pseudonym_of("C-1", KEY)
    assert name == pseudonym_of("C-1", KEY)
    assert len({name, pseudonym_of("C-2", KEY), pseudonym_of("C-1", OTHER)}) == 3
    assert "C-1" not in name and len(name) == 32


def test_only_who_has_the_key_makes_pseudonyms() -> None:
    name = pseudonym_of("C-1", KEY)
    forged = name[:-1] + ("a" if name[-1] != "a" else "b")
    assert is_pseudonym(name, KEY)
    assert not is_pseudonym(name, OTHER)
    assert not is_pseudonym(forged, KEY) and looks_pseudonymous(forged)
    assert not is_pseudonym(NOBODY, KEY) and looks_pseudonymous(NOBODY)


def test_a_token_names_whose_it_is() -> None:
    name = pseudonym_of("C-1", KEY)
    token = token_of(name, b"\x00\xff content")
    assert token.startswith(f"sealed:1:{name}:") and is_sealed(token)
    found = parsed(token)
    assert found is not None and (found.pseudonym, found.content) == (name, b"\x00\xff content")
    assert owners([token, None, "plain", token_of(NOBODY, b"x")]) == {name, NOBODY}


@pytest.mark.parametrize("text", ["", "sealed:1", "sealed:1:s-none:", "sealed:1:C-1:eA==", "sealed:1:s-none:e", "x"])
def test_other_texts_are_no_tokens(text: str) -> None:
    assert parsed(text) is None


@pytest.mark.parametrize("value", ["", "Grüße\n\0ende", "sealed:1:s-none:eA=="])
def test_what_is_packed_comes_out_with_its_column(value: str) -> None:
    assert unpacked(packed("message", value)) == ("message", value)
