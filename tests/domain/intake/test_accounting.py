"""No row vanishes, and none is there twice: every way of losing or doubling one must be found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.intake.accounting import balance


@pytest.mark.parametrize(
    ("arrivals", "admitted", "quarantined", "earlier", "duplicates"),
    [
        ("", "", "", "", 0),
        ("", "", "", "ab", 0),
        ("ab", "a", "b", "", 0),
        ("aab", "a", "b", "", 1),
        ("aabbb", "a", "b", "", 3),
        ("ab", "a", "", "b", 1),
        ("abb", "a", "", "b", 2),
        ("ab", "", "", "ab", 2),
    ],
)
def test_sound_nights(arrivals: str, admitted: str, quarantined: str, earlier: str, duplicates: int) -> None:
    found = balance(arrivals, admitted, quarantined, earlier)
    assert found.holds, found
    assert found.duplicates == duplicates
    assert found.as_metadata()["arrivals"] == len(arrivals)


@pytest.mark.parametrize(
    ("arrivals", "admitted", "quarantined", "earlier", "why"),
    [
        ("ab", "a", "", "", "b is nowhere"),
        ("ab", "", "", "", "nothing was kept"),
        ("a", "aa", "", "", "a was admitted twice"),
        ("aa", "aa", "", "", "both of two equal rows were admitted"),
        ("a", "", "aa", "", "a was refused twice"),
        ("ab", "ab", "b", "", "b was admitted and refused"),
        ("aab", "ab", "a", "", "a was admitted and refused, and the numbers add up"),
        ("a", "x", "", "", "a became something that never came"),
        ("a", "ax", "", "", "x never came"),
        ("aa", "ax", "", "", "x took the place of the duplicate"),
        ("ab", "a", "x", "b", "x took the place of what came before"),
        ("a", "a", "", "a", "a was admitted on two nights"),
        ("ab", "a", "b", "b", "b was admitted before and is refused now"),
    ],
)
def test_what_is_lost_or_doubled_is_found(
    arrivals: str, admitted: str, quarantined: str, earlier: str, why: str
) -> None:
    assert not balance(arrivals, admitted, quarantined, earlier).holds, why


@given(
    st.lists(st.sampled_from("abcdefgh")), st.sets(st.sampled_from("abcdefgh")), st.sets(st.sampled_from("abcdefgh"))
)
def test_a_night_that_was_sorted_well_is_sound_and_any_row_less_is_not(
    arrivals: list[str], earlier: set[str], bad: set[str]
) -> None:
    new = sorted(set(arrivals) - earlier)
    admitted, refused = [row for row in new if row not in bad], [row for row in new if row in bad]
    assert balance(arrivals, admitted, refused, earlier).holds
    if admitted:
        assert not balance(arrivals, admitted[1:], refused, earlier).holds
        assert not balance(arrivals, [*admitted, admitted[0]], refused, earlier).holds
    if refused:
        assert not balance(arrivals, admitted, refused[:-1], earlier).holds
