"""Whether a workflow's cases still are who they were: a change of ids or of the name may not pay a case twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from pipeline_project.domain.core.nights import Cadence, on_day


@dataclass(frozen=True)
class Identity:
    """What a spec says of who its cases are.

    Attributes:
        workflow: the name.
        made_from: how the id is made: the column of the id field, or the columns that are hashed, in order.
        renamed_from: earlier names.
        new_cases_from: the first night whose cases are new ones, or None.
        shared_with: workflows that may decide the same rows.
    """

    workflow: str
    made_from: tuple[str, ...]
    renamed_from: tuple[str, ...] = ()
    new_cases_from: str | None = None
    shared_with: frozenset[str] = frozenset()

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Identity:
        """The identity that a spec declares.

        Args:
            spec: as JSON, as the ledger keeps it; an older one may lack keys.
        """
        fields: Mapping[str, Mapping[str, Any]] = spec.get("fields") or {}
        own = [field.get("column") or name for name, field in fields.items() if field.get("role") == "id"]
        made_from = ("column", own[0]) if own else ("hash", *(spec.get("id_from") or ()))
        return cls(
            str(spec.get("workflow") or ""),
            tuple(made_from),
            tuple(spec.get("renamed_from") or ()),
            _first_new(spec),
            frozenset((spec.get("twins") or {}).get("shared_with") or {}),
        )

    @property
    def words(self) -> str:
        kind, *columns = self.made_from
        return f"the column {columns[0]}" if kind == "column" else f"`id_from: [{', '.join(columns)}]`"


def _first_new(spec: Mapping[str, Any]) -> str | None:
    """The night of `new_cases_from`, whose day is in the workflow's zone; specs of before cadences are of days."""
    day, nights = spec.get("new_cases_from"), spec.get("nights") or {}
    if day is None:
        return None
    cadence = Cadence(nights.get("every", Cadence.DAY))
    return on_day(date.fromisoformat(day), str(nights.get("time_zone", "UTC")), cadence)


def changed_ids(now: Identity, earlier: Sequence[Identity], night: str, decided_otherwise: bool) -> str | None:
    """Why a night may not be decided with these ids, in a sentence that says what to do; None when it may.

    Args:
        earlier: of the specs under which the workflow has decided.
        decided_otherwise: whether this night was decided under one of them with other ids.
    """
    other = next((identity for identity in reversed(earlier) if identity.made_from != now.made_from), None)
    if other is None:
        return None
    what = f"the ids of {now.workflow} are made from {now.words}, those under which it decided from {other.words}"
    if decided_otherwise:
        return (
            f"{what}: {night} is one of those nights, and what was decided stays decided. Run nights that were not "
            "decided yet, or give the spec its earlier ids back"
        )
    if now.workflow in now.renamed_from:
        return None
    return _unless_new(now, night, what)


def same_source(now: Identity, other: Identity, night: str) -> str | None:
    """Why a night may not be decided although another workflow decides the rows of the same source; None when it may.

    Args:
        other: of the newest spec of a workflow that has decided cases of that source.
    """
    if other.workflow in now.renamed_from or other.workflow in now.shared_with or now.workflow in other.shared_with:
        return None
    if now.workflow in other.renamed_from:
        return (
            f"{other.workflow} took the place of {now.workflow} (its `renamed_from`) and reads the same source; take "
            f"{now.workflow} away, or take `renamed_from` out of {other.workflow}"
        )
    what = f"{other.workflow} has decided cases of the very source that {now.workflow} reads"
    return _unless_new(now, night, what, other.workflow)


def _unless_new(now: Identity, night: str, what: str, other: str | None = None) -> str | None:
    if now.new_cases_from is None:
        also = f", or `twins.shared_with.{other}` with the reason why both may decide the same rows" if other else ""
        return (
            f"{what}: the same cases would be decided again. Write `renamed_from: {other or now.workflow}` if they are "
            f"the same cases, `new_cases_from: NIGHT` if those from a night on are new{also}"
        )
    if night < now.new_cases_from:
        return f"{what}, and {night} comes before `new_cases_from` ({now.new_cases_from}); run later nights"
    return None


def overlap(mine: Iterable[str], theirs: Collection[str]) -> bool:
    """Whether two workflows read the same places: equal ones, or patterns of which one covers the other."""
    return any(_covers(one, other) or _covers(other, one) for one in mine for other in theirs)


def _covers(pattern: str, place: str) -> bool:
    return pattern == place or fnmatchcase(place, pattern.replace("[", "[[]"))
