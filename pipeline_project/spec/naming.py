"""The variables of the environment that a spec names, and where it does."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, get_args

from pipeline_project.domain.core.variables import Use, in_label_order, nameable, not_nameable
from pipeline_project.spec.base import Part, Where, is_part, keys_of


def disallowed(part: Part, listed: Collection[str], tenant: str = "") -> Iterator[tuple[Where, str]]:
    """Where a spec names a variable that it may not, and what to set; `listed` are the names the operator allows."""
    for where, name, use in _named(part, ()):
        if not nameable(name, listed, use, tenant):
            yield where, not_nameable(name, use, tenant)


def _named(value: Any, where: Where) -> Iterator[tuple[Where, str, Use]]:
    kind: type = type(value)
    if is_part(kind):
        for name, info in keys_of(kind).items():
            given, here = getattr(value, name), (*where, info.alias or name)
            use = _use(info.metadata) or _use_within(info.annotation)
            if use is None:
                yield from _named(given, here)
            elif given is not None:
                yield from (
                    (here, reference, use) for reference in (in_label_order(given) if use is Use.TEXT else [given])
                )
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _named(entry, (*where, key))
    elif isinstance(value, tuple | list):
        for at, entry in enumerate(value):
            yield from _named(entry, (*where, at))


def _use(marks: Collection[Any]) -> Use | None:
    return next((mark for mark in marks if isinstance(mark, Use)), None)


def _use_within(annotation: Any) -> Use | None:
    """As marked within `... | None`."""
    return next((use for part in get_args(annotation) if (use := _use(getattr(part, "__metadata__", ())))), None)
