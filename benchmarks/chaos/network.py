"""Hosts on one machine: network namespaces with an address each, on a bridge; made and removed here.

A process of a host reaches the others by their addresses alone. Folders are those of the machine, so what may not be
shared has to lie in a folder of its own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.verdicts import CannotMeasure

BRIDGE, NET = "pipeline0", "10.213.77"
#: The machine's own address on the bridge.
MACHINE = f"{NET}.1"


@dataclass(frozen=True)
class Host:
    """One namespace."""

    name: str
    number: int

    @property
    def address(self) -> str:
        return f"{NET}.{self.number}"

    @property
    def namespace(self) -> str:
        return f"pipeline-{self.name}"

    @property
    def inside(self) -> list[str]:
        """What a command begins with that runs there."""
        return ["ip", "netns", "exec", self.namespace]

    def cut(self) -> None:
        """Nothing comes or goes any more, and nobody is told."""
        _ip("link", "set", self._cable, "down")

    def join(self) -> None:
        """Ends what `cut` began."""
        _ip("link", "set", self._cable, "up")

    @property
    def _cable(self) -> str:
        return f"pipeline-v{self.number}"

    def _make(self) -> None:
        end = f"pipeline-e{self.number}"
        _ip("netns", "add", self.namespace)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", end)
        _ip("link", "set", self._cable, "master", BRIDGE, "up")
        _ip("link", "set", end, "netns", self.namespace)
        for words in (
            ["addr", "add", f"{self.address}/24", "dev", end],
            ["link", "set", end, "up"],
            ["link", "set", "lo", "up"],
        ):
            _ip("-n", self.namespace, *words)


def refused() -> str | None:
    """Why this machine makes no namespaces for us; None where it does."""
    if shutil.which("ip") is None:
        return "there is no `ip` (iproute2)"
    if os.geteuid() != 0:
        return "network namespaces are root's to make"
    # several processes may ask at once
    tried = f"tried-{os.getpid()}"
    try:
        _ip("netns", "add", tried)
        _ip("link", "add", tried, "type", "bridge")
    except CannotMeasure as why:
        return str(why)
    finally:
        _remove([tried], tried)
    return None


@contextmanager
def network(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Hosts by name, as long as the block lasts; another one that this machine has is waited for. What an ended run has
    left is removed first.

    Raises:
        CannotMeasure: namespaces are not permitted here.
    """
    if why := refused():
        raise CannotMeasure(why)
    hosts = {name: Host(name, number) for number, name in enumerate(names, start=2)}
    namespaces = [host.namespace for host in hosts.values()]
    with (Path(tempfile.gettempdir()) / f"{BRIDGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from _made(hosts, namespaces)


def _made(hosts: dict[str, Host], namespaces: Sequence[str]) -> Iterator[dict[str, Host]]:
    _remove(namespaces, BRIDGE)
    try:
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{MACHINE}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for host in hosts.values():
            host._make()
        yield hosts
    finally:
        _remove(namespaces, BRIDGE)


def _remove(namespaces: Sequence[str], bridge: str) -> None:
    for words in (*(["netns", "del", each] for each in namespaces), ["link", "del", bridge]):
        # not there is as good
        subprocess.run(["ip", *words], capture_output=True, check=False)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasure(f"`ip {' '.join(words)}` says: {done.stderr.strip()}")
