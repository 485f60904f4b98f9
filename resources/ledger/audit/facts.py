"""How a row of a table becomes a fact of the chain, such that the same fact can be made again from the table.

Values are spelled by the column's type, so that a number that went in as 40 and comes back as 40.0 is one number. Only
the columns given are covered: hand over the whole row where a change to any of it should be found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Date, DateTime, Double, Float, Numeric, Row, Table, UniqueConstraint

from pipeline_project.domain.audit.canonical import as_floats, decimal_text, moment, plain, spelled
from resources.ledger.audit.coverage import MATRIX, state_of_action
from resources.ledger.tables.nights import NightColumn

TABLE = "table"

#: Values of one row in the chain's spelling, by column.
Spelling: TypeAlias = Mapping[str, Any]
#: What a digest begins with.
DIGEST = "sha256:"

#: Columns that name the person who did something, the most telling first.
PEOPLE = (
    "person", "made_by", "answered_by", "approver", "approved_by", "proposer", "proposed_by", "decided_by",
    "revealed_by", "granted_by", "changed_by", "created_by", "asked_by", "by", "actor",
)  # fmt: skip
_PERSON = "person:"


@dataclass(frozen=True, slots=True)
class Fact:
    """What a writer tells the chain.

    Attributes:
        table: the values are columns of one row of it; None where no row stands behind the fact.
        values: nothing personal; in a spelled fact those that the chain holds.
    """

    table: str | None
    values: Mapping[str, Any]

    @classmethod
    def of(cls, table: str, row: Row[*tuple[Any, ...]]) -> Fact:
        """A row as the database gave it."""
        return cls(table, row._asdict())


class ChainColumns(NamedTuple):
    """What the chain holds of a fact beside its body, so that it can be looked for.

    Attributes:
        source: the table, where the fact names one.
        key: the spelling of that row's key, where the fact holds all of it.
    """

    source: str | None
    key: str | None
    case_id: str | None
    person: str | None


@dataclass(frozen=True)
class ChainRow:
    """One row of the chain before it has a place in it.

    Attributes:
        body: the canonical spelling of the mapping.
        source, key, case_id, person: as in `ChainColumns`.
    """

    body: str
    source: str | None
    key: str | None
    case_id: str | None
    person: str | None


def chain_row(fact: Fact) -> ChainRow:
    """A fact as the chain holds it.

    Raises:
        ValueError: a value has no spelling, or a key is no column of the table of facts that is named.
    """
    if fact.table is None:
        spelling = plain(fact.values)
    else:
        spelling = {TABLE: fact.table, **row_values(_tables()[fact.table], fact.values)}
    return ChainRow(spelled(spelling), **columns_of(spelling)._asdict())


def columns_of(spelling: Spelling) -> ChainColumns:
    """What the chain holds beside a spelled mapping."""
    source, case = spelling.get(TABLE), spelling.get("case_id", spelling.get("case"))
    table = None if source is None else _tables().get(str(source))
    return ChainColumns(
        source=None if source is None else str(source),
        key=None if table is None else key_of(table, spelling),
        case_id=None if case is None else str(case),
        person=_person(spelling),
    )


def row_values(table: Table, row: Mapping[str, Any]) -> Spelling:
    """A row's values in the chain's spelling, by column.

    Raises:
        ValueError: a key is no column of the table, whose rows are facts.
    """
    readers = _readers(table)
    unknown = row.keys() - readers.keys()
    if unknown and table.name in _facts():
        raise ValueError(f"{', '.join(sorted(unknown))}: no column of {table.name}; leave it out of the fact")
    return {name: None if value is None else readers.get(name, plain)(value) for name, value in row.items()}


def key_of(table: Table, spelling: Spelling) -> str | None:
    """The spelling of a row's key, or None where some of it is missing."""
    columns = key_columns(table)
    if any(spelling.get(name) is None for name in columns):
        return None
    return spelled([spelling[name] for name in columns])


@lru_cache(maxsize=256)
def key_columns(table: Table) -> tuple[str, ...]:
    """What tells the rows of a table apart: a key that means something rather than a number counted up."""
    identity = any(column.identity is not None for column in table.primary_key)
    if not identity:
        return tuple(column.name for column in table.primary_key)
    unique = [rule for rule in table.constraints if isinstance(rule, UniqueConstraint)]
    whole = [rule for rule in unique if not any(column.nullable for column in rule.columns)]
    if not whole:
        return tuple(column.name for column in table.primary_key)
    first = min(whole, key=lambda rule: (len(rule.columns), str(rule.name)))
    return tuple(column.name for column in first.columns)


@lru_cache(maxsize=1)
def _tables() -> Mapping[str, Table]:
    from resources.ledger.schema import metadata

    return metadata.tables


@lru_cache(maxsize=1)
def _facts() -> frozenset[str]:
    from resources.ledger.schema import FACTS

    return frozenset(FACTS)


@lru_cache(maxsize=256)
def _readers(table: Table) -> Mapping[str, Callable[[Any], Any]]:
    return {column.name: _reader(column.type) for column in table.columns}


def _reader(kind: Any) -> Callable[[Any], Any]:
    if isinstance(kind, NightColumn):
        return plain
    if isinstance(kind, Date):
        return _day
    if isinstance(kind, DateTime):
        return _time
    if isinstance(kind, Double | Float):
        return lambda value: plain(float(value))
    if isinstance(kind, Numeric):
        return lambda value: decimal_text(_to_scale(value, kind.scale))
    return plain


def _day(value: Any) -> str:
    return value if isinstance(value, str) else date(value.year, value.month, value.day).isoformat()


def _time(value: Any) -> str:
    return moment(datetime.fromisoformat(value) if isinstance(value, str) else value)


def _to_scale(value: Any, scale: int | None) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    return number if scale is None or not number.is_finite() else round(number, scale)


def held(table: Table, row: Mapping[str, Any]) -> Spelling:
    """What the chain holds of a row as it stands in its table: spelled, long and secret columns as digests."""
    coverage = MATRIX[table.name]
    chosen = row.keys() & (coverage.columns | set(key_columns(table)))
    spelling = dict(row_values(table, {name: row[name] for name in chosen}))
    for name in coverage.digested_columns & spelling.keys():
        spelling[name] = digest_of(table, name, spelling)
    if table.name == "actions" and "state" in spelling:
        spelling["state"] = state_of_action(str(row["state"]), bool(row["live"]))
    return spelling


def digest_of(table: Table, column: str, spelling: Spelling) -> str | None:
    """A column's digest, made with the row's key: the same text in two rows has two."""
    value = spelling[column]
    if value is None:
        return None
    parts = [table.name, column, *(spelling[name] for name in key_columns(table)), as_floats(value)]
    return DIGEST + sha256(spelled(parts).encode()).hexdigest()


def needed(table: Table, values: Mapping[str, Any]) -> frozenset[str]:
    """The columns that a fact must say and whose values are read from its row.

    One that names a column that may change tells of that change and no more; any other tells the whole row.
    """
    coverage = MATRIX[table.name]
    changed = values.keys() & coverage.latest_columns
    if changed:
        return frozenset(changed)
    return coverage.columns - (values.keys() - coverage.digested_columns)


def same(one: Any, other: Any) -> bool:
    """Whether two spelled values are one value.

    jsonb keeps the float 1e+23 as the whole number 10**23: beyond what floats tell apart both are read as floats.
    """
    if type(one) is type(other) and not isinstance(one, dict | list):
        return bool(one == other)
    return spelled(one) == spelled(other) or spelled(as_floats(one)) == spelled(as_floats(other))


def _person(spelling: Spelling) -> str | None:
    for name in PEOPLE:
        value = spelling.get(name)
        if isinstance(value, str) and (name not in ("made_by", "actor", "by") or value.startswith(_PERSON)):
            return value.removeprefix(_PERSON)
    return None
