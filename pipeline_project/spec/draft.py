"""The sound parts of a spec, and what the rules over them share."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from pipeline_project.domain.core import schema as domain
from pipeline_project.spec.base import SpecFinding, Where

NUMBER, CATEGORY, TEXT = domain.FieldType.NUMBER, domain.FieldType.CATEGORY, domain.FieldType.TEXT
IMAGE, TIME, IDENTIFIER = domain.FieldType.IMAGE, domain.FieldType.TIME, domain.FieldType.IDENTIFIER

_WHY_NOT_LATER = (
    "is known_later, so {use}: on the night of the decision it has no value yet, and in the past it gives the "
    "outcome away"
)


# A comparison of names costs the product of their lengths: what no person wrote is not looked through for likeness.
_LONGEST_NAME, _MOST_NAMES, _MOST_LISTED = 100, 500, 40


class Absent(Exception):
    """A rule asked for a part that is broken or missing."""


class Draft:
    """The parts of a spec that are sound so far, by the names they have in the spec."""

    def __init__(self, parts: Mapping[str, Any], broken_fields: Iterable[str] = ()) -> None:
        self._parts = parts
        self.broken_fields = frozenset(broken_fields)

    def __getattr__(self, name: str) -> Any:
        if name not in self._parts:
            raise Absent(name)
        return self._parts[name]

    @property
    def field_names(self) -> tuple[str, ...]:
        """Every declared field, the broken ones included."""
        return (*self.fields, *sorted(self.broken_fields))


#: Names every mistake of one kind; stops where it asks for a part that is absent.
Rule = Callable[[Draft], Iterator[SpecFinding]]


def closest(name: str, names: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing when no name is near."""
    if len(name) > _LONGEST_NAME:
        return ""
    candidates = [other for other in islice(names, _MOST_NAMES) if len(other) <= _LONGEST_NAME]
    near = difflib.get_close_matches(name.lower(), candidates, n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def any_of(names: Iterable[str]) -> str:
    """`a, b or c`."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def why_not_later(name: str, use: str) -> str:
    """Why a field that is known later has no place somewhere; `use` is what cannot be."""
    return f"{name} {_WHY_NOT_LATER.format(use=use)}"


def is_field(draft: Draft, where: Where, name: str) -> Iterator[SpecFinding]:
    """Nothing when a field has this name."""
    if name not in draft.field_names:
        near = closest(name, draft.field_names)
        yield SpecFinding(where, f"{name} is no field{near or there_are(draft.field_names)}")


def there_are(names: Iterable[str]) -> str:
    """`; there are a, b`."""
    every = list(names)
    more = f" and {len(every) - _MOST_LISTED:,} more" if len(every) > _MOST_LISTED else ""
    return f"; there are {', '.join(every[:_MOST_LISTED]) or 'none'}{more}"
