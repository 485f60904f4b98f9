"""The desk in a real browser: by keyboard, by two people, on a tablet, and looked at by axe."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from docs.pictures import FLAGS
from pipeline_project.domain.core.people import PersonRole
from resources.ledger.nights.ledger import PostgresLedger
from tests.desk.house import NIGHT, PASSWORD, SECRET, DeskHouse

pytestmark = pytest.mark.browser

#: Screenshots of every page, kept as the build's artifact.
ARTIFACTS = Path(__file__).resolve().parents[2] / "test-artifacts"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Chromium's own sandbox refuses to run as root.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def desk(ledger: PostgresLedger, tmp_path: Path) -> Iterator[DeskHouse]:
    """A desk that serves, with three cases, one of them large, and a cluster of like ones."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    house = DeskHouse(ledger, tmp_path / "keys", f"http://127.0.0.1:{port}")
    server = uvicorn.Server(uvicorn.Config(house.app, port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 300
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the desk did not start"
        thread.join(0.05)
    try:
        yield house
    finally:
        server.should_exit = True
        thread.join(20)
        house.close()


class Visitor:
    """One person's browser; whatever it complains about fails the test at the end."""

    def __init__(self, browser: Browser, house: DeskHouse, name: str, **context: object) -> None:
        self.context: BrowserContext = browser.new_context(base_url=house.url, **context)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.goto("/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def end(self) -> None:
        self.context.close()
        assert self.complaints == []


def picture(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"desk-{name}.png", full_page=True)


def test_a_case_is_decided_by_keyboard_alone(browser: Browser, desk: DeskHouse) -> None:
    desk.ask("A-1", "A-2")
    desk.add("ada", PersonRole.REVIEWER)
    ada = Visitor(browser, desk, "ada")
    page = ada.page
    picture(page, "queue")
    page.keyboard.press("n")
    expect(page.get_by_role("button", name="Decide")).to_be_visible()
    picture(page, "case")
    page.keyboard.press("2")
    expect(page.get_by_role("radio", name="Refund")).to_be_checked()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_have_text("Decided. Here is the next one.")
    page.keyboard.press("b")
    expect(page.get_by_role("status")).to_have_text("Given back to the queue.")
    made = desk.rows("SELECT made_by, option FROM decisions WHERE epoch = 2")
    assert made == [{"made_by": "person:ada", "option": "refund"}]
    assert desk.rows("SELECT label FROM outcomes") == [{"label": "defective"}]
    ada.end()


def test_a_value_is_revealed_in_place_and_written_down(browser: Browser, desk: DeskHouse) -> None:
    desk.ask("A-1")
    desk.add("ada", PersonRole.REVIEWER)
    ada = Visitor(browser, desk, "ada")
    ada.page.keyboard.press("n")
    expect(ada.page.get_by_text(SECRET)).to_have_count(0)
    ada.page.get_by_role("button", name="Reveal message").click()
    expect(ada.page.get_by_text(f"{SECRET}-A-1")).to_be_visible()
    assert desk.rows("SELECT person FROM reveals") == [{"person": "ada"}]
    ada.end()


def test_two_people_on_one_task_and_a_lease_that_ended(browser: Browser, desk: DeskHouse) -> None:
    desk.ask("A-1")
    for name in ("ada", "bob"):
        desk.add(name, PersonRole.REVIEWER)
    ada, bob = (Visitor(browser, desk, name) for name in ("ada", "bob"))
    ada.page.keyboard.press("n")
    expect(ada.page.get_by_role("button", name="Decide")).to_be_visible()
    bob.page.goto(f"/tasks/{desk.tasks['A-1']}")
    expect(bob.page.get_by_text("ada has it")).to_be_visible()
    desk.write("UPDATE review_tasks SET lease_until = now() - interval '1 second'")
    ada.page.get_by_label("Note").fill("typed for nothing?")
    ada.page.keyboard.press("Tab")
    ada.page.get_by_role("radio", name="defective").check()
    with ada.page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        ada.page.get_by_role("button", name="Decide").click()
    assert answered.value.status == 409
    expect(ada.page.get_by_text("typed for nothing?")).to_be_visible()
    picture(ada.page, "stale")
    assert not desk.rows("SELECT 1 FROM decisions WHERE epoch = 2")
    # Chromium itself says that a page came with a 409
    assert all("409" in complaint for complaint in ada.complaints)
    bob.end()


def test_a_large_amount_is_agreed_to_by_somebody_else(browser: Browser, desk: DeskHouse) -> None:
    desk.ask("BIG", amount=900.0)
    desk.add("ada", PersonRole.REVIEWER, PersonRole.APPROVER)
    desk.add("cleo", PersonRole.APPROVER)
    ada, cleo = (Visitor(browser, desk, name) for name in ("ada", "cleo"))
    ada.page.keyboard.press("n")
    expect(ada.page.get_by_role("button", name="Decide")).to_be_visible()
    ada.page.keyboard.press("2")
    ada.page.keyboard.press("Control+Enter")
    expect(ada.page.get_by_role("status")).to_contain_text("a second person will look at it")
    ada.page.goto("/approvals")
    ada.page.get_by_role("link", name="BIG").click()
    expect(ada.page.get_by_text("Somebody else must agree.")).to_be_visible()
    expect(ada.page.get_by_role("button", name="Approve exactly this")).to_have_count(0)
    cleo.page.goto("/approvals")
    picture(cleo.page, "approvals")
    cleo.page.get_by_role("link", name="BIG").click()
    picture(cleo.page, "approval")
    cleo.page.get_by_role("button", name="Approve exactly this").click()
    expect(cleo.page.get_by_role("status")).to_contain_text("Approved")
    assert desk.rows("SELECT made_by FROM decisions WHERE epoch = 2") == [{"made_by": "person:ada"}]
    ada.end()
    cleo.end()


def test_a_cluster_is_decided_once(browser: Browser, desk: DeskHouse) -> None:
    desk.ask(*[f"C-{i:02}" for i in range(20)], cluster="c-like")
    for name in ("ada", "bob"):
        desk.add(name, PersonRole.REVIEWER)
    ada = Visitor(browser, desk, "ada")
    ada.page.goto("/clusters")
    picture(ada.page, "clusters")
    ada.page.get_by_role("link", name="c-like").click()
    picture(ada.page, "cluster")
    ada.page.get_by_role("radio", name="defective").check()
    ada.page.get_by_label("Option").select_option("refund")
    ada.page.get_by_role("button", name="Decide all of them").click()
    expect(ada.page.get_by_role("status")).to_contain_text("come back as ordinary tasks")
    assert desk.rows("SELECT state FROM cluster_reviews") == [{"state": "sampling"}]
    ada.end()


def test_a_session_that_was_ended_elsewhere_leads_to_the_sign_in(browser: Browser, desk: DeskHouse) -> None:
    desk.add("ada", PersonRole.REVIEWER)
    ada = Visitor(browser, desk, "ada")
    desk.ports.sessions.end_all("ada")
    ada.page.goto("/nights")
    expect(ada.page.get_by_role("button", name="Sign in")).to_be_visible()
    ada.end()


PAGES = {
    "queue": "/", "clusters": "/clusters", "cluster": "/clusters/returns/c-like", "second-person": "/approvals",
    "nights": "/nights", "night": f"/nights/returns/{NIGHT}", "actions": "/actions", "models": "/models",
    "audit": "/audit", "people": "/people", "me": "/me", "why": "/why/returns/PAID", "trouble": "/nothing",
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_tablet(browser: Browser, desk: DeskHouse, scheme: str) -> None:
    desk.ask("A-1", *[f"C-{i:02}" for i in range(14)], cluster="c-like")
    desk.add("ada", *PersonRole)
    tablet = {"width": 820, "height": 1180}
    # axe comes as a script of its own, which the desk's policy would refuse
    ada = Visitor(browser, desk, "ada", viewport=tablet, bypass_csp=True, color_scheme=scheme)
    page = ada.page
    page.keyboard.press("n")
    expect(page.get_by_role("button", name="Decide")).to_be_visible()
    found = _violations(page, "case")
    for name, path in PAGES.items():
        page.goto(path)
        if scheme == "light":
            picture(page, f"tablet-{name}")
        found += _violations(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= tablet["width"], name
    assert found == []
    # the page that is not there is told by Chromium as well
    assert all("404" in complaint for complaint in ada.complaints)
    ada.context.close()


def _violations(page: Page, name: str) -> list[str]:
    told = Axe().run(page).response["violations"]
    return [
        f"{name}: {each['id']} at {each['nodes'][0]['html'][:100]}"
        for each in told
        if each["impact"] in ("serious", "critical")
    ]
