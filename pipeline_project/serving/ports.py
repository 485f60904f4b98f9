"""The ports of `pipeline up`: where each service listens, and whether it can."""

from __future__ import annotations

import socket
from dataclasses import dataclass, fields

HERE = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """Where each listens; as they stand here where nobody says otherwise."""

    dagster: int = 3000
    mlflow: int = 5000
    reports: int = 3002
    desk: int = 3004
    shop: int = 3006

    def addresses(self) -> dict[str, str]:
        """What people open, bound to this machine alone."""
        return {field.name: f"http://{HERE}:{getattr(self, field.name)}" for field in fields(self)}

    def in_use(self) -> dict[str, int]:
        """By option, the ports that another program listens on, or that are given twice."""
        occupied: dict[str, int] = {}
        seen: set[int] = set()
        for field in fields(self):
            port = getattr(self, field.name)
            if port in seen or not is_free(port):
                occupied["--port" if field.name == "dagster" else f"--{field.name}-port"] = port
            seen.add(port)
        return occupied


def is_free(port: int) -> bool:
    """Whether nobody on this machine listens on a port."""
    with socket.socket() as probe:
        # as the servers do: a connection that was just closed does not keep its port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HERE, port))
        except OSError:
            return False
    return True
