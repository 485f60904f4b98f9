"""Which row of a reference table is a case's: by key, similarity and time; and which version a night keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.schema import ARRIVALS, CONTENT, CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.lookups.matching import Reference
from pipeline_project.domain.intake.lookups.terms import (
    LOOKUP_ROWS_SCHEMA,
    MATCH_SCORE,
    LookupTerms,
    NearTerms,
)
from pipeline_project.domain.intake.lookups.versions import ReadTable, of_lookup, together, versions_of_night
from pipeline_project.domain.intake.typed_rows import LookedIn, read_rows

UNTIL = datetime(2025, 3, 6, tzinfo=UTC)
NIGHT, NEXT = "2025-03-05", "2025-03-06"
PRICE = Field("list_price", FieldType.NUMBER, "price", required=False, lookup="prices")
SCORE = Field("likeness", FieldType.NUMBER, MATCH_SCORE, required=False, lookup="prices")
SCHEMA = CaseSchema(
    (
        Field("no", FieldType.IDENTIFIER, "no", Role.ID),
        Field("at", FieldType.TIME, "at", Role.TIME, required=False),
        Field("article", FieldType.CATEGORY, "article", required=False),
        PRICE,
        SCORE,
    ),
    "Europe/Berlin",
)
TERMS = LookupTerms("prices", (("article", "article"),), (PRICE, SCORE), SCHEMA, reads="r")


def rows(*cells: dict[str, str], known: list[str | None] | None = None) -> pa.Table:
    """Rows of a reference table; each as the source wrote it, and when it became known."""
    table = pa.table(
        {
            "night": [""] * len(cells), "lookup": ["prices"] * len(cells), "content": [""] * len(cells),
            "known_at": [at and pd.Timestamp(at, tz="UTC").to_pydatetime() for at in known or [None] * len(cells)],
            "subject": pa.nulls(len(cells), pa.string()), "raw": [json.dumps(row) for row in cells],
        }
    )  # fmt: skip
    return table.cast(LOOKUP_ROWS_SCHEMA)


def moments(*times: str) -> np.ndarray:
    return pd.to_datetime(list(times), utc=True).as_unit("us").astype("int64").to_numpy()


def prices(terms: LookupTerms, table: pa.Table, asked: list[tuple[str | None, str]]) -> list[str | None]:
    keys, times = [key for key, _ in asked], moments(*(at for _, at in asked))
    return Reference(terms, table, UNTIL).match([keys], times).cells["price"]


def arrivals(*cells: dict[str, str]) -> pa.Table:
    made = [
        {"night": NIGHT, "file": "f", "file_sha256": "s", "line": n, "row_sha256": f"r{n}", "raw": json.dumps(row)}
        for n, row in enumerate(cells, start=2)
    ]
    return pa.Table.from_pylist(made, schema=ARRIVALS)


def test_the_same_key_however_it_is_written() -> None:
    table = rows({"article": "1001", "price": "5"}, {"article": "Müller  AG", "price": "6"})
    asked: list[tuple[str | None, str]] = [
        (" 1001.0 ", "2025-03-05"), ("Mu\u0308ller AG", "2025-03-05"), ("1002", "2025-03-05"), (None, "2025-03-05"),
    ]  # fmt: skip
    assert prices(TERMS, table, asked) == ["5", "6", None, None]


def test_a_price_holds_until_the_next_one_does() -> None:
    """Compared with pandas' own join as of a time, over many rows."""
    draw = np.random.default_rng(7)
    days = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(draw.permutation(60 * 24)[:200], "h")
    articles = draw.integers(0, 9, 200).astype(str)
    table = rows(*(
        {"article": article, "from": day.isoformat(), "price": str(n)}
        for n, (article, day) in enumerate(zip(articles, days, strict=True))
    ))  # fmt: skip
    asked = pd.DataFrame(
        {
            "article": draw.integers(0, 11, 300).astype(str),
            "at": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(draw.integers(0, 60 * 24 * 60, 300), "m"),
        }
    )
    reference = pd.DataFrame({"article": articles, "at": days, "price": [str(n) for n in range(200)]})
    joined = pd.merge_asof(asked.sort_values("at"), reference.sort_values("at"), on="at", by="article").sort_index()
    joined.index = asked.sort_values("at").index
    wanted = joined.sort_index()["price"].astype(object).where(lambda price: price.notna(), None).tolist()
    terms = replace(TERMS, valid_from="from")
    pairs = list(zip(asked["article"].tolist(), asked["at"].map(pd.Timestamp.isoformat).tolist(), strict=True))
    assert prices(terms, table, pairs) == wanted
    assert None in wanted


def test_a_row_counts_from_its_beginning_to_its_end() -> None:
    table = rows({"article": "a", "from": "2025-03-01", "to": "2025-03-03 12:00", "price": "5"})
    asked: list[tuple[str | None, str]] = [
        ("a", "2025-02-28 22:59Z"), ("a", "2025-02-28 23:00Z"), ("a", "2025-03-03 10:59Z"), ("a", "2025-03-03 11:00Z")
    ]  # fmt: skip
    terms = replace(TERMS, valid_from="from", valid_to="to")
    assert prices(terms, table, asked) == [None, "5", "5", None]


def test_its_last_day_counts_whole_also_where_clocks_change() -> None:
    table = rows({"article": "a", "last": "2025-03-30", "price": "5"})
    asked: list[tuple[str | None, str]] = [("a", "2025-03-30 21:59Z"), ("a", "2025-03-30 22:00Z")]
    assert prices(replace(TERMS, last_day="last"), table, asked) == ["5", None]


@pytest.mark.parametrize("end", ["9999-12-31", "9999-12-31T23:59:59Z", "31.12.9999", "2999-12-31", ""])
def test_a_far_end_is_for_good(end: str) -> None:
    terms = replace(TERMS, valid_from="from", valid_to="to", schema=replace(SCHEMA, time_formats=("%d.%m.%Y",)))
    table = rows({"article": "a", "from": "2025-03-01", "to": end, "price": "5"})
    assert prices(terms, table, [("a", "2025-03-05")]) == ["5"]


def test_nothing_is_known_early_and_a_correction_stands_for_what_it_corrects() -> None:
    cells = [{"article": "a", "from": "2025-03-01", "price": price} for price in ("5", "6", "7")]
    table = rows(*cells, known=["2025-03-01", "2025-03-05 23:59:59", "2025-03-06"])
    terms = replace(TERMS, valid_from="from", known_at="known")
    assert prices(terms, table, [("a", "2025-03-04")]) == ["6"]
    assert len(Reference(terms, table, UNTIL)) == 2


def test_a_row_of_the_future_is_not_taken() -> None:
    table = rows({"article": "a", "from": "2025-03-09", "price": "5"})
    assert prices(replace(TERMS, valid_from="from"), table, [("a", "2025-03-05")]) == [None]


def test_keys_that_stand_twice_are_no_answer_unless_they_say_the_same() -> None:
    table = rows(
        {"article": "a", "price": "5"}, {"article": "a", "price": "6"}, {"article": "b", "price": "7"},
        {"article": "b", "price": "7"},
    )  # fmt: skip
    reference = Reference(TERMS, table, UNTIL)
    matches = reference.match([["a", "b"]], moments("2025-03-05", "2025-03-05"))
    assert matches.cells["price"] == [None, "7"]
    assert (matches.unclear.tolist(), matches.there.tolist()) == ([True, False], [False, True])
    assert reference.repeated() == 1


def test_a_row_that_ends_before_it_begins_is_an_error_that_counts_and_quotes_nothing() -> None:
    table = rows({"article": "secret", "from": "2025-03-09", "to": "2025-03-01", "price": "5"})
    terms = replace(TERMS, valid_from="from", valid_to="to")
    with pytest.raises(SourceUnreadable, match="1 of 1 rows end before they begin") as raised:
        prices(terms, table, [("a", "2025-03-05")])
    assert "secret" not in str(raised.value)


def test_a_time_that_cannot_be_read_is_an_error() -> None:
    table = rows({"article": "a", "from": "soon", "price": "5"})
    with pytest.raises(SourceUnreadable, match="1 of 1 values of from cannot be read as a time"):
        prices(replace(TERMS, valid_from="from"), table, [("a", "2025-03-05")])


NEAR = replace(TERMS, near=NearTerms("article", 80, "token_sort_ratio"))


def indel(one: str, other: str) -> float:
    """Twice the longest common subsequence over both lengths, in percent; by the textbook."""
    longest = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            longest[i + 1, j + 1] = longest[i, j] + 1 if a == b else max(longest[i, j + 1], longest[i + 1, j])
    return 200 * longest[-1, -1] / (len(one) + len(other))


def test_the_likest_key_is_taken_with_its_score() -> None:
    table = rows({"article": "Acme GmbH & Co", "price": "5"}, {"article": "Acne GmbH", "price": "6"})
    matches = Reference(NEAR, table, UNTIL).match([["GmbH, ACME", "Zeta", "Acne GmbH"]], moments(*["2025-03-05"] * 3))
    assert matches.cells["price"] == ["6", None, "6"]
    wanted = indel("acme gmbh", "acne gmbh")
    assert wanted > indel("acme gmbh", "acme co gmbh") > 80
    assert matches.cells[MATCH_SCORE] == [str(round(wanted, 1)), None, "100.0"]


def test_two_keys_as_like_are_no_answer() -> None:
    table = rows({"article": "Acme X1", "price": "5"}, {"article": "Acme X2", "price": "6"})
    matches = Reference(NEAR, table, UNTIL).match([["Acme X3"]], moments("2025-03-05"))
    assert matches.unclear.tolist() == [True]
    assert matches.cells["price"] == [None]


def test_a_likest_key_that_does_not_count_any_more_stands_in_no_ones_way() -> None:
    table = rows(
        {"article": "Acme GmbH", "to": "2025-01-01", "price": "5"}, {"article": "Acme GmbHs", "price": "6", "to": ""}
    )
    assert prices(replace(NEAR, valid_to="to"), table, [("Acme GmbH", "2025-03-05")]) == ["6"]


def test_the_rest_of_a_key_has_to_be_the_same() -> None:
    terms = replace(NEAR, key=(("country", "land"), ("article", "article")))
    table = rows(
        {"article": "Acme GmbH", "land": "DE", "price": "5"}, {"article": "Acme Gmbh", "land": "AT", "price": "6"}
    )
    asked = [["AT", "DE", "CH"], ["Acme GmbH", "Acme Gmbh", "Acme GmbH"]]
    assert Reference(terms, table, UNTIL).match(asked, moments(*["2025-03-05"] * 3)).cells["price"] == ["6", "5", None]


def looked(*versions: pa.Table, terms: LookupTerms = TERMS) -> LookedIn:
    references = [Reference(terms, table, UNTIL) for table in versions]
    return LookedIn([(terms, references)], datetime(2025, 3, 5, tzinfo=UTC))


def required(terms: LookupTerms = TERMS) -> tuple[LookupTerms, CaseSchema]:
    price = replace(PRICE, required=True)
    schema = replace(SCHEMA, fields=(*SCHEMA.fields[:3], price))
    return replace(terms, fields=(price,)), schema


def test_what_is_looked_up_is_a_field_of_the_case_and_no_part_of_what_it_says() -> None:
    came = arrivals({"no": "1", "at": "2025-03-05 10:00", "article": "a"}, {"no": "2", "article": "b"})
    cheap, dear = rows({"article": "a", "price": "5"}), rows({"article": "a", "price": "50"})
    typed, other = (read_rows(came, SCHEMA, looked(table)) for table in (cheap, dear))
    assert typed.frame["list_price"].tolist()[:1] == [5.0]
    assert typed.frame["list_price"].isna().tolist() == [False, True]
    assert typed.frame["likeness"].tolist()[:1] == [100.0]
    assert typed.reasons == {}
    assert any("1 of 2 rows have no one row there" in note for note in typed.notes)
    assert typed.frame[CONTENT].tolist() == other.frame[CONTENT].tolist()


def test_a_case_without_a_time_counts_as_of_the_beginning_of_its_night() -> None:
    terms = replace(TERMS, valid_from="from")
    table = rows(
        {"article": "a", "from": "2025-03-04", "price": "5"}, {"article": "a", "from": "2025-03-05 12:00", "price": "6"}
    )
    typed = read_rows(arrivals({"no": "1", "article": "a"}), SCHEMA, looked(table, terms=terms))
    assert typed.frame["list_price"].tolist() == [5.0]


def test_who_needs_a_row_and_has_none_or_several_is_refused_with_the_reason() -> None:
    terms, schema = required()
    came = arrivals({"no": "1", "article": "a"}, {"no": "2", "article": "zzz"})
    table = rows({"article": "a", "price": "5"}, {"article": "a", "price": "6"})
    typed = read_rows(came, schema, looked(table, terms=terms))
    assert "several rows for its article" in typed.reasons[0][0][1]
    assert "no row for its article" in typed.reasons[1][0][1]
    assert "zzz" not in typed.reasons[1][0][1]


def test_a_value_that_cannot_be_read_is_a_reason_like_any_other() -> None:
    typed = read_rows(arrivals({"no": "1", "article": "a"}), SCHEMA, looked(rows({"article": "a", "price": "cheap"})))
    assert "is not a number" in typed.reasons[0][0][1]


def test_a_later_version_answers_only_what_the_first_one_left_open() -> None:
    terms, schema = required()
    first = rows({"article": "a", "price": "5"}, {"article": "b", "price": "1"}, {"article": "b", "price": "2"})
    later = rows({"article": "a", "price": "9"}, {"article": "b", "price": "2"}, {"article": "c", "price": "3"})
    came = arrivals(*({"no": name, "article": name} for name in "abc"))
    typed = read_rows(came, schema, looked(first, later, terms=terms))
    assert typed.frame["list_price"].tolist() == [5.0, 2.0, 3.0]
    assert typed.reasons == {}
    # where no row is needed, none is what was known that night
    optional = read_rows(came, SCHEMA, looked(first, later))
    assert optional.frame["list_price"].isna().tolist() == [False, False, True]


def test_one_table_may_lead_to_the_next() -> None:
    product = Field("product", FieldType.CATEGORY, "product", required=False, lookup="orders")
    price = replace(PRICE, lookup="prices")
    schema = replace(SCHEMA, fields=(*SCHEMA.fields[:3], product, price))
    orders = LookupTerms("orders", (("article", "order"),), (product,), schema)
    through = replace(TERMS, key=(("product", "article"),), fields=(price,))
    both = LookedIn(
        [
            (orders, [Reference(orders, rows({"order": "o1", "product": "a"}), UNTIL)]),
            (through, [Reference(through, rows({"article": "a", "price": "5"}), UNTIL)]),
        ],
        UNTIL,
    )
    typed = read_rows(arrivals({"no": "1", "article": "o1"}), schema, both)
    assert typed.frame["list_price"].tolist() == [5.0]


def read(*cells: dict[str, str]) -> dict[str, ReadTable]:
    return {"prices": ReadTable(rows(*cells), ("prices.csv",))}


A: dict[str, Any] = {"article": "a", "price": "5"}
B: dict[str, Any] = {"article": "b", "price": "6"}


def test_a_night_keeps_the_version_that_it_read_first_and_rows_lie_once() -> None:
    first = versions_of_night(NIGHT, [TERMS], read(A, B), None, None)
    assert len(first.rows) == 2
    # the same rows in another order, on the next night: nothing new lies there
    second = versions_of_night(NEXT, [TERMS], read(B, A), None, first.record)
    assert len(second.rows) == 0
    assert [row["kept_in"] for row in of_lookup(second.record, "prices")] == [NIGHT]
    # the first night again, over a table that has changed: its own version stays the first one
    again = versions_of_night(NIGHT, [TERMS], read(A), first.record, None)
    assert [(row["version"], row["rows"]) for row in of_lookup(again.record, "prices")] == [(0, 2), (1, 1)]
    assert len(together(first.rows, again.rows)) == 3
    once_more = versions_of_night(NIGHT, [TERMS], read(A), again.record, None)
    assert once_more.record.equals(again.record)
    assert len(once_more.rows) == 0


def test_a_table_that_is_gone_leaves_what_was_kept() -> None:
    first = versions_of_night(NIGHT, [TERMS], read(A), None, None)
    assert versions_of_night(NIGHT, [TERMS], {}, first.record, None).record.equals(first.record)


def test_what_was_kept_for_other_words_of_the_spec_is_read_anew() -> None:
    first = versions_of_night(NIGHT, [TERMS], read(A), None, None)
    other = versions_of_night(NIGHT, [replace(TERMS, reads="s")], read(B), first.record, None)
    assert [(row["version"], row["reads"]) for row in of_lookup(other.record, "prices")] == [(0, "s")]
