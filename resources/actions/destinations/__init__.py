"""Where actions go. A destination takes one action under its key and says what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pipeline_project.domain.acting.pace import Answer
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from resources.actions.sent import Sent


class Destination(Protocol):
    """A place that takes actions, the same key once."""

    @property
    def attempts(self) -> int:
        """Tries before an action becomes a dead letter."""
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


def destinations(spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str]) -> dict[str, Destination]:
    """The destinations that a spec names, by name.

    Raises:
        SettingInvalid: a secret or an address that the spec takes from the environment is missing.
    """
    from resources.actions.destinations.files import FileDrop
    from resources.actions.destinations.http import HttpService
    from resources.actions.destinations.sql import SqlTable

    makers = {"http": HttpService.of, "sql": SqlTable.of, "files": FileDrop.of}
    declared = spec.actions.destinations if spec.actions else {}
    return {name: makers[part.kind](part, spec, settings, environ) for name, part in declared.items()}  # type: ignore[operator]
