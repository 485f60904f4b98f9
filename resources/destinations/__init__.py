"""Where actions go: one module a kind of destination, which is added by lying here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol, Self, TypeVar

from pipeline_project.domain.delivery.backoff import DeliveryResult
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.base import Part


class Destination(Protocol):
    """A place that takes actions, the same key once."""

    @classmethod
    def of(cls, part: Any, spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str]) -> Self:
        """The destination as the spec's part declares it."""
        ...

    @property
    def attempts(self) -> int:
        """Tries before an action becomes a dead letter."""
        ...

    @property
    def longest_seconds(self) -> float:
        """How long one try may take; a dispatcher begins none that its lease would not outlast."""
        ...

    def send(self, action: ClaimedAction) -> DeliveryResult:
        """Sends one action and says what became of it; never raises for what the other side did."""
        ...

    def look_up(self, action: ClaimedAction) -> DeliveryResult | None:
        """What became of an action sent before: DONE, AGAIN if it was never seen, None where that cannot be asked."""
        ...

    def remembers(self, seconds: float) -> bool:
        """Whether the same key, first sent so long ago, is still answered instead of acted upon again."""
        ...


Kind = TypeVar("Kind", bound=type[Destination])

_DESTINATIONS: dict[type[Part], type[Destination]] = {}


def declared_as(part: type[Part]) -> Callable[[Kind], Kind]:
    """Adds the class of a kind of destination, by the part of a spec that declares one."""

    def add(kind: Kind) -> Kind:
        if part in _DESTINATIONS:
            raise ValueError(f"there is a destination for {part.__name__} already")
        _DESTINATIONS[part] = kind
        return kind

    return add


@cache
def destinations() -> Mapping[type[Part], type[Destination]]:
    """Every kind of destination, by the part of a spec that declares one."""
    for module in iter_modules(__path__, f"{__name__}."):
        import_module(module.name)
    return _DESTINATIONS


def destination(part: Part, spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str]) -> Destination:
    """A destination as a spec declares it.

    Raises:
        SettingInvalid: the environment lacks its secret, or its database's URL.
        SourceUnreadable: the environment lacks a variable of its address.
    """
    return destinations()[type(part)].of(part, spec, settings, environ)
