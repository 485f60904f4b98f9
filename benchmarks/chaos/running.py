"""`pipeline up` of a house, its API and its services: started, asked and killed as somebody before a screen would."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from tests.integration.house import ROOT, House

#: Seconds that a start may take.
START = 400.0
BACKFILL = """mutation($wanted: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $wanted) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""


@dataclass
class Up:
    """One `pipeline up` of a house."""

    house: House
    ports: tuple[int, ...]
    process: subprocess.Popen[bytes]

    @classmethod
    def started(cls, house: House, ports: tuple[int, ...]) -> Up:
        """Starts it and waits until it says that it is ready."""
        names = ("--port", "--mlflow-port", "--reports-port", "--desk-port", "--shop-port")
        words = [word for name, port in zip(names, ports, strict=True) for word in (name, str(port))]
        command = [sys.executable, "-m", "pipeline_project.cli", "up", *words]
        said = house.home / "up.log"
        with said.open("wb") as log:
            process = subprocess.Popen(command, env=environ_of(house), cwd=ROOT, stdout=log, stderr=log)
        until = time.monotonic() + START
        while b"Ready:" not in said.read_bytes():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"`pipeline up` did not start:\n{said.read_text(errors='replace')[-2000:]}")
            time.sleep(0.3)
        return cls(house, ports, process)

    def service(self, words: str) -> psutil.Process:
        """The service whose command holds these words."""
        for each in psutil.Process(self.process.pid).children():
            if words in " ".join(each.cmdline()):
                return each
        raise RuntimeError(f"no service runs with {words!r}")

    def ask_for(self, nights: list[str]) -> None:
        """A backfill of the nightly job, as the UI asks for it."""
        job = f"{self.house.name}_nightly"
        repository = {"repositoryName": "__repository__", "repositoryLocationName": "pipeline_project"}
        selector = {"repositorySelector": repository, "partitionSetName": f"{job}_partition_set"}
        (said,) = self.ask(BACKFILL, wanted={"selector": selector, "partitionNames": nights}).values()
        if said["__typename"] != "LaunchBackfillSuccess":
            raise RuntimeError(f"the backfill was refused: {said}")

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """What Dagster's API answers.

        Raises:
            RuntimeError: it answers with an error.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        address = f"http://127.0.0.1:{self.ports[0]}/graphql"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            said = json.load(answer)
        if "errors" in said:
            raise RuntimeError(f"the API answers {said['errors']}")
        return dict(said["data"])

    def ended(self, seconds: float) -> bool:
        """Whether it ends by itself within some seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            if not self.ended(120):
                kill_all(psutil.Process(self.process.pid))


def kill_all(process: psutil.Process) -> None:
    """A process with everything below it, which has no time to write anything down."""
    family = [process, *process.children(recursive=True)]
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.suspend()
    # what came to life in between is below somebody who now stands still
    late = [child for child in process.children(recursive=True) if child not in family]
    for each in [*family, *late]:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs([*family, *late], 30)


def environ_of(house: House) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "DAGSTER_"))}
    return {**kept, **house.environ}


def free_ports(count: int) -> tuple[int, ...]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = tuple(each.getsockname()[1] for each in held)
    for each in held:
        each.close()
    return ports
