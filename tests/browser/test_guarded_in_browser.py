"""Dagster behind its guard, in a real browser and over real websockets: its own page works, and no other reaches it."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from docs.pictures import FLAGS
from pipeline_project.desk.backend import Frame
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.serving.same_origin import SameOrigin
from pipeline_project.serving.signed_in import ROLES, SignedIn
from resources.ledger.nights.ledger import PostgresLedger
from tests.desk.house import PASSWORD, DeskHouse

pytestmark = pytest.mark.browser

ARTIFACTS = Path(__file__).resolve().parents[2] / "test-artifacts"


@dataclass(frozen=True)
class Guarded:
    """A desk, and Dagster's server behind its sign-in."""

    desk: DeskHouse
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def served(app: Any) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 300
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        thread.join(0.05)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture
def guarded(ledger: PostgresLedger, tmp_path: Path) -> Iterator[Guarded]:
    from dagster import DagsterInstance
    from dagster_webserver.app import create_app_from_workspace_process_context

    from tests.dagster_internals import EmptyWorkspaceTarget, WorkspaceProcessContext

    with ExitStack() as stack:
        (tmp_path / "dagster").mkdir()
        instance = stack.enter_context(DagsterInstance.local_temp(str(tmp_path / "dagster")))
        context = stack.enter_context(
            WorkspaceProcessContext(instance=instance, workspace_load_target=EmptyWorkspaceTarget())
        )
        dagster = create_app_from_workspace_process_context(context, "")
        # the desk's address is known once its server has a port, and its pages are built for that address
        later: dict[str, Any] = {}

        async def desk(scope: Any, receive: Any, send: Any) -> None:
            await later["app"](scope, receive, send)

        desk_port = stack.enter_context(served(desk))
        house = DeskHouse(ledger, tmp_path / "keys", f"http://127.0.0.1:{desk_port}")
        later["app"] = house.app
        stack.callback(house.close)
        house.add("ada", PersonRole.ADMIN)
        house.add("rob", PersonRole.REVIEWER)
        signed_in = SignedIn(dagster, house.ports.sessions, ROLES["dagster"], Frame(house.url, ""))
        yield Guarded(house, stack.enter_context(served(SameOrigin(signed_in))))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield chromium
        chromium.close()


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_the_sign_in_leads_back_to_dagster_whose_page_and_websocket_work(browser: Browser, guarded: Guarded) -> None:
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    refused: list[str] = []
    talked: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    # what Dagster asks of its maker's servers is not answered here, and is not ours
    page.on(
        "console",
        lambda said: (
            complaints.append(f"{said.text} {said.location}")
            if said.type == "error" and said.location["url"].startswith(guarded.url)
            else None
        ),
    )
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: talked.append(str(frame))))
    page.goto(f"{guarded.url}/deployment/locations?view=a%20b")
    assert page.url.startswith(f"{guarded.desk.url}/sign-in?next=")
    sign_in(page, "ada")
    page.wait_for_url(f"{guarded.url}/deployment/locations?view=a%20b")
    expect(page.get_by_text("Deployment", exact=True).first).to_be_visible(timeout=300_000)
    page.goto(f"{guarded.url}/runs")
    expect(page.get_by_text("No runs found").first).to_be_visible(timeout=300_000)
    deadline = time.monotonic() + 300
    while not talked and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=str(ARTIFACTS / "dagster_guarded.png"))
    context.close()
    assert (complaints, refused) == ([], [])
    assert any("connection_ack" in frame for frame in talked)


def test_who_may_not_use_dagster_is_told_so(browser: Browser, guarded: Guarded) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{guarded.url}/runs")
    sign_in(page, "rob")
    page.wait_for_url(f"{guarded.url}/runs")
    assert "your roles do not open these pages" in page.content()
    context.close()


def told(guarded: Guarded, origin: str, cookie: str | None) -> str:
    """What Dagster says over a websocket to a page of an origin; or the status with which it is refused."""
    headers = {"cookie": f"{guarded.desk.frame.cookie}={cookie}"} if cookie else {}
    try:
        with connect(
            f"ws://127.0.0.1:{guarded.port}/graphql", origin=Origin(origin),
            subprotocols=[Subprotocol("graphql-ws")],
            additional_headers=headers, open_timeout=300,
        ) as socket:  # fmt: skip
            socket.send(json.dumps({"type": "connection_init", "payload": {}}))
            return str(json.loads(socket.recv(300))["type"])
    except InvalidStatus as error:
        return str(error.response.status_code)


def test_a_websocket_is_answered_to_its_own_page_and_to_somebody_signed_in_alone(guarded: Guarded) -> None:
    session = guarded.desk.ports.sessions.begin("ada").token
    reviewer = guarded.desk.ports.sessions.begin("rob").token
    said = {
        (origin, who): told(guarded, origin, token)
        for origin in (guarded.url, "https://evil.example", guarded.desk.url, "null")
        for who, token in (("ada", session), ("rob", reviewer), ("nobody", None))
    }
    own = {("ada", "connection_ack"), ("rob", "403"), ("nobody", "401")}
    assert {(who, words) for (origin, who), words in said.items() if origin == guarded.url} == own
    assert {words for (origin, _), words in said.items() if origin != guarded.url} == {"403"}
    guarded.desk.ports.sessions.end(session)
    assert told(guarded, guarded.url, session) == "401"
