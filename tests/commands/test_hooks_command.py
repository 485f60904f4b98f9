"""`pipeline hooks`: a secret shown once, a file sent as another system would, and what came through the receiver."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock

import pytest
import uvicorn

from pipeline_project.commands.hooks import open_hook_receiver
from pipeline_project.desk.routes.hooks import build_hooks_app
from pipeline_project.desk.signatures import secrets_of
from tests.commands.conftest import NAME, NIGHT, Call, Home

VARIABLE = f"PIPELINE_HOOK_SECRET_{NAME.upper()}"


def test_a_secret_and_the_one_that_follows_it(call: Call, home: Home) -> None:
    first = call("hooks", "secret", NAME, "--json", **home.environ).document
    assert (first["variable"], first["replaces"]) == (VARIABLE, 0)
    assert secrets_of(NAME, {VARIABLE: first["value"]}) == (first["secret"],)
    second = call("hooks", "secret", NAME, "--json", **home.environ, **{VARIABLE: first["value"]}).document
    assert secrets_of(NAME, {VARIABLE: second["value"]}) == (second["secret"], first["secret"])
    third = call("hooks", "secret", NAME, "--json", **home.environ, **{VARIABLE: second["value"]}).document
    assert secrets_of(NAME, {VARIABLE: third["value"]}) == (third["secret"], second["secret"]), "the oldest goes"
    said = call("hooks", "secret", NAME, **home.environ, **{VARIABLE: first["value"]})
    assert said.out.startswith(f"{VARIABLE}='whsec_")
    assert "shown once" in said.out and "Both secrets are valid" in said.out


def test_a_workflow_that_is_not_there_gets_no_secret(call: Call, home: Home) -> None:
    assert call("hooks", "secret", "nothing", **home.environ).code == 5


@pytest.fixture
def served(home: Home, call: Call) -> Iterator[tuple[str, dict[str, str]]]:
    """The door on a port of its own, and the variables of its home with a secret."""
    secret = call("hooks", "secret", NAME, "--json", **home.environ).document["value"]
    environ = {**home.environ, VARIABLE: secret}
    with mock.patch.dict("os.environ", environ):
        app = build_hooks_app(open_hook_receiver())
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", environ
    server.should_exit = True
    thread.join()


def test_a_file_is_sent_once_however_often_it_is_sent(
    call: Call, served: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    url, environ = served
    cases = tmp_path / "cases.csv"
    lines = [f"P-{number};Erika;9.90" for number in range(700)]
    cases.write_text("claim_id;customer;price\n" + "\n".join(lines), encoding="utf-8")
    words = ("hooks", "send", NAME, cases, "--url", url, "--night", NIGHT, "--json")
    told = call(*words, **environ)
    assert told.code == 0
    assert [(e["rows"], e["status"], e["verdict"], e["night"]) for e in told.document["events"]] == [
        (500, 202, "new", NIGHT), (200, 202, "new", NIGHT),
    ]  # fmt: skip
    assert [event["verdict"] for event in call(*words, **environ).document["events"]] == ["known", "known"]
    (row,) = [row for row in call("hooks", "list", "--json", **environ).document if row["workflow"] == NAME]
    assert (row["secrets"], row["events"], row["rows"], row["nights"]) == (1, 2, 700, 1)
    shown = call("hooks", "list", **environ)
    assert NAME in shown.out and "Erika" not in shown.out


def test_what_is_refused_is_told(call: Call, served: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    url, environ = served
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"claim_id": "P-1"}), encoding="utf-8")
    send = ("hooks", "send", NAME, file, "--url", url)
    said = call(*send, "--night", "2019-01-01", **environ)
    assert said.code == 2
    assert "422, refused: it belongs to no night" in said.out
    other = "whsec_" + "B" * 43 + "="
    said = call(*send, **{**environ, VARIABLE: other})
    assert said.code == 2 and "401" in said.out
    said = call(*send, **{key: value for key, value in environ.items() if key != VARIABLE})
    assert said.code == 2 and f"pipeline hooks secret {NAME}" in said.err
    assert call("hooks", "send", NAME, tmp_path / "none.csv", **environ).code == 2
    said = call("hooks", "send", NAME, file, "--url", "http://127.0.0.1:1", **environ)
    assert said.code == 4 and "does not answer" in said.err


@pytest.mark.parametrize("answer", [b"<html>Welcome</html>", b'["welcome"]'], ids=["no JSON", "no receipt"])
def test_what_another_service_answers_is_no_receipt(
    call: Call, served: tuple[str, dict[str, str]], tmp_path: Path, answer: bytes
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    (tmp_path / "a.jsonl").write_text(json.dumps({"claim_id": "P-1"}), encoding="utf-8")
    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{other.server_port}"
        said = call("hooks", "send", NAME, tmp_path / "a.jsonl", "--url", url, **served[1])
        thread.join()
    assert said.code == 2
    assert "200, refused: no receipt came back; is this the desk's address?" in said.out


def test_a_variable_that_holds_no_secret_stops_the_door(home: Home) -> None:
    from pipeline_project.domain.core.errors import SettingInvalid

    with mock.patch.dict("os.environ", {**home.environ, VARIABLE: "hunter2"}), pytest.raises(SettingInvalid):
        open_hook_receiver()
