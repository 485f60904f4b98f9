"""The content of a case: what it says, however it is written, without its id; twins are refused, and told."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.core.schema import ARRIVALS, CASE_ID, CONTENT, NIGHT, CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.admission import Admission, admit
from pipeline_project.domain.intake.contents import _written as written
from pipeline_project.domain.intake.contents import content_fields, contents, contents_as, shape
from pipeline_project.domain.intake.known_cases import CasePlace, KnownCases, places
from pipeline_project.domain.intake.parsing import parse
from pipeline_project.domain.intake.typed_rows import read_rows
from tests.admitted import balanced

FIELDS = (
    Field("no", FieldType.IDENTIFIER, "claim no", Role.ID),
    Field("at", FieldType.TIME, "received", Role.TIME),
    Field("amount", FieldType.NUMBER, "amount", Role.AMOUNT),
    Field("order", FieldType.IDENTIFIER, "order", Role.IGNORE, required=False),
    Field("kind", FieldType.CATEGORY, "kind"),
    Field("words", FieldType.TEXT, "words", required=False),
    Field("photos", FieldType.IMAGE, "photos", required=False, many=True),
    Field("paid", FieldType.TIME, "paid", Role.IGNORE, required=False, known_later=True),
)
SCHEMA = CaseSchema(FIELDS, "Europe/Berlin", missing=frozenset({"", "-"}))
ROW = {"claim no": "C-1", "received": "2025-03-01 10:00", "amount": "12", "order": "7", "kind": "glass", "words": "a b",
       "photos": "x.jpg;y.jpg", "paid": "", "extra": "1"}  # fmt: skip
DAY = "2025-03-01"


def said(schema: CaseSchema = SCHEMA, /, **cells: str) -> str | None:
    found = contents_as([{**ROW, **cells}], schema)
    assert found is not None
    return found[0]


def test_how_it_is_written_does_not_matter() -> None:
    same = [
        {"claim no": "C-2"}, {"amount": "12.00"}, {"amount": "1.2e1"}, {"order": "7.0"}, {"kind": "glass "},
        {"received": "2025-03-01T09:00Z"}, {"words": " a  b "}, {"photos": "x.jpg; y.jpg"}, {"extra": "2"},
        {"paid": "2025-04-01"},
    ]  # fmt: skip
    for other in same:
        assert said(**other) == said(), other
    assert said(words="u\u0308") == said(words="\u00fc")
    assert said(words="-") == said(words="")


def test_what_it_says_does() -> None:
    changed = [
        {"amount": "12.01"}, {"order": "8"}, {"order": ""}, {"received": "2025-03-01 10:01"}, {"kind": "theft"},
        {"words": "ab"}, {"photos": "y.jpg;x.jpg"}, {"amount": "-12"},
    ]  # fmt: skip
    assert len({said(), *(said(**other) for other in changed)}) == len(changed) + 1


def test_an_id_made_of_columns_leaves_identifiers_out_and_keeps_the_rest() -> None:
    """So that a workflow that goes from a column to `id_from` still reads the same content."""
    hashed = CaseSchema(
        tuple(Field(f.name, f.type, f.column, Role.IGNORE) if f.role == Role.ID else f for f in FIELDS),
        "Europe/Berlin", missing=frozenset({"", "-"}), id_from=("claim no", "received"),
    )  # fmt: skip
    assert shape(hashed) == shape(SCHEMA)
    assert said(hashed) == said()


def test_names_of_fields_and_their_order_do_not_matter() -> None:
    other = CaseSchema(
        tuple(Field(f"other_{f.name}", f.type, f.column, f.role, f.required, many=f.many, known_later=f.known_later)
              for f in reversed(FIELDS)), "Europe/Berlin", missing=frozenset({"", "-"}),
    )  # fmt: skip
    assert said(other) == said()


def test_a_row_that_says_nothing_is_nobodys_twin() -> None:
    schema = CaseSchema(FIELDS[:1], "UTC")
    assert contents_as([ROW], schema) is None
    optional = CaseSchema((FIELDS[0], FIELDS[5]), "UTC")
    assert contents_as([{"claim no": "1", "words": " "}], optional) == [None]


def test_rows_are_not_read_as_a_schema_whose_columns_they_lack() -> None:
    assert contents_as([{"claim no": "1", "amount": "2"}], SCHEMA) is None


# -- admission ------------------------------------------------------------------------------------------------


def arrivals(night: str, rows: list[dict[str, Any]]) -> pa.Table:
    made = []
    for line, row in enumerate(rows, start=2):
        cells = {**ROW, **{name: value for name, value in row.items() if name != "file"}}
        raw = json.dumps(cells)
        sha = hashlib.sha256(raw.encode()).hexdigest()
        file = row.get("file", "a.csv")
        made.append({"night": night, "file": file, "file_sha256": "f", "line": line, "row_sha256": sha, "raw": raw})
    return pa.Table.from_pylist(made, schema=ARRIVALS)


def admitted(
    night: str,
    came: list[dict[str, Any]],
    history: pa.Table | None = None,
    real: bool = False,
    **standing: Any,
) -> Admission:
    """A night after the nights of a history, as the asset puts it together."""
    typed = read_rows(arrivals(night, came), SCHEMA)
    told = [[content] for content in typed.frame[CONTENT]]
    wanted = {content for row in told for content in row}
    earlier = None if history is None else history.filter(pc.less(history[NIGHT], night))
    elsewhere = places("flow", history, wanted, but=night)
    stands: dict[str, Any] = {"told": told, "elsewhere": elsewhere, "workflow": "flow", "real": real, **standing}
    return admit(typed, [], earlier, window_of(night, "Europe/Berlin"), standing=KnownCases(**stands))


def reasons(found: Admission) -> list[str]:
    return [why for row in found.quarantine["reasons"].to_pylist() for why in row]


def test_the_same_content_under_another_id_in_another_night_is_refused() -> None:
    first = admitted(DAY, [{}])
    for night in ("2025-03-02", "2025-02-28"):  # whichever of the two nights is run first
        again = admitted(night, [{"claim no": "C-9"}, {"claim no": "C-10", "amount": "13"}], first.cases)
        assert again.cases[CASE_ID].to_pylist() == ["C-10"]
        assert balanced(again)
        (why,) = reasons(again)
        assert why.startswith("case_id: 'C-1' of night 2025-03-01 says the same under another id")
        assert "twins.real" in why


def test_what_is_declared_real_is_let_through() -> None:
    first = admitted(DAY, [{}])
    again = admitted("2025-03-02", [{"claim no": "C-9"}, {"claim no": "C-10", "file": "b.csv"}], first.cases, real=True)
    assert again.cases.num_rows == 2
    assert again.alike == 1


def test_the_same_id_written_as_a_fraction_is_the_same_case() -> None:
    first = admitted(DAY, [{"claim no": "1001"}])
    again = admitted("2025-03-02", [{"claim no": "1001.0", "amount": "14"}], first.cases)
    assert "id already used in night 2025-03-01" in reasons(again)[0]


def test_two_lines_of_one_file_are_two_cases_and_counted() -> None:
    found = admitted(DAY, [{}, {"claim no": "C-2"}, {"claim no": "C-3"}])
    assert found.cases.num_rows == 3
    assert found.alike == 2


def test_another_file_of_the_night_may_not_bring_the_same_again() -> None:
    found = admitted(DAY, [{}, {"claim no": "C-2", "file": "b.csv"}, {"file": "b.csv"}])
    assert found.cases[CASE_ID].to_pylist() == ["C-1"]
    assert (found.duplicates, found.quarantine.num_rows) == (1, 1)
    assert "another file of this night says the same" in reasons(found)[0]


def test_a_decided_case_keeps_its_place_and_a_changed_id_does_not_take_it() -> None:
    first = admitted(DAY, [{}])
    content = first.cases[CONTENT][0].as_py()
    later = {content: [CasePlace("flow", "2025-03-02", "C-9")]}
    assert admitted(DAY, [{}], decided=frozenset({"C-1"}), elsewhere=later).cases.num_rows == 1
    gone = {content: CasePlace("flow", DAY, "C-1")}
    for real in (False, True):
        found = admitted(DAY, [{"claim no": "C-2"}], gone=gone, decided=frozenset({"C-1"}), real=real)
        assert found.cases.num_rows == 0
        assert "'C-1' was decided in this night and says the same" in reasons(found)[0]


def test_another_workflow_counts_whatever_the_id_and_whatever_is_real_here() -> None:
    content = admitted(DAY, [{}]).cases[CONTENT][0].as_py()
    other = {content: [CasePlace("old", DAY, "C-1")]}
    found = admitted(DAY, [{}], elsewhere=other, real=True)
    assert found.cases.num_rows == 0
    assert "of workflow old, night 2025-03-01, says the same" in reasons(found)[0]


def test_what_an_earlier_name_decided_counts_as_decided() -> None:
    row = arrivals(DAY, [{}])["row_sha256"].to_pylist()
    same = admitted(DAY, [{}, {"claim no": "C-2", "amount": "2"}], rows=frozenset(row), before={"C-1": DAY})
    assert (same.duplicates, same.cases[CASE_ID].to_pylist()) == (1, ["C-2"])
    written_otherwise = admitted(DAY, [{"amount": "12.0"}], rows=frozenset(row), before={"C-1": DAY})
    assert "id already used in night" in reasons(written_otherwise)[0]


ROWS = st.fixed_dictionaries(
    {
        "claim no": st.sampled_from(["1", "1.0", "2", "C", "D", "1E+5", "#N/A"]),
        "amount": st.sampled_from(["1", "1.0", "2"]),
        "kind": st.sampled_from(["a", "a "]),
        "file": st.sampled_from(["a.csv", "b.csv"]),
    }
)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.lists(ROWS, max_size=5), min_size=2, max_size=4), st.permutations(range(4)), st.booleans())
def test_no_two_nights_and_no_two_files_admit_the_same_content(
    nights: list[list[dict[str, str]]], order: list[int], real: bool
) -> None:
    """Whatever comes, in whatever order nights are run and run again."""
    stands: dict[str, pa.Table] = {}
    for number in [at for at in (*order, *order[:2]) if at < len(nights)]:
        night = f"2025-03-0{number + 1}"
        found = admitted(night, nights[number], pa.concat_tables(stands.values()) if stands else None, real)
        assert balanced(found)
        stands[night] = found.cases
    ids: dict[str, set[str]] = {}
    for table in stands.values():
        for content, cases in _by_content(table).items():
            # The very same id may stand in two nights when the later one was run first: it is decided once, by its id.
            assert real or not ids.get(content) or ids[content] == cases
            ids[content] = cases


def _by_content(cases: pa.Table) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for content, case in zip(cases[CONTENT].to_pylist(), cases[CASE_ID].to_pylist(), strict=True):
        found.setdefault(content, set()).add(case)
    return found


# -- whole columns at once ------------------------------------------------------------------------------------

ODD = st.one_of(
    st.sampled_from(["", " ", "a b", "a  b", " a", "a\tb", "a\x1cb", "u\u0308", "\u00fc", "7", "7.0", "-7,", "007",
                     "x\x1fy", "1e5", "a\u00a0b", "\x00", "12345678901234567890.0", "-0", "0.1", "1e300", "3"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)  # fmt: skip
TIMES = st.sampled_from(["", "2025-03-01 10:00", "1969-12-31T23:59:59.5Z", "2025-03-30 02:30", "never"])
PATHS = st.one_of(ODD, st.sampled_from(["x.jpg;y.jpg", '["p", "q;r"]', '["half \\ud800"]', ";", "a; ;b"]))
COLUMN = {"claim no": ODD, "received": TIMES, "amount": ODD, "order": ODD, "kind": ODD, "words": ODD, "photos": PATHS,
          "paid": TIMES}  # fmt: skip


@settings(max_examples=150)
@given(st.lists(st.fixed_dictionaries({}, optional=COLUMN), min_size=1, max_size=12), st.sampled_from([1, 2, 32]))
def test_contents_are_those_of_each_row_by_itself(rows: list[dict[str, str]], few: int) -> None:
    columns = {field.name: parse([row.get(field.column) for row in rows], field, SCHEMA).values for field in FIELDS}
    fields = content_fields(SCHEMA)
    texts = [[None if text is None else f"{field.column}={text}" for text in written(columns[field.name], field)]
             for field in fields]  # fmt: skip
    expected = ["\x1f".join(text for text in row if text is not None) for row in zip(*texts, strict=True)]
    hashes = [
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32] if text else None for text in expected
    ]
    with mock.patch("pipeline_project.domain.intake.contents._FEW", few):
        assert contents(columns, SCHEMA, len(rows)) == hashes


def test_two_fields_of_one_column_both_count() -> None:
    twice = CaseSchema((FIELDS[0], FIELDS[5], Field("again", FieldType.CATEGORY, "words")), "UTC")
    rows = [{"claim no": str(number), "words": f"a  {number}"} for number in range(40)]
    expected = [hashlib.sha256(f"words=a {n}\x1fwords=a {n}".encode()).hexdigest()[:32] for n in range(40)]
    assert contents_as(rows, twice) == expected
