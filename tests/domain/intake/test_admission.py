"""No row vanishes: admitted, refused with reasons or an exact duplicate, and never two at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.core.schema import ARRIVALS, QUARANTINE, CaseSchema, Field, FieldType, Role, cases_schema
from pipeline_project.domain.intake.accounting import balance
from pipeline_project.domain.intake.admission import (
    REPAIR_PREFIX,
    Admission,
    admit,
    open_share,
    read_rows,
    reason_counts,
)
from pipeline_project.domain.intake.expectation import Expectation
from tests.admitted import balanced

NIGHT = "2025-03-01"
SCHEMA = CaseSchema(
    fields=(
        Field("claim", FieldType.IDENTIFIER, "claim", Role.ID),
        Field("at", FieldType.TIME, "at", Role.TIME),
        Field("price", FieldType.NUMBER, "Price", Role.AMOUNT),
        Field("note", FieldType.TEXT, "note", required=False, pii=True),
        Field("photos", FieldType.IMAGE, "photos", required=False, many=True),
    ),
    time_zone="Europe/Berlin",
)


def cell(claim: str, price: str = "1", at: str = "2025-03-01T10:00", **more: str) -> dict[str, str]:
    return {"claim": claim, "at": at, "Price": price, "note": "torn", "photos": "a.jpg", **more}


def arrivals(
    rows: Sequence[dict[str, str]], file: str = "a.csv", problems: Sequence[str | None] | None = None
) -> pa.Table:
    raws = [json.dumps(row) for row in rows]
    return pa.table(
        [
            [NIGHT] * len(rows),
            [file] * len(rows),
            ["f"] * len(rows),
            range(2, len(rows) + 2),
            [hashlib.sha256(raw.encode()).hexdigest() for raw in raws],
            raws,
            problems or [None] * len(rows),
        ],
        schema=ARRIVALS,
    )


def admitted(
    table: pa.Table, verdicts: Sequence[Expectation] = (), earlier: pa.Table | None = None, limit: float | None = None
) -> Admission:
    result = admit(read_rows(table, SCHEMA), verdicts, earlier, window_of(NIGHT, "Europe/Berlin"), limit)
    assert balanced(result)
    came, kept, refused = (t["row_sha256"].to_pylist() for t in (table, result.cases, result.quarantine))
    assert balance(came, kept, refused, earlier["row_sha256"].to_pylist() if earlier else ()).holds
    return result


def reasons(result: Admission) -> list[list[str]]:
    return result.quarantine["reasons"].to_pylist()


def test_a_good_row_becomes_a_typed_case() -> None:
    result = admitted(arrivals([cell("C1", "2.5", extra="x")]))
    assert result.cases.schema == cases_schema(SCHEMA)
    (case,) = result.cases.to_pylist()
    assert case["case_id"] == "C1"
    assert case["price"] == 2.5
    assert case["at"].isoformat() == "2025-03-01T09:00:00+00:00"
    assert case["photos"] == ["a.jpg"]
    assert case["night"] == NIGHT
    assert result.quarantine.schema == QUARANTINE


def test_no_arrivals_are_no_cases_and_no_failure() -> None:
    result = admitted(ARRIVALS.empty_table(), limit=0.0)
    assert (result.arrivals, result.cases.num_rows, result.quarantine.num_rows, result.systemic) == (0, 0, 0, ())
    assert result.cases.schema == cases_schema(SCHEMA)


def test_what_cannot_be_read_is_refused_with_every_reason_and_its_raw_row() -> None:
    result = admitted(arrivals([cell("C1", "abc", at="2025-02-30"), cell("C2")]))
    assert result.cases["case_id"].to_pylist() == ["C2"]
    assert reasons(result) == [
        ["at: '2025-02-30' is not a time (ISO 8601)", "price: 'abc' is not a number (decimal mark `.`)"]
    ]
    assert json.loads(result.quarantine["raw"][0].as_py())["Price"] == "abc"
    assert result.reasons == {"at: is not a time (ISO 8601)": 1, "price: is not a number (decimal mark `.`)": 1}


def test_a_line_that_could_not_be_split_has_that_reason_only() -> None:
    table = arrivals([{"claim": "C1", "at": "torn"}, cell("C2")], problems=["has 2 cells", None])
    verdict = Expectation("rows_whole", None, "is whole", False, 2, failed=(0,))
    assert reasons(admitted(table, [verdict])) == [["has 2 cells"]]


def test_a_rule_names_its_rows_once_and_not_where_reading_failed_already() -> None:
    broken = Expectation("price_has_value", "price", "has a value", False, 3, failed=(0, 1))
    result = admitted(arrivals([cell("C1", "abc"), cell("C2", ""), cell("C3")]), [broken])
    assert reasons(result) == [
        ["price: 'abc' is not a number (decimal mark `.`)"], ["price: broke the rule `has a value`"]
    ]  # fmt: skip


def test_same_content_is_a_duplicate_and_other_content_is_refused() -> None:
    result = admitted(arrivals([cell("C1"), cell("C1"), cell("C1", "2"), cell("C1", "2")]))
    assert result.cases["price"].to_pylist() == [1.0]
    assert reasons(result) == [["id already used in this night with other content, on line 2"]]
    assert result.duplicates == 2


def test_ids_of_earlier_nights() -> None:
    known = arrivals([cell("C1"), cell("C2")])["row_sha256"].to_pylist()
    earlier = pa.table({"case_id": ["C1", "C2"], "row_sha256": known, "night": ["2025-02-27", "2025-02-28"]})
    result = admitted(arrivals([cell("C1"), cell("C2", "9"), cell("C3")]), earlier=earlier)
    assert result.duplicates == 1
    assert reasons(result) == [["id already used in night 2025-02-28 with other content"]]
    assert result.cases["case_id"].to_pylist() == ["C3"]


def test_a_refused_row_never_blocks_its_repair() -> None:
    night, repair = arrivals([cell("C1", "abc")]), arrivals([cell("C1", "5")], REPAIR_PREFIX + "x.csv")
    for table in (pa.concat_tables([night, repair]), pa.concat_tables([repair, night])):
        result = admitted(table, limit=0.1)
        assert result.cases["price"].to_pylist() == [5.0]
        assert result.quarantine.num_rows == 1
        assert result.repaired == 1
        # The night is repaired: what was refused stays on record and blocks nothing.
        assert result.systemic == ()
    assert "quarantine_limit is 10%" in admitted(night, limit=0.1).systemic[0]


def test_the_source_comes_before_its_repairs() -> None:
    night, repair = arrivals([cell("C1", "4")], "z.csv"), arrivals([cell("C1", "5")], REPAIR_PREFIX + "a.csv")
    result = admitted(pa.concat_tables([repair, night]))
    assert result.cases["price"].to_pylist() == [4.0]


def test_late_cases_are_counted_and_future_ones_refused() -> None:
    times = ["2025-02-20", "2025-03-01T23:59", "2025-03-03T23:59", "2025-03-04T00:01"]
    result = admitted(arrivals([cell(f"C{n}", at=at) for n, at in enumerate(times)]))
    assert result.cases["case_id"].to_pylist() == ["C0", "C1", "C2"]
    assert result.outside_night == 2
    assert reasons(result) == [["at: lies more than 2 days after its night"]]


def test_a_column_missing_everywhere_is_left_to_the_contract_with_advice() -> None:
    typed = read_rows(arrivals([{"claim": "C1", "at": "2025-03-01", "price": "1"}]), SCHEMA)
    assert "price" not in typed.frame
    missing = typed.missing
    assert missing["price"] == "price: no column is called 'Price', but one is called 'price'; set `column` in the spec"
    assert set(missing) == {"price", "note", "photos"}
    systemic = Expectation("columns_present", None, "is there", False, 1, systemic=True, detail=missing["price"])
    result = admitted(typed.arrivals, [systemic])
    assert result.systemic == (missing["price"],)
    assert reasons(result) == [["price: its file has no such column"]]


def test_a_wrong_delimiter_is_told_and_a_file_without_header_is_not_quoted() -> None:
    typed = read_rows(arrivals([{"claim;at;Price": "C1;2025;1"}]), SCHEMA)
    assert "is `delimiter: ';'` right?" in typed.missing["price"]
    typed = read_rows(arrivals([{"anna@example.org": "x", "7.5": "y"}]), SCHEMA)
    assert "anna" not in str(typed.missing)


def test_a_column_missing_in_one_file_only_refuses_the_rows_of_that_file() -> None:
    short = {name: value for name, value in cell("C2").items() if name != "Price"}
    result = admitted(arrivals([cell("C1"), short]))
    assert result.cases["case_id"].to_pylist() == ["C1"]
    assert reasons(result) == [["price: its file has no such column"]]


def test_open_share() -> None:
    assert open_share(refused=5, repaired=0, arrivals=10) == 0.5
    assert open_share(refused=5, repaired=5, arrivals=15) == 0.0
    assert open_share(refused=5, repaired=2, arrivals=12) == 0.3
    assert open_share(refused=0, repaired=0, arrivals=0) == 0.0


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["C1", "C2", "C3", "", "../C4"]),
        st.sampled_from(["1", "2", "x", ""]),
        st.sampled_from(["a.csv", "b.csv", REPAIR_PREFIX + "r.csv"]),
        st.sampled_from([None, "has 3 cells"]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, before=ROWS)
def test_nothing_vanishes_whatever_arrives(rows: list, before: list) -> None:
    def table(given: list) -> pa.Table:
        parts = [
            arrivals([cell(claim, price, hurt=problem or "")], file, [problem]) for claim, price, file, problem in given
        ]
        return pa.concat_tables(parts) if parts else ARRIVALS.empty_table()

    first = admitted(table(before))
    earlier = first.cases.select(["case_id", "row_sha256"]).append_column(
        "night", pa.array(["2025-02-28"] * first.cases.num_rows, pa.string())
    )
    result = admitted(table(rows), earlier=earlier)
    ids = result.cases["case_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert not set(ids) & set(earlier["case_id"].to_pylist())
    assert all(reasons(result))
    again = admitted(table(rows), earlier=earlier)
    assert again.cases.equals(result.cases)
    assert again.quarantine.equals(result.quarantine)


def test_the_commonest_reasons_are_counted_without_the_values_and_keep_the_cure_whole() -> None:
    cure = "is not a number (decimal mark `,`; where such is a number, set `thousands: ' '` in the spec)"
    values = ["1.234,50", "it's 5'", "both ' and \"", "a\nb"]
    told = reason_counts([[f"amount: {value!r} {cure}"] for value in values] + [["in quotes, on line 7"]])
    assert told == {f"amount: {cure}": 4, "in quotes": 1}
