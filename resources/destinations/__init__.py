"""Where actions go: one class a kind of destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pipeline_project.domain.delivery.backoff import Answer
from pipeline_project.domain.delivery.claimed_action import Sent
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.acting import FileDestination, HttpDestination, SqlDestination


class Destination(Protocol):
    """A place that takes actions, the same key once."""

    @property
    def attempts(self) -> int:
        """Tries before an action becomes a dead letter."""
        ...

    @property
    def longest_seconds(self) -> float:
        """How long one try may take; a dispatcher begins none that its lease would not outlast."""
        ...

    def send(self, action: Sent) -> Answer:
        """Sends one action and says what became of it; never raises for what the other side did."""
        ...

    def look_up(self, action: Sent) -> Answer | None:
        """What became of an action sent before: DONE, AGAIN if it was never seen, None where that cannot be asked."""
        ...

    def remembers(self, seconds: float) -> bool:
        """Whether the same key, first sent so long ago, is still answered instead of acted upon again."""
        ...


def destination(
    part: HttpDestination | SqlDestination | FileDestination,
    spec: WorkflowSpec,
    settings: Settings,
    environ: Mapping[str, str],
) -> Destination:
    """A destination as a spec declares it.

    Raises:
        SettingInvalid: the environment lacks its secret, or its database's URL.
        SourceUnreadable: the environment lacks a variable of its address.
    """
    from resources.destinations.file_drop import FileDrop
    from resources.destinations.http import HttpService
    from resources.destinations.sql import SqlTable

    if isinstance(part, HttpDestination):
        return HttpService.of(part, spec, settings, environ)
    if isinstance(part, SqlDestination):
        return SqlTable.of(part, spec, settings, environ)
    return FileDrop.of(part, spec, settings, environ)
