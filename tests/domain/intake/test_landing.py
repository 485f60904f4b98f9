"""Nothing read is not nothing came: a night against what the spec expects, and against other nights."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from pipeline_project.domain.core.nights import nights_between, shifted, window_of
from pipeline_project.domain.intake.landing import Expected, Overlooked, judge, usual

MONDAY, SATURDAY = "2025-03-03", "2025-03-08"


def before(night: str, *rows: int) -> dict[str, int]:
    """The rows of the nights just before one, the last given just before it."""
    return {shifted(night, index - len(rows)): count for index, count in enumerate(rows)}


def weeks(night: str, count: int) -> dict[str, int]:
    """Weeks in which 100 rows come on every night but the weekend."""
    found = before(night, *([0] * 7 * count))
    return {day: 0 if judge(day, 0, Expected(weekdays=("sat", "sun")), {}).broken else 100 for day in found}


@pytest.mark.parametrize(
    ("night", "rows", "expected", "words"),
    [
        (MONDAY, 0, Expected(weekdays=("mon",)), "something comes on a Monday"),
        (MONDAY, 0, Expected(least=10), "something comes on a Monday"),
        (MONDAY, 9, Expected(least=10, most=20), "at least 10"),
        (MONDAY, 21, Expected(least=10, most=20), "at most 20"),
        (SATURDAY, 21, Expected(most=20, weekdays=("mon",)), "at most 20"),
    ],
)
def test_what_the_spec_expects_and_does_not_come_is_told(night: str, rows: int, expected: Expected, words: str) -> None:
    landed = judge(night, rows, expected, {})
    assert not landed.well and words in landed.words


@pytest.mark.parametrize(
    ("night", "rows", "expected"),
    [
        (SATURDAY, 0, Expected(least=10, most=20, weekdays=("mon", "tue"))),
        (MONDAY, 10, Expected(least=10, most=20)),
        (MONDAY, 20, Expected(least=10, most=20)),
        (MONDAY, 0, Expected()),
        (MONDAY, 0, Expected(most=5)),
        (MONDAY, 0, Expected(least=0, most=5)),
    ],
)
def test_what_comes_as_expected_is_well(night: str, rows: int, expected: Expected) -> None:
    assert judge(night, rows, expected, {}).well


@pytest.mark.parametrize(
    ("rows", "well"), [(100, True), (70, True), (200, True), (25, False), (0, False), (260, False), (50, True)]
)
def test_a_night_is_compared_with_the_nights_before(rows: int, well: bool) -> None:
    landed = judge(MONDAY, rows, Expected(), before(MONDAY, *[110, 90] * 7))
    assert landed.well is well
    assert landed.as_metadata() == {
        "rows": rows, "unread_files": 0, "compared_with": 14, "usual_low": 90, "usual_median": 100.0, "usual_high": 110
    }  # fmt: skip


def test_numbers_stand_in_the_words_and_the_metadata() -> None:
    landed = judge(MONDAY, 3, Expected(), before(MONDAY, 100, 120, 90, 100, 110, 100))
    assert landed.words == "only 3 rows came, where 90 to 120 on 6 earlier nights came"
    assert landed.as_metadata() == {
        "rows": 3, "unread_files": 0, "compared_with": 6, "usual_low": 90, "usual_median": 100.0, "usual_high": 120
    }  # fmt: skip


def test_a_weekend_without_rows_is_compared_with_weekends() -> None:
    assert judge(SATURDAY, 0, Expected(), weeks(SATURDAY, 4)).well
    assert not judge(MONDAY, 0, Expected(), weeks(MONDAY, 4)).well
    assert not judge(SATURDAY, 100, Expected(), weeks(SATURDAY, 4)).well


def test_a_handful_more_or_less_is_chance() -> None:
    for rows in (1, 2, 4, 9):
        assert judge(MONDAY, rows, Expected(), before(MONDAY, 3, 4, 2, 3, 5, 4)).well
    assert "nothing came" in judge(MONDAY, 0, Expected(), before(MONDAY, 3, 4, 2, 3, 5, 4)).words


def test_too_few_nights_say_nothing_and_old_ones_do_not_count() -> None:
    assert usual(MONDAY, before(MONDAY, 100, 100, 100, 100)) is None
    long_ago = {shifted(MONDAY, -days): 100 for days in range(29, 60)}
    assert usual(MONDAY, long_ago) is None
    later = {shifted(MONDAY, days): 100 for days in range(0, 20)}
    assert usual(MONDAY, later) is None


def test_a_spec_that_bounds_the_rows_has_the_last_word() -> None:
    assert judge(MONDAY, 5, Expected(least=5, most=9), before(MONDAY, *[100] * 14)).well


def test_what_was_not_read_is_told_whatever_came() -> None:
    sure, unsure = Overlooked(MONDAY, "a.CSV is not read"), Overlooked(MONDAY, "b.csv is not read", sure=False)
    assert judge(MONDAY, 10, Expected(), {}, [sure, unsure]).unread == ("a.CSV is not read",)
    assert judge(MONDAY, 0, Expected(), {}, [sure, unsure]).unread == ("a.CSV is not read", "b.csv is not read")


def test_an_hour_is_compared_with_its_own_hour_of_other_days_by_the_local_clock() -> None:
    """A shop that is closed at night, through the October on which its clock goes back."""
    berlin = Expected(time_zone="Europe/Berlin")
    nights = list(nights_between("2025-10-10T00Z", "2025-10-31T23Z"))
    local = {night: window_of(night, "UTC").start.astimezone(ZoneInfo("Europe/Berlin")).hour for night in nights}
    rows = {night: 100 if 8 <= local[night] < 20 else 0 for night in nights}
    for night in nights[24 * 7 :]:
        assert judge(night, rows[night], berlin, rows).well, night
    opens, closed = "2025-10-31T07Z", "2025-10-31T06Z"
    assert not judge(opens, 0, berlin, rows).well
    assert not judge(closed, 100, berlin, rows).well
    assert "of the same hour of the day" in judge(opens, 0, berlin, rows).words
    # Sunday has begun in Berlin, and it is Saturday by UTC
    assert Expected(weekdays=("sun",), time_zone="Europe/Berlin").due("2025-10-25T22Z")
    assert not Expected(weekdays=("sun",)).due("2025-10-25T22Z")
