"""Files that nearly have the declared name are told; those that belong to something else are not."""

from __future__ import annotations

import re

import pytest

from pipeline_project.domain.intake.near_misses import near_misses

NIGHT = "2025-01-02"


def known(pattern: str, name: str) -> bool:
    signs = {"*": "[^/]*", "?": "[^/]"}
    pieces = ["".join(signs.get(sign, re.escape(sign)) for sign in piece) for piece in pattern.split("{night}")]
    return re.fullmatch(r"\d{4}-\d\d-\d\d".join(pieces), name) is not None and not name.split("/")[-1].startswith(".")


def told(pattern: str, *names: str) -> list[tuple[str | None, str, bool]]:
    found = near_misses(names, pattern, lambda name: known(pattern, name))
    return [(miss.night, miss.hint, miss.sure) for miss in found]


@pytest.mark.parametrize(
    ("pattern", "name", "hint"),
    [
        ("{night}*.csv", "2025-01-02.CSV", "capital and small"),
        ("claims_{night}.csv", "Claims_2025-01-02.csv", "capital and small"),
        ("in/claims_{night}.csv", "IN/claims_2025-01-02.csv", "capital and small"),
        ("claims_{night}.csv", "claims_20250102.csv", "writes the night as 20250102"),
        ("claims_{night}.csv", "claims_2025_01_02.csv", "writes the night as 2025_01_02"),
        ("claims_{night}.csv", "claims_2025-1-2.csv", "writes the night as 2025-1-2"),
        ("claims_{night}.csv", "claims_02.01.2025.csv", "writes the night as 02.01.2025"),
        ("claims_{night}.csv", "claims_250102.csv", "writes the night as 250102"),
        ("claims_{night}.csv", "claims_02-Jan-2025.csv", "writes the night as 02-Jan-2025"),
        ("{night}/claims.csv", "2025/01/02/claims.csv", "writes the night as 2025/01/02"),
        ("{night}/claims.csv", "20250102/claims.csv", "writes the night as 20250102"),
        ("claims_{night:%Y%m%d}.csv", "Claims_20250102.csv", "capital and small"),
        ("claims_{night}.csv", "claims_2025-01-02 (1).csv", "second copy"),
        ("claims_{night}.csv", "claims_2025-01-02[1].csv", "second copy"),
        ("claims_{night}.csv", "claims_2025-01-02 - Copy.csv", "second copy"),
        ("claims_{night}.csv", "claims_2025-01-02.csv ", "blanks"),
        ("{night}*.csv", "sub/2025-01-02.csv", "a folder deeper"),
        ("{night}/claims.csv", "2025-01-02/sub/claims.csv", "a folder deeper"),
        ("in/claims_{night}.csv", "claims_2025-01-02.csv", "a folder higher"),
        ("claims_{night}.csv", "claims_2025-01-02.xlsx", "ends in .xlsx"),
        ("claims_{night}.csv", "claims_2025-01-02.csv.txt", "ends in .txt"),
        ("claims_{night}.csv", "claims_2025-01-02", "does not end in .csv"),
        ("claims_{night}.csv", "claims_2025-01-02.csv.gz", "packed"),
        ("claims_{night}.csv", "claims_2025-01-02.csv.part", "still being written"),
        ("claims_{night}.csv", ".claims_2025-01-02.csv", "hidden"),
        ("claims_{night}.csv", "claim_2025-01-02.csv", "called otherwise"),
        ("caf\u00e9_{night}.csv", "cafe\u0301_2025-01-02.csv", "Unicode"),
        ("claims_{night}.csv", "Claims_20250102.CSV.tmp", "still being written and capital"),
    ],
)
def test_what_is_different_is_told(pattern: str, name: str, hint: str) -> None:
    assert any(night == NIGHT and hint in words and sure for night, words, sure in told(pattern, name)), told(
        pattern, name
    )


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{night}*.csv", "2025-01-02_late.csv"),
        ("{night}/*.csv", "photos/2025-01-02/a.jpg"),
        ("{night}/claims.csv", "2025-01-02/photos/a.jpg"),
        ("claims_{night}.csv", "readme.txt"),
        ("claims_{night}.csv", "claims_20251402.csv"),
        ("claims_{night}.csv", "invoice_4711.pdf"),
    ],
)
def test_other_files_are_left_alone(pattern: str, name: str) -> None:
    assert told(pattern, name) == []


def test_a_day_that_can_be_read_twice_is_told_for_both() -> None:
    nights = {night for night, _, _ in told("claims_{night}.csv", "claims_02-01-2025.csv")}
    assert nights == {"2025-01-02", "2025-02-01"}


def test_a_file_of_another_name_counts_only_where_nothing_else_came() -> None:
    assert told("claims_{night}.csv", "orders_2025-01-02.csv") == [(NIGHT, "it is called otherwise", False)]


def test_a_file_that_names_no_night_is_told() -> None:
    assert told("{night}/claims.csv", "claims.csv") == [(None, "nothing in its path says a night", True)]


def test_the_sentence_says_what_to_do() -> None:
    (miss,) = near_misses(["2025-01-02.CSV"], "{night}.csv", lambda name: False)
    assert miss.sentence("{night}.csv") == (
        "2025-01-02.CSV is not read: capital and small letters differ, and the pattern is {night}.csv; rename it, or "
        "correct the pattern"
    )
