"""The pages of the reports, served out of an object store as they are out of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pipeline_project.serving.guarded import reports_app
from pipeline_project.settings import Settings
from resources.files import files_at
from tests.s3_server import S3Server, refusing


@pytest.mark.parametrize("where", ["folder", "store"])
def test_pages_are_served_from_wherever_they_lie(where: str, tmp_path: Path, s3: S3Server) -> None:
    files = files_at(tmp_path / "reports" if where == "folder" else f"{s3.bucket()}/reports")
    (tmp_path / "reports").mkdir()
    files_at(files.url.removesuffix("/reports")).write("secret.html", "secret")
    pages = TestClient(reports_app(files.url, Settings(tmp_path)), base_url="http://127.0.0.1")
    assert pages.get("/").text == "No night has a report yet."
    files.write("index.html", "<p>index</p>")
    files.write("claims/2025-03-05.html", "<p>night</p>")
    for address, words in (("/", "index"), ("/index.html", "index"), ("/claims/2025-03-05.html", "night")):
        answer = pages.get(address)
        assert words in answer.text and answer.headers["content-type"] == "text/html; charset=utf-8"
    for address in (
        "/gone.html",
        "/../secret.html",
        "/%2e%2e/secret.html",
        "/claims/%2e%2e/%2e%2e/secret.html",
        "/a//b",
    ):
        answer = pages.get(address)
        assert answer.status_code == 404 and "secret" not in answer.text
    assert pages.post("/").status_code == 405


def test_a_store_that_is_away_is_told(tmp_path: Path, s3: S3Server) -> None:
    pages = TestClient(reports_app(s3.bucket(), Settings(tmp_path)), base_url="http://127.0.0.1")
    s3.fault = refusing("403 Forbidden", "ExpiredToken")
    assert (pages.get("/").status_code, pages.get("/").text) == (
        503,
        "the reports cannot be read now; try again later\n",
    )
