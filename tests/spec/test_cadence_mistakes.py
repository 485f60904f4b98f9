"""What a spec may say of hours and weeks, and what it is told where that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.domain.core.nights import Cadence
from pipeline_project.spec import check_file, load_spec
from tests.spec.test_mistakes import GOOD, write

FILES = "source: {kind: files, folder: in, pattern: PATTERN}\nfields:"
NIGHTS = "  first: 2025-01-06\n  decide_from: 2025-02-03\n"


def text(every: str, nights: str = NIGHTS, pattern: str = "", expect: str = "") -> str:
    found = GOOD.replace("  first: 2025-01-01\n  decide_from: 2025-02-01\n", f"  every: {every}\n{nights}")
    if pattern:
        begin, end = found.index("source:"), found.index("fields:")
        found = found[:begin] + FILES.replace("PATTERN", f'"{pattern}"') + found[end + len("fields:") :]
    return found.replace("source:\n", f"source:\n  expect: {{{expect}}}\n") if expect else found


@pytest.mark.parametrize(
    ("every", "first", "schedule"),
    [
        ("hour", "2025-01-05T23Z", "10 * * * *"),
        ("day", "2025-01-06", "30 2 * * *"),
        ("week", "2025-W02-1", "30 2 * * mon"),
    ],
)
def test_each_cadence_has_its_first_night_and_its_schedule(
    tmp_path: Path, every: str, first: str, schedule: str
) -> None:
    spec = load_spec(write(tmp_path, text(every)))
    assert (spec.nights.every, spec.nights.first_night, spec.nights.schedule) == (Cadence(every), first, schedule)
    assert spec.retrain_rule.decide_from == spec.nights.first_decided


def test_a_daily_spec_has_the_hash_it_had_before_there_were_cadences(tmp_path: Path) -> None:
    said, silent = (
        load_spec(write(tmp_path, content)) for content in (text("day"), text("day").replace("  every: day\n", ""))
    )
    assert said.spec_hash == silent.spec_hash
    assert "every" not in silent.model_dump(mode="json")["nights"]
    assert load_spec(write(tmp_path, text("week"))).spec_hash != said.spec_hash


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        (text("month"), "nights.every", "one of hour, day, week"),
        (text("week", "  first: 2025-01-08\n  decide_from: 2025-02-03\n"), "nights.first", "2025-01-06 or 2025-01-13"),
        (text("week", NIGHTS + "  last: 2025-03-01\n"), "nights.last", "2025-02-24 or 2025-03-03"),
        (text("hour", NIGHTS + "  schedule: 30 2 * * *\n"), "nights.schedule", "10 * * * *"),
        (text("hour", NIGHTS + "  schedule: 0,30 * * * *\n"), "nights.schedule", "once in every hour"),
        (text("week", NIGHTS + "  schedule: 30 2 * * *\n"), "nights.schedule", "30 2 * * mon"),
        (text("week", NIGHTS + "  schedule: 30 2 1 * mon\n"), "nights.schedule", "one day of every week"),
        (text("hour", pattern="{night:%Y%m%d}.csv"), "source.pattern", "the hour too, in UTC"),
        (text("day", pattern="{night:%Y%m%d%H}.csv"), "source.pattern", "%H says nothing"),
        (text("week", pattern="{night:%Y-%V}.csv"), "source.pattern", "the year and the week"),
        (text("week", expect="weekdays: [mon]"), "source.expect.weekdays", "nights are weeks"),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_cadence_is_told_with_what_does(
    tmp_path: Path, content: str, where: str, words: str
) -> None:
    (mistake,) = check_file(write(tmp_path, content))
    assert mistake.where == where
    assert words in mistake.sentence
