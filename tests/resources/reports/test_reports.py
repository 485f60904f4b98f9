"""Pages of nights in a folder: replaced whole, with an index over all of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipeline_project.domain.reporting.index import IndexRow
from resources.files import files_at
from resources.reports.pages import ReportFolder
from tests.doubles import NEXT, NIGHT, claims
from tests.s3_server import S3Server

TERMS = claims().report_terms


def row(night: str, **changes: Any) -> IndexRow:
    base = IndexRow(
        night=night,
        state="decided",
        href=f"claims/{night}.html",
        arrivals=10,
        admitted=9,
        refused=1,
        repeats=0,
        by_policy=7,
        to_people=2,
        policy_cost=None,
        constant_cost=None,
        alerts=0,
    )
    return dataclasses.replace(base, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> ReportFolder:
    return ReportFolder(str(tmp_path / "reports"), "http://host:3002")


def test_a_page_has_an_address_and_a_line_in_the_index(folder: ReportFolder, tmp_path: Path) -> None:
    address = folder.write(TERMS, NIGHT, "<p>one</p>", row(NIGHT))
    assert address == f"http://host:3002/claims/{NIGHT}.html"
    assert (tmp_path / f"reports/claims/{NIGHT}.html").read_text(encoding="utf-8") == "<p>one</p>"
    index = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    assert f"claims/{NIGHT}.html" in index
    assert "Claims" in index


def test_a_page_written_again_is_one_line(folder: ReportFolder, tmp_path: Path) -> None:
    folder.write(TERMS, NIGHT, "old", row(NIGHT))
    folder.write(TERMS, NEXT, "next", row(NEXT))
    folder.write(TERMS, NIGHT, "new", row(NIGHT))
    assert (tmp_path / f"reports/claims/{NIGHT}.html").read_text(encoding="utf-8") == "new"
    index = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    assert index.count(f'href="claims/{NIGHT}.html"') == 1
    assert f"claims/{NEXT}.html" in index


def test_every_workflow_is_in_the_index(folder: ReportFolder, tmp_path: Path) -> None:
    for name in ("claims", "others"):
        terms = dataclasses.replace(TERMS, workflow=name, title=f"The {name}")
        folder.write(terms, NIGHT, "x", row(NIGHT, href=f"{name}/{NIGHT}.html"))
    index = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    assert "The claims" in index
    assert "The others" in index


def test_a_page_is_replaced_whole_or_not_at_all(folder: ReportFolder, tmp_path: Path) -> None:
    folder.write(TERMS, NIGHT, "old", row(NIGHT))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UnicodeEncodeError):
        folder.write(TERMS, NIGHT, "half of it \ud800", row(NIGHT))
    assert (tmp_path / f"reports/claims/{NIGHT}.html").read_text(encoding="utf-8") == "old"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b'{"title": "Claims"}',
        b'{"title": 1, "currency": "EUR", "row": {}}',
        b'{"title": "Claims", "currency": "EUR", "row": {"night": "2025-03-05"}}',
        b'{"title": "Claims", "currency": "EUR", "row": "none"}',
    ],
)
def test_a_line_that_cannot_be_read_is_set_aside_and_told_and_stops_no_report(
    folder: ReportFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    folder.write(TERMS, NIGHT, "one", row(NIGHT))
    line = tmp_path / f"reports/claims/{NIGHT}.json"
    line.write_bytes(content)
    folder.write(TERMS, NEXT, "next", row(NEXT))
    index = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    assert f"claims/{NEXT}.html" in index
    assert f'href="claims/{NIGHT}.html"' not in index
    assert not line.exists()
    assert line.with_name(line.name + ".damaged").read_bytes() == content
    assert f"pipeline nights claims --from {NIGHT} --to {NIGHT}" in caplog.text
    # the night is run again, and stands in the index as before
    folder.write(TERMS, NIGHT, "again", row(NIGHT))
    assert f'href="claims/{NIGHT}.html"' in (tmp_path / "reports/index.html").read_text(encoding="utf-8")


def test_a_line_with_a_value_of_another_kind_is_set_aside(folder: ReportFolder, tmp_path: Path) -> None:
    folder.write(TERMS, NIGHT, "one", row(NIGHT))
    line = tmp_path / f"reports/claims/{NIGHT}.json"
    line.write_text(line.read_text(encoding="utf-8").replace('"arrivals": 10', '"arrivals": "many"'), encoding="utf-8")
    folder.write(TERMS, NEXT, "next", row(NEXT))
    assert line.with_name(line.name + ".damaged").exists()


def test_pages_and_index_lie_behind_a_url(s3: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    files = files_at(f"{s3.bucket()}/reports")
    pages = ReportFolder(files.url, "http://host:3002")
    assert pages.write(TERMS, NIGHT, "<p>one</p>", row(NIGHT)) == f"http://host:3002/claims/{NIGHT}.html"
    other = dataclasses.replace(TERMS, workflow="others", title="The others")
    pages.write(other, NIGHT, "x", row(NIGHT, href=f"others/{NIGHT}.html"))
    files.write(f"claims/{NEXT}.json", b"{")
    pages.write(TERMS, NIGHT, "<p>two</p>", row(NIGHT))
    assert files.read(f"claims/{NIGHT}.html") == b"<p>two</p>"
    index = files.read("index.html").decode()
    assert index.count(f'href="claims/{NIGHT}.html"') == 1 and "The others" in index
    assert files.read(f"claims/{NEXT}.json.damaged") == b"{" and files.stamp(f"claims/{NEXT}.json") is None
    assert "was set aside" in caplog.text
