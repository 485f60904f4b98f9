"""Each server says at one place, before every guard, whether it is well; a command asks it and ends with 0 or 1."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health as grpc_health
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.serving.guarded import reports_app
from pipeline_project.serving.health import HEALTH, Healthy, told_at
from pipeline_project.serving.probe import CODE_SERVER, is_well, main
from pipeline_project.settings import Settings


def tool(status: int) -> Starlette:
    """An application whose own page of health answers with a status."""
    return Starlette(routes=[Route("/own", lambda _: PlainTextResponse("inside", status))])


def refusing() -> Starlette:
    guard = Route("/{path:path}", lambda _: PlainTextResponse("sign in first", 401), methods=["GET", "POST"])
    return Starlette(routes=[guard])


@pytest.mark.parametrize(
    ("own", "told"), [(200, (200, "ok\n")), (500, (503, "not well\n")), (404, (503, "not well\n"))]
)
def test_health_is_told_before_the_guards_and_says_nothing_of_the_inside(own: int, told: tuple[int, str]) -> None:
    asker = TestClient(Healthy(refusing(), tool(own), "/own"))
    answer = asker.get(HEALTH, headers={"host": "10.1.2.3:3000"})
    assert (answer.status_code, answer.text) == told


def test_everything_else_meets_the_guards() -> None:
    asker = TestClient(Healthy(refusing(), tool(200), "/own"))
    assert {asker.get(path).status_code for path in ("/own", "/", f"{HEALTH}/", f"{HEALTH}/x")} == {401}
    assert asker.post(HEALTH).status_code == 401


def test_the_reports_say_that_they_are_well_where_everything_else_asks_for_a_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_project.serving.guarded.before", lambda *_: refusing())
    asker = TestClient(reports_app(str(tmp_path), Settings(tmp_path), "0.0.0.0"), base_url="http://10.1.2.3:3002")
    assert (asker.get(HEALTH).status_code, asker.get("/").status_code) == (200, 403)
    assert asker.get("/", headers={"host": "127.0.0.1:3002"}).status_code == 401


def test_a_process_without_pages_says_whether_it_is_alive() -> None:
    alive = threading.Event()
    with told_at("127.0.0.1:0", alive.is_set) as port:
        address = f"http://127.0.0.1:{port}{HEALTH}"
        assert not is_well(address)
        alive.set()
        assert is_well(address)
        assert not is_well(f"http://127.0.0.1:{port}/other")
        with pytest.raises(SettingInvalid, match="give a free HOST:PORT"), told_at(f"127.0.0.1:{port}", alive.is_set):
            pass
    assert not is_well(address), "nobody listens any more"


@pytest.mark.parametrize("wrong", ["3008", "127.0.0.1:", "127.0.0.1:port", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(SettingInvalid, match="HOST:PORT"), told_at(wrong, lambda: True):
        pass


@contextmanager
def code_server(status: HealthCheckResponse.ServingStatus.ValueType) -> Iterator[str]:
    servicer = grpc_health.HealthServicer()
    servicer.set(CODE_SERVER, status)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def test_a_code_server_is_asked_by_grpcs_own_protocol() -> None:
    with code_server(HealthCheckResponse.SERVING) as address:
        assert is_well(address)
    with code_server(HealthCheckResponse.NOT_SERVING) as address:
        assert not is_well(address)
    assert not is_well(address, 1), "nobody listens any more"


def test_the_command_ends_with_what_an_orchestrator_reads(capsys: pytest.CaptureFixture[str]) -> None:
    with told_at("127.0.0.1:0", lambda: True) as port:
        assert main([f"http://127.0.0.1:{port}{HEALTH}"]) == 0
    assert main([f"http://127.0.0.1:{port}{HEALTH}"]) == 1
    assert {main([]), main(["desk:3004"]), main(["http://a", "http://b"])} == {2}
    assert "give one address" in capsys.readouterr().err
