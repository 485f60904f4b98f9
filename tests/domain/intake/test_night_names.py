"""Nights in the names of files, as ISO 8601 and as exports write them."""

from __future__ import annotations

import pytest

from pipeline_project.domain.core.nights import Cadence
from pipeline_project.domain.intake.night_names import night_glob, night_in, pattern_misfit, pattern_problem

DAY = Cadence.DAY


@pytest.mark.parametrize(
    ("pattern", "name", "every"),
    [
        ("{night}/*.csv", "2025-01-02/*.csv", "????-??-??/*.csv"),
        ("claims_{night:%Y%m%d}.csv", "claims_20250102.csv", "claims_????????.csv"),
        ("{night:%Y}/{night:%m}/{night:%d}/c.csv", "2025/01/02/c.csv", "????/??/??/c.csv"),
        ("{night:%Y/%j}.csv", "2025/002.csv", "????/???.csv"),
        ("c-{night:%d.%m.%y}.csv", "c-02.01.25.csv", "c-??.??.??.csv"),
        ("{night}/c [1].csv", "2025-01-02/c [[]1].csv", "????-??-??/c [[]1].csv"),
    ],
)
def test_a_night_and_its_files(pattern: str, name: str, every: str) -> None:
    assert pattern_problem(pattern) is None
    assert night_glob(pattern, DAY, "2025-01-02") == name
    assert night_glob(pattern, DAY) == every
    file = name.replace("*", "any").replace("[[]", "[")
    assert night_in(file, pattern, DAY) == "2025-01-02"


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("claims_20250231.csv", "claims_{night:%Y%m%d}.csv"), ("claims_2025010.csv", "claims_{night:%Y%m%d}.csv"),
     ("2025-01-02/2025-01-03.csv", "{night}/{night}.csv"), ("2025/400.csv", "{night:%Y/%j}.csv"),
     ("2025/366.csv", "{night:%Y/%j}.csv"), ("24-2025-01-02.csv", "{night:%y}-{night}.csv"),
     ("0000-01-01.csv", "{night}.csv"), ("sub/2025-01-02.csv", "*{night}.csv")],
)  # fmt: skip
def test_names_that_say_no_night(name: str, pattern: str) -> None:
    assert night_in(name, pattern, DAY) is None


@pytest.mark.parametrize(
    "pattern",
    ["claims.csv", "{night:}.csv", "{night:%Y%m}.csv", "{night:%d%m}.csv", "{night:%b %d %Y}.csv", "{night:%Y%m%d*}",
     "{night:%}", "{nights}", "{night}{other}", "{night:%H%Y%m%d}"],
)  # fmt: skip
def test_patterns_that_say_no_day(pattern: str) -> None:
    assert pattern_problem(pattern) or pattern_misfit(pattern, DAY)
