"""What a key of the spec wants, in words: for the sentences about mistakes and for docs/workflows.md."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Discriminator, Tag
from pydantic.fields import FieldInfo

from pipeline_project.domain.core.names import Slug
from pipeline_project.domain.core.quantities import PERCENT, PORTION, SHARE
from pipeline_project.spec.base import is_part, keys_of
from pipeline_project.spec.workflow import Currency, Owner

_PATTERNS = {
    get_args(Slug)[1].pattern: "a name of lower-case letters, digits and underscores that begins with a letter",
    get_args(Owner)[1].pattern: "an e-mail address, or team:name",
    get_args(Currency)[1].pattern: "three capital letters such as EUR",
    PERCENT: "a share up to 100% such as 20%",
}
_PLAIN: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a day such as 2025-01-31",
    type(None): "nothing",
}


@dataclass(frozen=True)
class WantedValue:
    """A type with what is attached to it.

    Attributes:
        kind: the bare type: a class, `dict`, `tuple`, a Literal, or a union.
        limits: pydantic's metadata: bounds, patterns, tags.
    """

    kind: Any
    limits: tuple[Any, ...] = ()

    @property
    def branches(self) -> tuple[WantedValue, ...]:
        """The members of a union without None; the type itself when it is none."""
        if get_origin(self.kind) not in (Union, types.UnionType):
            return (self,)
        members = [wanted(member) for member in get_args(self.kind) if member is not type(None)]
        if len(members) == 1:
            return (WantedValue(members[0].kind, (*members[0].limits, *self.limits)),)
        return tuple(members)

    @property
    def entry(self) -> WantedValue | None:
        """What a list or a group of names holds."""
        only = self.branches[0]
        arguments = get_args(only.kind)
        if get_origin(only.kind) is tuple:
            return wanted(arguments[0])
        return wanted(arguments[1]) if get_origin(only.kind) is dict else None

    @property
    def is_part(self) -> bool:
        return is_part(self.kind)

    @property
    def tagged(self) -> dict[str, WantedValue]:
        """The members of a union that is told apart by a tag, by their tags; empty for anything else."""
        discriminator = next((d for limit in self.limits if (d := _discriminator(limit)) is not None), None)
        if discriminator is None:
            return {}
        if isinstance(discriminator, str):
            kinds = (get_args(keys_of(branch.kind)[discriminator].annotation)[0] for branch in self.branches)
            return dict(zip(kinds, self.branches, strict=True))
        return {limit.tag: branch for branch in self.branches for limit in branch.limits if isinstance(limit, Tag)}


def _discriminator(limit: Any) -> Any:
    if isinstance(limit, Discriminator):
        return limit.discriminator
    return limit.discriminator if isinstance(limit, FieldInfo) else None


def wanted(annotation: Any) -> WantedValue:
    """The type a key wants, from a model's field or a bare annotation."""
    if isinstance(annotation, FieldInfo):
        inner = wanted(annotation.annotation)
        own = [annotation] if annotation.discriminator is not None else []
        return WantedValue(inner.kind, (*inner.limits, *annotation.metadata, *own))
    if get_origin(annotation) is Annotated:
        base, *limits = get_args(annotation)
        inner = wanted(base)
        flat = [part for limit in limits for part in (limit, *getattr(limit, "metadata", ()))]
        return WantedValue(inner.kind, (*inner.limits, *flat))
    return WantedValue(annotation)


def in_words(want: WantedValue) -> str:
    """`a whole number of at least 64`, `one of csv, jsonl, parquet`."""
    tagged = want.tagged
    if tagged and all(branch.is_part for branch in tagged.values()):
        return f"a group of keys with `kind: {'`, `kind: '.join(tagged)}`"
    branches = want.branches
    if len(branches) > 1:
        return ", or ".join(dict.fromkeys(in_words(branch) for branch in branches))
    return _one(branches[0])


def _one(want: WantedValue) -> str:
    kind, limits = want.kind, want.limits
    origin = get_origin(kind)
    if origin is Literal:
        return _choice([str(value) for value in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choice([str(member.value) for member in kind])
    if origin is tuple or origin is dict:
        entry = want.entry or WantedValue(str)
        least = _limit(limits, "min_length")
        some = f"at least {least} " if least and least > 1 else ""
        if origin is tuple:
            return f"a list of {some}{plural(entry)}"
        return f"a group of names, each with {'keys of its own' if entry.is_part else in_words(entry)}"
    if want.is_part:
        return "a group of keys"
    pattern = _limit(limits, "pattern")
    if pattern in _PATTERNS:
        return _PATTERNS[pattern]
    if _limit(limits, "max_length") == 1:
        return "one character"
    percent = ", or a percentage such as 20%" if any(limit in (PORTION, SHARE) for limit in limits) else ""
    return _PLAIN.get(kind, "text") + _bounds(limits) + percent


def plural(want: WantedValue) -> str:
    """The entries of a list, in words."""
    if want.is_part:
        return "groups of keys"
    if get_origin(want.kind) is tuple:
        return "lists of field names"
    singular = _one(want)
    return {"text": "texts", _PATTERNS[get_args(Slug)[1].pattern]: "names"}.get(singular, f"entries, each {singular}")


def _choice(values: list[str]) -> str:
    values = [value if value.isidentifier() else f'"{value}"' for value in values]
    return f"one of {', '.join(values)}" if len(values) > 1 else values[0]


def _bounds(limits: tuple[Any, ...]) -> str:
    low, high = _limit(limits, "ge"), _limit(limits, "le")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def _limit(limits: tuple[Any, ...], name: str) -> Any:
    values = (getattr(limit, name, None) for part in limits for limit in _flat(part))
    return next((value for value in values if value is not None), None)


def _flat(limit: Any) -> Iterator[Any]:
    yield limit
    yield from getattr(limit, "metadata", ())
