"""Before Dagster, MLflow and the reports stands the desk's sign-in, where others can reach them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline_project.desk.backend import Frame
from pipeline_project.domain.core.errors import DatabaseUnreachable, SettingInvalid
from pipeline_project.domain.core.people import Person, PersonRole, Session
from pipeline_project.serving import signed_in
from pipeline_project.serving.guarded import allowed_hosts, guard_mlflow, guarded, main, mlflow_app
from pipeline_project.serving.signed_in import PROBE_HEADER, ROLES, SignedIn, is_loopback, sign_in_wanted
from pipeline_project.settings import Settings
from tests.serving.test_same_origin import house

DESK = "http://127.0.0.1:3004"
HERE = "http://127.0.0.1:3000"
PAGE = {"accept": "text/html,application/xhtml+xml"}


class Store:
    """The desk's sessions: `ada` may do everything, `rob` only review, `tom` nothing."""

    def __init__(self) -> None:
        everyone = {"ada": frozenset(PersonRole), "rob": frozenset({PersonRole.REVIEWER}), "tom": frozenset()}
        self.open = {name: Session(name, "", Person(name, name, roles)) for name, roles in everyone.items()}

    def find(self, token: str) -> Session | None:
        if token == "down":
            raise DatabaseUnreachable("postgresql://u:***@h/d does not answer")
        return self.open.get(token)


@pytest.fixture
def store() -> Store:
    return Store()


def client(store: Store, what: str = "dagster", desk: str = DESK, here: str = HERE, token: str = "") -> TestClient:
    app = SignedIn(house(), store, ROLES[what], Frame(desk, ""), "a probe")
    cookies = {Frame(desk, "").cookie: token} if token else {}
    return TestClient(app, base_url=here, follow_redirects=False, cookies=cookies)


@pytest.mark.parametrize("token", ["", "made up", "a" * 10_000, "\x7f\xe9"])
def test_who_is_not_signed_in_is_sent_to_the_desk_or_refused(store: Store, token: str) -> None:
    nobody = client(store)
    headers: dict[str, Any] = {"cookie": f"desk={token}".encode("latin-1")} if token else {}
    sent = nobody.get("/runs?state=a%20b", headers={**headers, **PAGE})
    back = "http%3A%2F%2F127.0.0.1%3A3000%2Fruns%3Fstate%3Da%2520b"
    assert (sent.status_code, sent.headers["location"]) == (303, f"{DESK}/sign-in?next={back}")
    for answer in (
        nobody.post("/graphql", json={"query": "{ version }"}, headers={**headers, **PAGE}),
        nobody.get("/graphql", headers=headers),
        nobody.get("/", headers={**headers, "accept": "application/json"}),
        nobody.head("/", headers=headers),
    ):
        assert answer.status_code == 401
    with pytest.raises(WebSocketDisconnect), nobody.websocket_connect("/graphql", headers=headers):
        pass


def test_who_is_signed_in_with_a_fitting_role_is_answered(store: Store) -> None:
    ada = client(store, token="ada")
    assert ada.get("/", headers=PAGE).text == "the page"
    assert ada.post("/graphql", json={}).json() == {"done": True}
    with ada.websocket_connect("/graphql") as socket:
        assert socket.receive_text() == "done"


@pytest.mark.parametrize(("what", "answered"), [("dagster", {"ada"}), ("mlflow", {"ada"}), ("reports", {"ada", "rob"})])
def test_each_server_has_its_roles(store: Store, what: str, answered: set[str]) -> None:
    told = {name: client(store, what, token=name).get("/", headers=PAGE) for name in store.open}
    assert {name for name, answer in told.items() if answer.status_code == 200} == answered
    assert {answer.status_code for name, answer in told.items() if name not in answered} == {403}
    assert "admin" in told["tom"].text


def test_a_session_that_ends_ends_here_too_also_over_an_open_websocket(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def echoes(socket: WebSocket) -> None:
        await socket.accept()
        for _ in range(3):
            await socket.send_text(await socket.receive_text())

    app = SignedIn(Starlette(routes=[WebSocketRoute("/graphql", echoes)]), store, ROLES["dagster"], Frame(DESK, ""))
    with TestClient(app, cookies={"desk": "ada"}).websocket_connect("/graphql") as socket:
        socket.send_text("one")
        assert socket.receive_text() == "one"
        del store.open["ada"]
        socket.send_text("two")
        assert socket.receive_text() == "two", "asked now and then, and not with every word"
        monkeypatch.setattr(signed_in, "AGAIN_SECONDS", 0)
        socket.send_text("three")
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_text()
    assert ended.value.code == 1008
    assert client(store, token="ada").get("/", headers=PAGE).status_code == 303


def test_an_unanswering_store_lets_nobody_in(store: Store) -> None:
    answer = client(store, token="down").get("/", headers=PAGE)
    assert (answer.status_code, "postgresql" in answer.text) == (503, False)


def test_who_started_the_server_may_ask_whether_it_is_ready(store: Store) -> None:
    assert client(store).get("/", headers={PROBE_HEADER: "a probe"}).status_code == 200
    assert client(store).get("/", headers={PROBE_HEADER: "another"}).status_code == 401
    none = TestClient(SignedIn(house(), store, ROLES["dagster"], Frame(DESK, "")), base_url=HERE)
    assert none.get("/", headers={PROBE_HEADER: ""}).status_code == 401


def test_the_other_name_of_this_machine_leads_to_the_desk_s(store: Store) -> None:
    sent = client(store, here="http://localhost:3000").get("/", headers=PAGE)
    assert sent.headers["location"].endswith("next=http%3A%2F%2F127.0.0.1%3A3000%2F")


def test_under_a_name_where_the_desk_s_cookie_never_comes_nobody_is_sent_in_circles(store: Store) -> None:
    answer = client(store, desk="https://night.example", here="https://runs.example").get("/", headers=PAGE)
    assert answer.status_code == 401 and "night.example" in answer.text
    sent = client(store, desk="https://night.example", here="https://night.example:3000").get("/", headers=PAGE)
    assert sent.headers["location"] == "https://night.example/sign-in?next=https%3A%2F%2Fnight.example%3A3000%2F"
    ada = client(store, desk="https://night.example", here="https://night.example:3000", token="ada")
    assert ada.get("/", headers=PAGE).status_code == 200


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("::1", True), ("[::1]", True),
     ("0.0.0.0", False), ("::", False), ("", False), ("10.0.0.4", False), ("night.example", False)],
)  # fmt: skip
def test_where_only_this_machine_reaches_a_server(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_the_sign_in_is_asked_for_wherever_others_come(tmp_path: Path) -> None:
    plain, named = Settings(tmp_path), Settings(tmp_path, hosts=("night.example",))
    assert not sign_in_wanted(plain, "127.0.0.1")
    assert sign_in_wanted(plain, "0.0.0.0") and sign_in_wanted(named, "127.0.0.1")
    assert sign_in_wanted(Settings(tmp_path, require_sign_in=True), "127.0.0.1")
    # a proxy with a sign-in of its own may stand before this machine's own address, and before no other
    off = Settings(tmp_path, hosts=("night.example",), require_sign_in=False)
    assert not sign_in_wanted(off, "127.0.0.1")
    with pytest.raises(SettingInvalid, match=r"bound to 0\.0\.0\.0 .* PIPELINE_REQUIRE_SIGN_IN"):
        sign_in_wanted(off, "0.0.0.0")
    with pytest.raises(SettingInvalid):
        guarded(house(), "reports", off, "::")


@pytest.mark.parametrize(
    "words",
    [("dagster", "-h", "0.0.0.0"), ("dagster", "--host=::"), ("dagster",), ("mlflow", "--host", "0.0.0.0"),
     ("mlflow", "-h", "::"), ("reports", "folder", "0", "0.0.0.0")],
)  # fmt: skip
def test_no_server_starts_unguarded_where_others_reach_it(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_REQUIRE_SIGN_IN", "0")
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    # Dagster takes its options from variables too
    monkeypatch.setenv("DAGSTER_WEBSERVER_HOST", "0.0.0.0")
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "PIPELINE_REQUIRE_SIGN_IN" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("--gunicorn-opts", "-w 1"), ("--app-name", "basic-auth"), ("--uvicorn-opts", "x")])
def test_mlflow_is_not_led_round_its_guard(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(("mlflow", *words))
    assert ended.value.code == 2
    assert words[0].strip("-").replace("-", "_") in capsys.readouterr().err


def test_mlflow_s_server_is_the_guarded_one_and_knows_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import server
    from mlflow.server.security_utils import is_allowed_host_header

    monkeypatch.setattr(server, "_build_uvicorn_command", server._build_uvicorn_command)
    guard_mlflow()
    *_, factory, app = server._build_uvicorn_command(None, "127.0.0.1", 5000, 1, "mlflow.server.fastapi_app:app")
    assert (factory, app) == ("--factory", "pipeline_project.serving.guarded:mlflow_app")
    names = allowed_hosts(Settings(tmp_path, hosts=("night.example",))).split(",")
    told = ("127.0.0.1:5000", "localhost:5000", "[::1]:5000", "night.example", "night.example:5000")
    others = ("evil.example", "night.example.evil.example", "10.0.0.4:5000", "192.168.1.2", "evil.example:5000")
    assert [host for host in told if not is_allowed_host_header(names, host)] == []
    assert [host for host in others if is_allowed_host_header(names, host)] == []


def test_mlflow_s_pages_stand_behind_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_HOSTS", "")
    monkeypatch.delenv("PIPELINE_REQUIRE_SIGN_IN", raising=False)
    # MLflow's application itself is another test's matter; it takes seconds to load
    monkeypatch.setitem(sys.modules, "mlflow.server.fastapi_app", SimpleNamespace(app=house()))
    mlflow = TestClient(mlflow_app(), base_url="http://127.0.0.1:5000")
    assert mlflow.get("/").text == "the page"
    assert mlflow.get("/", headers={"host": "evil.example"}).status_code == 403
    assert mlflow.post("/", headers={"origin": "http://127.0.0.1:3004"}).status_code == 403
    monkeypatch.setenv("PIPELINE_REQUIRE_SIGN_IN", "0")
    monkeypatch.setenv("PIPELINE_BOUND_TO", "0.0.0.0")
    with pytest.raises(SettingInvalid):
        mlflow_app()
