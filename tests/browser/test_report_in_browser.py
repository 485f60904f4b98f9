"""The night report in a real browser: whole, quiet, readable on a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from docs.pictures import FLAGS
from pipeline_project.domain.reporting.index import WorkflowIndex, index_row
from pipeline_project.domain.reporting.page import render_index, render_night
from pipeline_project.domain.reporting.summary import summarize
from tests.domain.reporting.report_nights import TERMS, facts, png

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Chromium's own sandbox refuses to run as root.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index and the night it links to."""
    folder = tmp_path_factory.mktemp("reports")
    report = summarize(TERMS, facts())
    row = index_row(report, f"{TERMS.workflow}/{report.night}.html")
    (folder / TERMS.workflow).mkdir()
    (folder / row.href).write_text(render_night(report, lambda path: png()), encoding="utf-8")
    index = WorkflowIndex(TERMS.workflow, TERMS.title, TERMS.currency, (row,))
    (folder / "index.html").write_text(render_index([index]), encoding="utf-8")
    return folder


@pytest.mark.parametrize("width", [375, 768, 1400])
def test_a_night_fits_the_screen_and_asks_nobody_for_anything(browser: Browser, pages: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto((pages / TERMS.workflow).as_uri() + f"/{facts().night}.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    assert page.locator("h1").inner_text()
    page.close()


def test_the_index_leads_to_the_night(browser: Browser, pages: Path) -> None:
    page = browser.new_page()
    page.goto((pages / "index.html").as_uri())
    page.get_by_role("link", name=facts().night).first.click()
    assert page.url.endswith(f"{TERMS.workflow}/{facts().night}.html")
    page.close()
