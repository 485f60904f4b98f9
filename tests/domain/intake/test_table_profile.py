"""What is guessed of a table that nobody described: types, marks, times, and what each column may be for."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline_project.domain.core.schema import FieldType
from pipeline_project.domain.intake.table_profile import (
    TableProfile,
    cut_at,
    field_names,
    label_names,
    profile_table,
)

ROWS = 40


def table(**columns: list[str]) -> dict[str, list[str]]:
    """Columns of ROWS cells, each repeated as often as it takes."""
    return {name: [cells[row % len(cells)] for row in range(ROWS)] for name, cells in columns.items()}


def types(profile: TableProfile) -> dict[str, FieldType]:
    return {column.column: column.type for column in profile.columns}


def test_each_column_is_what_all_of_its_values_can_be_read_as() -> None:
    words = [f"the parcel number {row} came two weeks late and open" for row in range(ROWS)]
    profile = profile_table(
        {
            "claim_no": [f"C-{row}" for row in range(ROWS)],
            "note": words,
            **table(
                paid=["12.50", "7", "-3"],
                came=["2025-03-01", "2025-03-02 10:00"],
                kind=["glass", "theft"],
                photo=["a.jpg", "b.png;c.jpg"],
                nearly=["1", "2", "three"],
            ),
        }
    )
    assert types(profile) == {
        "claim_no": FieldType.IDENTIFIER,
        "note": FieldType.TEXT,
        "paid": FieldType.NUMBER,
        "came": FieldType.TIME,
        "kind": FieldType.CATEGORY,
        "photo": FieldType.IMAGE,
        "nearly": FieldType.CATEGORY,
    }
    assert (profile.rows, profile.missing, profile.decimal, profile.thousands) == (ROWS, (), ".", ())


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands"),
    [
        (["1.5", "2"], ".", ()),
        (["1,5", "2"], ",", ()),
        (["1.234,50", "2,00"], ",", (".",)),
        (["1,234.50", "2.00"], ".", (",",)),
        (["1,234", "5,678,901"], ".", (",",)),
        (["1 234,5", "2,5"], ",", (" ",)),
        (["1'234.5", "2.5"], ".", ("'",)),
    ],
)
def test_how_numbers_are_written(cells: list[str], decimal: str, thousands: tuple[str, ...]) -> None:
    profile = profile_table(table(amount=cells, kind=["a", "b"]))
    assert (profile.decimal, profile.thousands) == (decimal, thousands)
    assert types(profile)["amount"] is FieldType.NUMBER


@pytest.mark.parametrize(
    ("cells", "pattern", "other"),
    [
        (["2025-03-01T10:00:00Z"], None, None),
        (["31.12.2024", "1.1.2025"], "%d.%m.%Y", None),
        (["31/12/2024", "01/02/2025"], "%d/%m/%Y", None),
        (["12/31/2024", "01/02/2025"], "%m/%d/%Y", None),
        (["01/02/2025", "03/04/2025"], "%d/%m/%Y", "%m/%d/%Y"),
        (["20250301", "20250302"], "%Y%m%d", None),
        (["1740787200", "1740787261"], "epoch_s", None),
    ],
)
def test_how_times_are_written(cells: list[str], pattern: str | None, other: str | None) -> None:
    profile = profile_table(table(received_date=cells))
    column = profile.of("received_date")
    assert (column.type, column.time_format, column.other_format) == (FieldType.TIME, pattern, other)
    assert profile.times == ("received_date",)


def test_numbers_that_could_be_times_are_numbers_where_the_name_says_nothing_of_time() -> None:
    assert types(profile_table(table(score=["1740787200", "20250301"])))["score"] is FieldType.NUMBER


def test_what_stands_for_no_value_is_told_from_an_answer() -> None:
    profile = profile_table(table(born=["1990-01-02", "?"], price=["1.5", "NA"], reply=["none", "yes"]))
    assert profile.missing == ("?", "NA")
    assert types(profile) == {"born": FieldType.TIME, "price": FieldType.NUMBER, "reply": FieldType.CATEGORY}
    assert [column.empty for column in profile.columns] == [ROWS // 2, ROWS // 2, 0]


def test_what_columns_may_be_for() -> None:
    profile = profile_table(
        {
            "row": [str(number) for number in range(ROWS)],
            "orderID": [f"o{number}" for number in range(ROWS)],
            **table(
                born=["1980-05-06", "1990-05-06"],
                ordered=["2025-01-01", "2025-01-02"],
                price=["3", "4", "5", "6"],
                category=["a", "b", "c", "d"],
                returned=["0", "1"],
            ),
        }
    )
    assert profile.ids[0] == "orderID"
    assert profile.times == ("ordered", "born")
    assert profile.truths == ("returned", "category")
    assert profile.amounts == ("price",)
    assert [column.column for column in profile.columns if column.personal] == ["born"]


def test_names_are_those_of_a_spec_and_come_once() -> None:
    assert field_names(["Order ID", "order_id", "Größe", "2nd", "  ", "FraudFound_P"]) == {
        "Order ID": "order_id",
        "order_id": "order_id_2",
        "Größe": "gr_e",
        "2nd": "column_2nd",
        "  ": "column_5",
        "FraudFound_P": "fraud_found_p",
    }


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["1", "0"], {"0": "not_returned", "1": "returned"}),
        (["True", "False"], {"False": "not_returned", "True": "returned"}),
        (["N", "Y"], {"N": "not_returned", "Y": "returned"}),
        (["UP", "DOWN"], {"DOWN": "down", "UP": "up"}),
        (["1", "2", "3"], {"1": "label_1", "2": "label_2", "3": "label_3"}),
    ],
)
def test_labels_are_made_of_values(values: list[str], labels: dict[str, str]) -> None:
    assert label_names("Returned", values) == labels


def test_the_cut_leaves_that_share_before_it() -> None:
    days = pd.Series(pd.date_range("2025-01-01", periods=9))
    assert cut_at(days, 2 / 3) == pd.Timestamp("2025-01-07")
    assert cut_at(days.iloc[:1], 2 / 3) == pd.Timestamp("2025-01-01")


@pytest.mark.parametrize(
    ("column", "personal"),
    [("age.in.years", True), ("status_and_sex", True), ("CustomerMail", True), ("package", False), ("average", False)],
)
def test_names_that_sound_as_if_they_were_about_a_person(column: str, personal: bool) -> None:
    assert profile_table(table(**{column: ["1", "2"]})).of(column).personal is personal
