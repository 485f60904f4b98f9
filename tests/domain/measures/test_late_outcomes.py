"""Outcomes that land after their night was taken in are known from then on, and not before, whatever they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.intake.outcomes import OUTCOMES, known_honestly

UNTIL = datetime(2025, 3, 20, tzinfo=UTC)
Fact = tuple[str, str, datetime]


def day(number: int) -> datetime:
    return datetime(2025, 3, number, 12, tzinfo=UTC)


def table(*facts: Fact) -> pa.Table:
    rows = [
        {"case_id": c, "label": label, "known_at": at, "true_at": None, "source": "files"} for c, label, at in facts
    ]
    return pa.Table.from_pylist(rows, schema=OUTCOMES)


def frame(*facts: Fact) -> pd.DataFrame:
    found = pd.DataFrame(list(facts), columns=["case_id", "label", "known_at"])
    return found.astype({"case_id": "str", "label": "str", "known_at": "datetime64[us, UTC]"})


def honest(arrived: list[Fact], known: list[Fact] | None = None) -> list[Fact]:
    found = known_honestly(table(*arrived), frame(*known or []), UNTIL)
    assert found.schema.equals(OUTCOMES, check_metadata=False)
    return [(row["case_id"], row["label"], row["known_at"]) for row in found.to_pylist()]


def last_word(facts: list[Fact], case: str, as_of: datetime) -> str | None:
    mine = sorted((at, label) for of, label, at in facts if of == case and at < as_of)
    return mine[-1][1] if mine else None


def test_what_came_late_is_known_from_the_end_of_the_last_decided_night() -> None:
    assert honest([("a", "kept", day(2)), ("b", "worn", day(25))]) == [("a", "kept", UNTIL), ("b", "worn", day(25))]


def test_what_was_known_already_keeps_its_time() -> None:
    assert honest([("a", "kept", day(2))], [("a", "kept", day(2))]) == [("a", "kept", day(2))]


def test_taken_in_a_second_time_it_is_the_same_fact() -> None:
    first = known_honestly(table(("a", "kept", day(2))), frame(), datetime(2025, 3, 10, tzinfo=UTC)).to_pylist()
    again = honest([("a", "kept", day(2))], [("a", "kept", first[0]["known_at"])])
    assert again == [("a", "kept", datetime(2025, 3, 10, tzinfo=UTC))]


def test_a_word_that_was_told_later_stands() -> None:
    assert honest([("a", "kept", day(2))], [("a", "worn", day(5))]) == []
    assert honest([("a", "kept", day(2))], [("a", "worn", day(25))]) == [("a", "kept", UNTIL)]


def test_of_several_words_about_one_case_the_last_is_known() -> None:
    late = honest([("a", "kept", day(2)), ("a", "lost", day(4)), ("a", "worn", day(3))])
    assert late == [("a", "lost", UNTIL)]


@given(
    known=st.lists(
        st.tuples(st.just("a"), st.sampled_from(["x", "y", "z"]), st.integers(1, 15)), max_size=3, unique=True
    ),
    arrived=st.lists(
        st.tuples(st.just("a"), st.sampled_from(["x", "y", "z"]), st.integers(1, 28)), max_size=4, unique=True
    ),
)
def test_no_decided_night_would_have_known_better_and_later_ones_know_it(
    known: list[tuple[str, str, int]], arrived: list[tuple[str, str, int]]
) -> None:
    before = [(case, label, day(number)) for case, label, number in known]
    told = [(case, label, day(number)) for case, label, number in arrived]
    after = [*before, *honest(told, before)]
    for number in range(1, 20):
        assert last_word(after, "a", day(number)) == last_word(before, "a", day(number))
    newest = max((at for _, _, at in [*before, *told]), default=None)
    words = {label for _, label, at in [*before, *told] if at == newest}
    assert not words or last_word(after, "a", UNTIL + timedelta(days=30)) in words
