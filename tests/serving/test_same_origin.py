"""Pages without a sign-in answer their own pages and programs, and nobody else's page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline_project.serving.guarded import guard_dagster, hosts, reports_app
from pipeline_project.serving.same_origin import SameOrigin
from pipeline_project.settings import Settings

HOST = "127.0.0.1:3000"
REBOUND = "--host-resolver-rules=MAP evil.example 127.0.0.1"
JSON = {"content-type": "application/json"}


def house() -> Starlette:
    async def graphql(request: object) -> JSONResponse:
        return JSONResponse({"done": True})

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("done")
        await socket.close()

    return Starlette(
        routes=[
            Route("/graphql", graphql, methods=["GET", "POST", "HEAD"]),
            Route("/", lambda _: PlainTextResponse("the page")),
            WebSocketRoute("/graphql", talk),
        ]
    )


@pytest.fixture
def client() -> TestClient:
    return TestClient(SameOrigin(house()), base_url=f"http://{HOST}")


@pytest.mark.parametrize("headers", [
    {},
    {"origin": f"http://{HOST}"},
    {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"},
    {"host": "localhost:8000", "origin": "http://localhost:8000"},
    {"host": "[::1]:3000"},
])  # fmt: skip
def test_own_pages_and_programs_are_answered(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/graphql", json={"query": "mutation { wipeAssets }"}, headers=headers).status_code == 200
    assert client.get("/", headers=headers).status_code == 200
    with client.websocket_connect(f"ws://{HOST}/graphql", headers=headers) as socket:
        assert socket.receive_text() == "done"


@pytest.mark.parametrize("headers", [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:4000"},
    {"origin": "http://localhost:3000"},
    {"origin": f"http://{HOST}.evil.example"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    {"host": "evil.example:3000"},
    {"host": "evil.example:3000", "origin": "http://evil.example:3000"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "localhost@evil.example"},
    {"host": ""},
])  # fmt: skip
def test_other_pages_and_other_names_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    for path in ("/", "/graphql", "/graphql/"):
        assert client.get(path, headers=headers).status_code == 403
        assert client.post(path, json={}, headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"ws://{HOST}/graphql", headers=headers):
        pass


def test_a_mutation_comes_by_post_as_json_alone(client: TestClient) -> None:
    assert client.get("/graphql?query=mutation+{wipeAssets}").status_code == 403
    assert client.head("/graphql?query=mutation+{wipeAssets}").status_code == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""):
        assert client.post("/graphql", content=b"{}", headers={"content-type": kind}).status_code == 403
    assert client.post("/graphql", content=b"{}", headers=JSON | {"content-type": "Application/JSON; charset=utf-8"})


def test_a_link_from_another_page_opens_a_page_and_no_query(client: TestClient) -> None:
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=followed).headers["x-frame-options"] == "SAMEORIGIN"
    assert client.get("/graphql", headers=followed).status_code == 403
    assert client.post("/", headers=followed).status_code == 403


def test_more_names_are_given_by_the_operator(tmp_path: Path) -> None:
    named = SameOrigin(house(), hosts(Settings(tmp_path, hosts=("night.example", "other.example"))))
    client = TestClient(named, base_url="https://night.example")
    own = {"origin": "https://night.example"}
    assert client.post("/graphql", json={}, headers=own).status_code == 200
    assert TestClient(named, base_url="https://third.example").get("/").status_code == 403


def test_dagsters_own_server_stands_behind_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster import DagsterInstance
    from dagster_webserver import cli

    from tests.dagster_internals import EmptyWorkspaceTarget, WorkspaceProcessContext

    make_app = "create_app_from_workspace_process_context"  # what the guard replaces
    monkeypatch.setattr(cli, make_app, getattr(cli, make_app))
    guard_dagster(Settings(tmp_path))
    query = "mutation { wipeAssets(assetPartitionRanges: []) { __typename } }"
    with (
        DagsterInstance.local_temp(str(tmp_path)) as instance,
        WorkspaceProcessContext(instance=instance, workspace_load_target=EmptyWorkspaceTarget()) as context,
    ):
        client = TestClient(getattr(cli, make_app)(context, ""), base_url=f"http://{HOST}")
        assert (
            client.get("/graphql", params={"query": query}, headers={"origin": "https://evil.example"}).status_code
            == 403
        )
        assert client.get("/graphql", params={"query": query}).status_code == 403
        asked = client.post("/graphql", json={"query": "{ version }"}, headers={"origin": f"http://{HOST}"})
        assert "version" in asked.json()["data"]


@contextmanager
def served(app: object) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.browser
def test_a_rebound_name_in_a_real_browser_reads_and_changes_nothing(tmp_path: Path) -> None:
    """A page of a name that turns to 127.0.0.1 is of the same origin as the port to the browser: only Host tells."""
    from playwright.sync_api import sync_playwright

    (tmp_path / "index.html").write_text("<p id=secret>a customer's night</p>")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", REBOUND]  # fmt: skip
    ask = """async url => { try { const a = await fetch(url, {method: 'POST', body: '{}',
        headers: {'content-type': 'application/json'}}); return a.status } catch (error) { return String(error) } }"""
    with (
        served(reports_app(str(tmp_path), Settings(tmp_path))) as pages,
        served(SameOrigin(house())) as port,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        try:
            page = browser.new_page()
            told = page.goto(f"http://evil.example:{pages}/")
            assert told is not None and told.status == 403 and "customer" not in page.content()
            page.goto(f"http://evil.example:{port}/")
            assert page.evaluate(ask, f"http://evil.example:{port}/graphql") == 403
            page.goto(f"http://127.0.0.1:{pages}/")
            assert "customer" in page.content()
            # another port of this machine is another page too
            assert page.evaluate(ask, f"http://127.0.0.1:{port}/graphql") != 200
            page.goto(f"http://127.0.0.1:{port}/")
            assert page.evaluate(ask, f"http://127.0.0.1:{port}/graphql") == 200
        finally:
            browser.close()
