"""Rules about reference tables and the fields that are taken from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline_project.domain.core.schema import Role
from pipeline_project.spec.base import SpecFinding, Where
from pipeline_project.spec.draft import IMAGE, NUMBER, Draft, Rule, closest, is_field, there_are, why_not_later
from pipeline_project.spec.lookups import ADDITIONS, FilesLookup, says_when_known

_NO_ROLES = (Role.ID, Role.TIME, Role.SUBJECT)


def _looked_up_fields(draft: Draft) -> Iterator[SpecFinding]:
    for name, spec in draft.fields.items():
        if spec.lookup is None:
            continue
        here: Where = ("fields", name)
        if spec.lookup not in draft.lookups:
            near = closest(spec.lookup, draft.lookups)
            yield SpecFinding((*here, "lookup"), f"{spec.lookup} is no lookup{near or there_are(draft.lookups)}")
        if spec.role in _NO_ROLES:
            yield SpecFinding(
                (*here, "role"), f"what is looked up is no {spec.role} of a case; take it from the case's own columns"
            )
        if spec.parts is not None:
            yield SpecFinding((*here, "parts"), "only a time of the case itself is written in parts; name one `column`")
        if spec.holds == IMAGE:
            yield SpecFinding((*here, "type"), "photos are those that the case itself names; take `lookup` out")
        if spec.column == "match_score" and spec.holds != NUMBER:
            yield SpecFinding((*here, "type"), "`match_score` is a number from 0 to 100; write `type: number`")
        if spec.known_later:
            yield SpecFinding(
                (*here, "known_later"), "what is looked up is what was known at the case's time; take `known_later` out"
            )


def _tables(draft: Draft) -> Iterator[SpecFinding]:
    taken = {spec.lookup for spec in draft.fields.values()}
    above: list[str] = []
    for name, table in draft.lookups.items():
        here: Where = ("lookups", name)
        if name not in taken and not draft.broken_fields:
            yield SpecFinding(here, f"no field takes anything from it; write `lookup: {name}` there, or take it out")
        if not says_when_known(table):
            yield SpecFinding(
                here,
                "nothing says from when its rows were known: name the column that does (`known_at`, or `valid_from`), "
                "deliver it by night (`kind: files`), or write `always_known: true` where it tells nothing that came "
                "after a night",
            )
        if table.valid_to is not None and table.last_day is not None:
            yield SpecFinding((*here, "last_day"), "`valid_to` says already when a row ends; keep one of the two")
        if isinstance(table, FilesLookup) and table.each == ADDITIONS and table.valid_from is None:
            yield SpecFinding(
                (*here, "each"),
                "name the column that says when each row was with `valid_from`: rows come again and "
                "again, and the last one before the case's time is taken",
            )
        yield from _key(draft, here, table, above)
        yield from _personal(draft, here, name, table)
        above.append(name)


def _key(draft: Draft, here: Where, table: Any, above: list[str]) -> Iterator[SpecFinding]:
    for name in table.key:
        where = (*here, "key", name)
        yield from is_field(draft, where, name)
        spec = draft.fields.get(name)
        if spec is None:
            continue
        if spec.lookup is not None and spec.lookup not in above:
            yield SpecFinding(
                where, f"{name} is looked up in {spec.lookup}, which is not yet done then; write {spec.lookup} above"
            )
        if spec.known_later:
            yield SpecFinding(where, f"{why_not_later(name, 'nothing is looked up by it')}. Use another field")
        if spec.holds == IMAGE:
            yield SpecFinding(where, f"{name} names photos, which are no key; use another field")
    if table.near is None:
        return
    if table.near.of is not None and table.near.of not in table.key:
        yield SpecFinding((*here, "near", "of"), f"{table.near.of} is no field of the key{there_are(table.key)}")
    if table.near.of is None and len(table.key) > 1:
        yield SpecFinding((*here, "near"), f"say with `of` which field of the key is compared{there_are(table.key)}")


def _personal(draft: Draft, here: Where, name: str, table: Any) -> Iterator[SpecFinding]:
    """What names or describes a person is sealed with that person's key, in reference tables too."""
    if table.subject is not None or not any(spec.pii for spec in draft.fields.values()):
        return
    by = [field for field in table.key if _names_person(draft.fields.get(field))]
    taken = [field for field, spec in draft.fields.items() if spec.lookup == name and spec.pii]
    for field in (*by, *taken):
        yield SpecFinding(
            here,
            f"{field} is personal, so rows are about a person; name the column that says about whom with `subject`, as "
            "the cases name their subject",
        )


def _names_person(spec: Any) -> bool:
    return spec is not None and (spec.pii or spec.role == Role.SUBJECT)


LOOKUP_RULES: tuple[Rule, ...] = (_looked_up_fields, _tables)
