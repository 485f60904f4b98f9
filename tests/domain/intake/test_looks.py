"""A file that is something else is told for what it looks like."""

from __future__ import annotations

import gzip

import pytest

from pipeline_project.domain.intake.file_hints import DeclaredColumns, format_of, looks_like

PAGE = b"<!DOCTYPE html><html><body>Session expired, please log in</body></html>"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (PAGE, "HTML page"),
        (b"\xef\xbb\xbf\n\n  " + PAGE, "HTML page"),
        (PAGE.decode().encode("utf-16"), "HTML page"),
        (PAGE.decode().encode("utf-16-be"), "HTML page"),
        (b"<HTML>\n<HEAD><TITLE>Login</TITLE>", "HTML page"),
        (b"<!-- proxy --><meta http-equiv=refresh>", "HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "XML"),
        (b'{"error": "token expired"}', "JSON message"),
        (b'{"message":"Not Found"}', "JSON message"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00[Content_Types].xml", "Excel"),
        (b"PK\x03\x04\x14\x00\x00\x00claims.csv", "zip archive; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (gzip.compress(b"a,b\n", mtime=0), "gzip"),
        (b"PAR1\x15\x04", "Parquet"),
    ],
)
def test_what_it_is_is_told(head: bytes, words: str) -> None:
    assert words in looks_like(head)


@pytest.mark.parametrize(
    "head", [b"", b"id,price\n1,2\n", "größe;preis\n".encode("latin-1"), "id,price\n".encode("utf-16"), b"a<b,c\n1,2\n",
             b'{"id": 1, "error": null}\n', b"\x00\x01\x02"]
)  # fmt: skip
def test_a_table_looks_like_nothing_else(head: bytes) -> None:
    assert looks_like(head) == ""


def test_a_parquet_file_is_what_it_should_be() -> None:
    assert looks_like(b"PAR1\x15\x04", "parquet") == ""
    assert "HTML" in looks_like(PAGE, "parquet")


CASES = DeclaredColumns({"claim_no": "fields.claim_no.column", "amount": "fields.amount.column"}, {"verdict"})
OUTCOMES = DeclaredColumns({"case": "outcome.case_column", "told": "outcome.label_column"}, strict=True)


def test_a_file_without_rows_needs_its_columns() -> None:
    assert CASES.problem(PAGE.decode().split(","), rows=False) == (
        "no column is called 'claim_no'; correct the file, or `fields.claim_no.column` in the spec"
    )
    assert "'amount'" in str(CASES.problem(["claim_no"], rows=False))
    assert CASES.problem(["claim_no", "amount"], rows=False) is None
    assert CASES.problem([], rows=False) is None


def test_rows_are_judged_one_by_one_unless_the_file_is_something_else() -> None:
    assert CASES.problem(["claim_no"], rows=True) is None
    assert CASES.problem(["x"], rows=True) is None
    assert CASES.problem(["x"], rows=True, another=True) is not None
    assert CASES.problem(["verdict"], rows=True, another=True) is None


def test_outcomes_without_one_of_their_columns_are_no_outcomes() -> None:
    assert "told" in str(OUTCOMES.problem(["case"], rows=True))
    assert OUTCOMES.problem(["case", "told", "more"], rows=True) is None


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (b"PAR1\x15\x04", "parquet"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00[Content_Types].xml", "excel"),
        (b"PK\x03\x04\x14\x00mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "excel"),
        (b"PK\x03\x04\x14\x00\x00\x00claims.csv", None),
        (b"a,b\n1,2\n", None),
        (b"", None),
    ],
)
def test_the_format_that_a_mark_tells(head: bytes, form: str | None) -> None:
    assert format_of(head) == form
