"""`pipeline up` and `pipeline down`: ports, one `up` a home, services that die, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from pipeline_project.commands.demo import left_running
from pipeline_project.commands.services import Ports, Running, Service
from pipeline_project.commands.up import RESTART_SECONDS, _one_died, _only_one, _replace
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


def test_one_port_given_twice_is_in_use() -> None:
    one, other, desk, shop = free_ports(4)
    assert Ports(one, other, one, desk, shop).in_use() == {"--reports-port": one}


def test_a_second_up_in_the_same_home_names_the_addresses(call: Call, tmp_path: Path) -> None:
    with _only_one(tmp_path) as lock:
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


PARENT = """
import subprocess, sys, time
print("password " * 3, flush=True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600 if sys.argv[1] == "stays" else 0)
"""


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("how", ["stays", "dies"])
def test_no_child_of_a_service_is_left(how: str, tmp_path: Path) -> None:
    service = Service("parent", [sys.executable, "-c", PARENT, how], lambda _: True)
    running = Running(service, {}, tmp_path)
    deadline = time.monotonic() + 300
    while len(running.log.read_text().splitlines()) < 2 or (how == "dies" and not running.died):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = psutil.Process(int(running.log.read_text().splitlines()[1]))
    running.ask_to_stop()
    running.end(time.monotonic() + 3)
    assert running.died
    deadline = time.monotonic() + 300
    while lives(child):
        assert time.monotonic() < deadline, "a child of the service lives on"
        time.sleep(0.05)


def test_logs_do_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_project.commands.services.LOG_BYTES", 1000)
    service = Service("talker", [sys.executable, "-c", "for n in range(2000): print('line', n)"], lambda _: True)
    running = Running(service, {}, tmp_path)
    running.end(time.monotonic() + 600)
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 4
    assert max(sizes) <= 1000
    assert "line 1999" in running.log.read_text()


@pytest.mark.night
@pytest.mark.parametrize("replaceable", [True, False])
def test_what_dies_and_may_be_replaced_is_started_again(replaceable: bool, tmp_path: Path) -> None:
    service = Service("sends", [sys.executable, "-c", ""], lambda _: True, replaceable=replaceable)
    died = Running(service, os.environ, tmp_path)
    died.process.wait(600)
    running = [died]
    _replace(running, lambda again: Running(again, os.environ, tmp_path))
    assert running == [died], "not at once: what dies on every start would spin"
    died.started -= RESTART_SECONDS + 1
    _replace(running, lambda again: Running(again, os.environ, tmp_path))
    assert (running[0] is died) != replaceable
    assert _one_died(running) != replaceable
    running[0].process.wait(600)


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
        for address, path in zip(addresses.values(), PATHS, strict=True):
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
