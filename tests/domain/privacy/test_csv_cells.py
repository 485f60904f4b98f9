from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.privacy.csv_cells import as_written, harmless, harmless_row


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+SUM(A1)",
        "-2+3",
        "@import",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        '=HYPERLINK("x")',
        "|cmd",
        "＝1",
        "+49 30 1",
    ],
)
def test_a_formula_becomes_a_text(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "-12.5", "+3", "1,000.50", "-1e-3", "12 %", "lamp", "a=b", "2025-03-01", "'tis"])
def test_what_is_no_formula_stays(cell: str) -> None:
    assert harmless(cell) == cell


def test_of_a_row_the_names_as_well() -> None:
    assert harmless_row({"=a": "=b", "c": 3, "d": None}) == {"'=a": "'=b", "c": 3, "d": None}


@given(st.text())
def test_a_file_that_comes_back_holds_the_same(cell: str) -> None:
    assert as_written(harmless(cell)) == cell
    assert as_written(harmless(f"'={cell}")) == f"'={cell}"
