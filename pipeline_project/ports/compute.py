"""Where heavy work is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from pipeline_project.spec import WorkflowSpec

T = TypeVar("T")


class Workers(Protocol):
    """Whoever makes calls that do not depend on each other: this process in turn, or many at once."""

    @property
    def at_once(self) -> int:
        """Into how many parts it pays to cut work; 1 where nothing is gained by it."""
        ...

    def call(self, function: Callable[..., T], parts: Sequence[Any], *shared: Any) -> list[T]:
        """`function(part, *shared)` of each part, in their order.

        Args:
            function: of a module, so that others find it by its name.
        """
        ...


class Compute(Protocol):
    """Where a workflow's heavy work is done."""

    def on_cluster(self, spec: WorkflowSpec) -> bool:
        """Whether it is done elsewhere than in this process."""
        ...

    def workers(self, spec: WorkflowSpec) -> Workers: ...
