"""`pipeline up` and `pipeline down`: ports in use, one `up` a home, and that nothing is left behind."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from pipeline_project.commands.demo import left_running
from pipeline_project.serving.health import HEALTH
from pipeline_project.serving.home_lock import only_one
from resources.postgres.embedded import EmbeddedServer
from tests.commands.conftest import Call, Home


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


PORT_OPTIONS = ("--port", "--mlflow-port", "--reports-port", "--desk-port", "--shop-port")
PATHS = ("/server_info", "/health", "/", "/healthz", "/healthz")


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def test_a_port_in_use_stops_up_before_anything_starts(listening: int, call: Call, tmp_path: Path) -> None:
    one, other = free_ports(2)
    words = ("--port", one, "--mlflow-port", listening, "--reports-port", other)
    said = call("up", *words, PIPELINE_HOME=str(tmp_path))
    assert (said.code, said.out) == (2, "")
    assert f"{listening} (give another one with --mlflow-port)" in said.err
    assert not (tmp_path / "postgres").exists()


def test_a_second_up_in_the_same_home_names_the_addresses(call: Call, tmp_path: Path) -> None:
    with only_one(tmp_path) as lock:
        assert lock is not None
        lock.write_text(json.dumps({"process": 1, "addresses": {"dagster": "http://127.0.0.1:3000"}}))
        said = call("up", PIPELINE_HOME=str(tmp_path))
    assert said.code == 2
    assert "http://127.0.0.1:3000" in said.err
    assert not (tmp_path / "postgres").exists()


def test_down_where_nothing_runs(call: Call, tmp_path: Path) -> None:
    said = call("down", "--json", PIPELINE_HOME=str(tmp_path))
    assert (said.code, said.document["stopped"]) == (0, [])


@pytest.mark.parametrize(
    ("url", "runs", "told"),
    [(None, True, ["pipeline down"]), (None, False, []), ("postgresql://u:p@h/d", True, [])],
    ids=["a server of ours", "it was stopped", "a server of their own"],
)
def test_what_the_demo_leaves_running_is_told_with_the_command_that_stops_it(
    url: str | None, runs: bool, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.delenv("PIPELINE_POSTGRES_URL", raising=False)
    if url:
        monkeypatch.setenv("PIPELINE_POSTGRES_URL", url)
    monkeypatch.setattr(EmbeddedServer, "is_running", lambda _: runs)
    assert [command for command, _ in left_running()] == told


def _document(stream: IO[str] | None) -> str:
    """What `up --json` says once everything answers; nothing more is read, because it runs on."""
    assert stream is not None
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append(stream.readline())
        assert lines[-1], f"up ended before it was ready: {lines}"
    return "".join(lines)


def test_up_serves_and_down_ends_all_of_it(call: Call) -> None:
    home = Home(Path(tempfile.mkdtemp(prefix="pipeline-up-")))
    ports = free_ports(5)
    words = [f"{option}={port}" for option, port in zip(PORT_OPTIONS, ports, strict=True)]
    up = subprocess.Popen(
        [sys.executable, "-m", "pipeline_project.cli", "up", "--json", *words],
        env={**home.environ, "PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        addresses = json.loads(_document(up.stdout))["addresses"]
        assert [int(address.rsplit(":", 1)[1]) for address in addresses.values()] == ports
        # the shop is a stranger's; the house's own servers all say at one place that they are well
        asked = [*zip(addresses.values(), PATHS, strict=True), *((at, HEALTH) for at in [*addresses.values()][:4])]
        for address, path in asked:
            with urllib.request.urlopen(address + path, timeout=300) as answer:
                assert answer.status == 200
        started = psutil.Process(up.pid).children(recursive=True)
        password = (home.folder / "postgres" / "password").read_text()
        assert not [p for p in started if password in " ".join(p.cmdline())]
        assert not [log for log in (home.folder / "logs").iterdir() if password in log.read_text()]
        assert call("down", "--json", **home.environ).document["stopped"] == ["pipeline up"]
        assert up.wait(600) == 0
        assert psutil.wait_procs(started, timeout=300)[1] == []
        assert not EmbeddedServer(home.folder / "postgres").is_running()
    finally:
        up.kill()
        EmbeddedServer(home.folder / "postgres").stop()
        shutil.rmtree(home.folder)
