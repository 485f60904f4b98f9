"""Throwing away what was kept long enough, class by class; what a legal hold keeps stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine, text

from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.privacy.fields import PersonalFields, row_parts
from pipeline_project.domain.privacy.retention import DataClass, Due, Holds, due
from pipeline_project.domain.privacy.seal import NOBODY, NOTE, parsed
from resources.lake.sealed import CASES, RAW, REASONS, ROWS, SealedLake
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.privacy.forgetting import destroy, holds, holds_of
from resources.ledger.unit_of_work import unit_of_work

EMBEDDINGS = "embeddings"
_EMPTY_ROW = "{}"
_BY = "retention"

Keeps = Callable[[str | None], bool]


@dataclass(frozen=True)
class Erased:
    """What one night, or for notes one month, comes to.

    Attributes:
        when: the night, or the month as 2026-11.
        rows: rows erased, or to be erased; for notes 1, all of that month being one.
        held: rows that a legal hold keeps.
    """

    data: DataClass
    when: str
    rows: int
    held: int


class Retaining:
    """Erases the personal data of one workflow whose time is over.

    The lake's newest version holds nothing of it any more; `SealedLake.tidy` takes the earlier versions away, and
    `pipeline retention` calls it.

    Args:
        engine: of the ledger, as its owner.
        fields: what is personal in the workflow's cases, or None.
    """

    def __init__(self, lake: SealedLake, engine: Engine, workflow: str, fields: PersonalFields | None) -> None:
        self._lake, self._engine, self._workflow, self._fields = lake, engine, workflow, fields

    def run(self, terms: Mapping[DataClass, int | None], today: date, dry: bool) -> list[Erased]:
        """Erases what is due and says what; with `dry` it only says so. What was erased before is not listed again.

        Args:
            terms: days each class is kept after its night; None is for good.
            today: nights are counted back from it.
        """
        with unit_of_work(self._engine) as connection:
            standing = holds_of(holds(connection), self._workflow)
        erased = [self._erase(one, standing, dry) for one in due(terms, self._nights(terms), today, standing)]
        done = [one for one in erased if one.rows or one.held]
        days = terms.get(DataClass.NOTES)
        if days is not None:
            done += self._notes(days, today, standing, dry)
        if not dry:
            self._record([one for one in done if one.rows])
        return done

    def erase_vectors(self, night: str, cases: set[str]) -> int:
        """Takes the vectors of some cases of a night away, as a forgotten subject needs it; returns how many."""
        return self._vectors(night, lambda case: case not in cases, dry=False)[0]

    def _nights(self, terms: Mapping[DataClass, int | None]) -> dict[DataClass, Iterable[str]]:
        tables = {DataClass.ARRIVALS: ROWS, DataClass.CASES: (CASES,), DataClass.PHOTOS: (EMBEDDINGS,)}
        return {
            data: set().union(*(self._lake.nights(self._workflow, table) for table in of_class))
            for data, of_class in tables.items()
            if terms.get(data) is not None
        }

    def _erase(self, one: Due, standing: Holds, dry: bool) -> Erased:
        if one.data == DataClass.PHOTOS:
            owners = self._owners(one.night)
            rows, held = self._vectors(one.night, lambda case: standing.keeps(owners.get(case)), dry)
        elif one.data == DataClass.CASES:
            rows, held = self._cases(one.night, standing.keeps, dry)
        else:
            counted = [self._rows(table, one.night, standing.keeps, dry) for table in ROWS]
            rows, held = sum(count[0] for count in counted), sum(count[1] for count in counted)
        return Erased(one.data, one.night, rows, held)

    def _rows(self, table: str, night: str, keeps: Keeps, dry: bool) -> tuple[int, int]:
        sealed = self._lake.read_sealed(self._workflow, table, night)
        if sealed is None:
            return 0, 0
        raw = sealed[RAW].to_pylist()
        there = [row != _EMPTY_ROW for row in raw]
        remaining = [has and keeps(_owner(row)) for row, has in zip(raw, there, strict=True)]
        values = [row if stays else _EMPTY_ROW for row, stays in zip(raw, remaining, strict=True)]
        changed = sum(there) - sum(remaining)
        if changed and not dry:
            sealed = _with(sealed, RAW, pa.array(values, pa.string()))
            if REASONS in sealed.column_names:
                # a reason quotes what it refuses
                remaining_reasons = [
                    reasons if stays else []
                    for reasons, stays in zip(sealed[REASONS].to_pylist(), remaining, strict=True)
                ]
                sealed = _with(sealed, REASONS, pa.array(remaining_reasons, pa.list_(pa.string())))
            self._write(table, night, sealed)
        return changed, sum(remaining)

    def _cases(self, night: str, keeps: Keeps, dry: bool) -> tuple[int, int]:
        sealed, fields = self._lake.read_sealed(self._workflow, CASES, night), self._fields
        if sealed is None or fields is None:
            return 0, 0
        sealed = self._lake.pseudonymous(sealed, fields)
        named = [name for name in fields.sealed if name in sealed.column_names]
        there = _any_valid(sealed, named)
        owners = sealed[fields.subject].to_pylist() if fields.subject in sealed.column_names else [None] * len(sealed)
        return self._blanked(CASES, night, sealed, named, there, [keeps(owner) for owner in owners], dry)

    def _vectors(self, night: str, keeps: Callable[[str], bool], dry: bool) -> tuple[int, int]:
        table = self._lake.read_sealed(self._workflow, EMBEDDINGS, night)
        if table is None:
            return 0, 0
        named = ["text_vector", "image_vector", "text_key", "photo_keys"]
        there = _any_valid(table, named[:3])
        stays = [keeps(case) for case in table[CASE_ID].to_pylist()]
        return self._blanked(EMBEDDINGS, night, table, named, there, stays, dry)

    def _blanked(
        self, asset: str, night: str, table: pa.Table, named: list[str], there: list[bool], keep: list[bool], dry: bool
    ) -> tuple[int, int]:
        """Rows blanked and rows kept, of those that had anything in these columns."""
        changed = sum(has and not stays for has, stays in zip(there, keep, strict=True))
        if changed and not dry:
            stays = pa.array(keep, pa.bool_())
            for name in named:
                table = _with(table, name, pc.if_else(stays, table[name], _blank(table[name].type)))
            self._write(asset, night, table)
        return changed, sum(there) - changed

    def _owners(self, night: str) -> dict[str, str | None]:
        cases = self._lake.read_night(self._workflow, CASES, night)
        subject = self._fields.subject if self._fields is not None else None
        if cases is None or subject is None:
            return {}
        return dict(zip(cases[CASE_ID].to_pylist(), cases[subject].to_pylist(), strict=True))

    def _write(self, asset: str, night: str, table: pa.Table) -> None:
        # the note says by which spec the table was last written; upkeep must not hide that
        self._lake.write_sealed(self._workflow, asset, night, table, self._lake.last_note(self._workflow, asset))

    def _notes(self, days: int, today: date, standing: Holds, dry: bool) -> list[Erased]:
        """Months of notes, each under a key of its own: that of a month goes when its last day's time is over."""
        question = text(
            "SELECT pseudonym FROM subject_keys WHERE pseudonym = ANY(:names) AND wrapped_key IS NOT NULL FOR UPDATE"
        )
        with unit_of_work(self._engine) as connection:
            first = connection.scalar(text("SELECT min(created_at) FROM subject_keys"))
            if first is None:
                return []
            ended = _months(first.date(), today - timedelta(days=days + 1))
            of_month = {self._lake.keyring.period(NOTE + self._workflow, month): month for month in ended}
            names = sorted(connection.scalars(question, {"names": list(of_month)}), key=of_month.__getitem__)
            held = standing.workflow or bool(standing.subjects)
            if names and not held and not dry:
                append(connection, "erased", self._workflow, destroy(connection, names, _BY))
        return [Erased(DataClass.NOTES, of_month[name], int(not held), int(held)) for name in names]

    def _record(self, done: list[Erased]) -> None:
        facts = [
            Fact(None, {"data": one.data.value, "night": one.when, "rows": one.rows, "held": one.held}) for one in done
        ]
        with unit_of_work(self._engine) as connection:
            append(connection, "erased", self._workflow, facts)


def _owner(row: str) -> str | None:
    """Whose key seals a row; None for nobody known."""
    parts = row_parts(row)
    sealed = parsed(parts[0]) if parts is not None and parts[0] is not None else None
    return None if sealed is None or sealed.pseudonym == NOBODY else sealed.pseudonym


def _any_valid(table: pa.Table, named: list[str]) -> list[bool]:
    there = [False] * len(table)
    for name in named:
        there = [before or now for before, now in zip(there, table[name].is_valid().to_pylist(), strict=True)]
    return there


def _blank(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar([], kind) if pa.types.is_list(kind) else pa.scalar(None, kind)


def _with(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), table.schema.field(name), values)


def _months(first: date, last: date) -> list[str]:
    """The months that began with `first`'s and ended by `last`, as 2026-11."""
    months, month = [], first.replace(day=1)
    while (following := (month + timedelta(days=32)).replace(day=1)) <= last + timedelta(days=1):
        months.append(f"{month:%Y-%m}")
        month = following
    return months
