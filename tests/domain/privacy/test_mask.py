from __future__ import annotations

import pytest

from pipeline_project.domain.privacy.mask import masked
from pipeline_project.domain.privacy.masking import MASK
from pipeline_project.domain.privacy.seal import NOBODY, token_of


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        ("anna.schmidt@example.com", f"a{MASK}@{MASK}.com"),
        ("DE02120300000000202051", f"{MASK}2051"),
        ("+49 170 1234567", f"{MASK}4567"),
        ("C-104", MASK),
        ("the lamp hums since 2024", MASK),
        (token_of(NOBODY, b"x"), MASK),
    ],
)
def test_a_page_shows_an_ending_at_most(value: str | None, shown: str | None) -> None:
    assert masked(value) == shown
