"""The services of `pipeline up`: their ports, their logs, those that die, and that no child of one is left."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from pipeline_project.serving.ports import Ports
from pipeline_project.serving.processes import Running, Service
from pipeline_project.serving.supervisor import RESTART_SECONDS, StopSignal, Supervisor

NEVER = cast(StopSignal, SimpleNamespace(received=False))


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def test_one_port_given_twice_is_in_use() -> None:
    one, other, desk, shop = free_ports(4)
    assert Ports(one, other, one, desk, shop).in_use() == {"--reports-port": one}


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
    monkeypatch.setattr("pipeline_project.serving.processes.LOG_BYTES", 1000)
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
    supervisor = Supervisor(os.environ, tmp_path, print, NEVER, [died])
    supervisor.replace_dead()
    assert supervisor.running == [died], "not at once: what dies on every start would spin"
    died.began -= RESTART_SECONDS + 1
    supervisor.replace_dead()
    assert (supervisor.running[0] is died) != replaceable
    assert supervisor.one_died() != replaceable
    supervisor.running[0].process.wait(600)


@pytest.mark.parametrize("replaceable", [True, False])
def test_nobody_waits_for_what_ended_and_will_be_started_again(replaceable: bool, tmp_path: Path) -> None:
    service = Service("desk-acme", [sys.executable, "-c", ""], lambda _: False, replaceable=replaceable)
    died = Running(service, os.environ, tmp_path)
    died.process.wait(600)
    assert Supervisor(os.environ, tmp_path, print, NEVER, [died]).all_ready() == replaceable
