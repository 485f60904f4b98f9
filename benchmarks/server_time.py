"""What the embedded database itself takes of the processor."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psutil

from pipeline_project.settings import Settings
from resources.postgres.databases import embedded


@dataclass(frozen=True)
class ServerTime:
    """The processes of one embedded server."""

    postmaster: psutil.Process

    @classmethod
    def of(cls, settings: Settings) -> ServerTime:
        """The server of a home, which runs."""
        pid = (embedded(settings).data / "postmaster.pid").read_text().split()[0]
        return cls(psutil.Process(int(pid)))

    def seconds(self) -> float:
        """Of all its processes since it started, those that have ended included."""
        total = 0.0
        for process in [self.postmaster, *self.postmaster.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        return total
