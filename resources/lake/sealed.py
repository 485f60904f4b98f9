"""The lake behind a door that seals: personal values enter sealed and leave in the open, for whoever has the keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.schema import CASE_ID, CONTENT, FieldType
from pipeline_project.domain.core.stored_tables import StoredTable
from pipeline_project.domain.intake.lookups.terms import LOOKUP_ROWS
from pipeline_project.domain.privacy.fields import PersonalFields, as_text, from_text, row_parts, row_token
from pipeline_project.domain.privacy.hashes import KEYED
from pipeline_project.domain.privacy.masking import mask, without_values
from pipeline_project.domain.privacy.seal import is_sealed, looks_pseudonymous
from resources.lake.delta import DeltaStore
from resources.lake.lake import DeltaLake

if TYPE_CHECKING:
    from pipeline_project.ports.lake import Lake
    from resources.ledger.privacy.keyring import PostgresKeyring

CASES, TRAINING, ROWS = "cases", "training_set", ("arrivals", "quarantine")
RAW, REASONS = "raw", "reasons"
#: Of a row of a reference table: whom it is about, and what is left of it once that person is forgotten.
SUBJECT, NOTHING = "subject", "{}"
#: Columns that hold a hash of what a row says.
HASHES = ("row_sha256", CONTENT)
#: Before the name of a column whose impersonal part is sealed with nobody's key.
REST = "the rest of "


class SealedLake(DeltaLake):
    """`DeltaLake` for workflows with personal fields; those without any pay nothing.

    - In `cases` a personal field is a column of tokens, whatever its type; reading gives the values back, null where
      the subject was forgotten. The subject is a pseudonym and stays one.
    - In `arrivals` and `quarantine` the row as it came in is sealed whole, and a second time without what is personal:
      of a forgotten subject the second is read, so that its cases stay the cases they were. So are the reasons.
    - In all three the hashes of what a row says are under a key (`domain.privacy.hashes`), and are read so: those that
      were written without one are put under it as they are read, so that old and new nights meet.
    - In `lookup_rows` a row is sealed whole where it says whom it is about; of a forgotten subject nothing is left.
    - In `training_set` a feature made from one personal field is sealed as that field is.

    What was written before its field was declared personal is read as it is.

    Args:
        url: as `DeltaLake`'s.
        personal: what is personal in a workflow, by its name; None for nothing.
        keyring: opened when the first personal value is met.
    """

    def __init__(
        self,
        url: str,
        personal: Callable[[str], PersonalFields | None],
        keyring: Callable[[], PostgresKeyring],
        storage_options: Mapping[str, str] | None = None,
        store: DeltaStore | None = None,
    ) -> None:
        super().__init__(url, storage_options, store)
        self._personal = personal
        self._open_keyring = keyring

    @cached_property
    def keyring(self) -> PostgresKeyring:
        return self._open_keyring()

    def stored_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> StoredTable | None:
        """As `DeltaLake.stored_night`.

        Raises:
            KeysUnusable, SealBroken: see `PostgresKeyring.open`.
        """
        stored = super().stored_night(workflow, asset, night, version)
        return None if stored is None else replace(stored, rows=self._opened(workflow, asset, stored.rows))

    def read_span(
        self,
        workflow: str,
        asset: str,
        first: str | None,
        before: str,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pa.Table | None:
        """As `DeltaLake.read_span`.

        Raises:
            KeysUnusable, SealBroken: see `PostgresKeyring.open`.
        """
        span = super().read_span(workflow, asset, first, before, columns, version)
        return None if span is None else self._opened(workflow, asset, span)

    def write_night(
        self,
        workflow: str,
        asset: str,
        night: str,
        table: pa.Table,
        evolve: bool = False,
        note: Mapping[str, str] | None = None,
    ) -> int:
        """As `DeltaLake.write_night`.

        Raises:
            KeysUnusable: see `PostgresKeyring.seal`.
        """
        return super().write_night(workflow, asset, night, self._sealed(workflow, asset, table), evolve, note)

    def read_sealed(self, workflow: str, asset: str, night: str) -> pa.Table | None:
        """One night as it lies in the lake, tokens and all."""
        stored = super().stored_night(workflow, asset, night)
        return None if stored is None else stored.rows

    def write_sealed(
        self, workflow: str, asset: str, night: str, table: pa.Table, note: Mapping[str, str] | None = None
    ) -> int:
        """Replaces one night by a table that is sealed already."""
        return super().write_night(workflow, asset, night, table, note=note)

    def pseudonymous(self, cases: pa.Table, fields: PersonalFields) -> pa.Table:
        """The cases under pseudonyms, those of nights from before the subject was sealed as well: they must meet."""
        if fields.subject not in cases.column_names:
            return cases
        subject = str(fields.subject)
        own = {name for name in cases[subject].unique().to_pylist() if name and not looks_pseudonymous(name)}
        if not own:
            return cases
        named = self.keyring.named(own)
        return _with(cases, subject, [named.get(name, name) for name in cases[subject].to_pylist()])

    def keyed(self, workflow: str, hashes: Sequence[str]) -> list[str]:
        """As `Lake.keyed`.

        Raises:
            KeysUnusable: see `PostgresKeyring.hashes`.
        """
        if self._personal(workflow) is None or not hashes:
            return [*hashes]
        return [str(keyed) for keyed in self.keyring.hashes(hashes)]

    def under_key(self, workflow: str, table: pa.Table) -> pa.Table:
        """A table as it lies in the lake with its hashes under the key; the same table where they are already."""
        return table if self._personal(workflow) is None else self._with_keyed_hashes(table)

    def _with_keyed_hashes(self, table: pa.Table) -> pa.Table:
        for name in HASHES:
            if name not in table.column_names:
                continue
            column = table[name].combine_chunks()
            plain = pc.invert(pc.starts_with(column, KEYED))
            if not pc.any(plain).as_py():
                continue
            keyed = self.keyring.hashes(column.filter(pc.fill_null(plain, False)).to_pylist())
            put = pc.replace_with_mask(column, pc.fill_null(plain, False), pa.array(keyed, column.type))
            table = table.set_column(table.column_names.index(name), table.schema.field(name), put)
        return table

    def _sealed(self, workflow: str, asset: str, table: pa.Table) -> pa.Table:
        fields = self._fields(workflow, asset)
        if fields is None:
            return table
        if asset == TRAINING:
            return self._sealed_training(workflow, table, fields)
        if asset == LOOKUP_ROWS:
            return self._sealed_lookups(table)
        table = self._with_keyed_hashes(table)
        return self._sealed_cases(table, fields) if asset == CASES else self._sealed_rows(table, fields)

    def _opened(self, workflow: str, asset: str, table: pa.Table) -> pa.Table:
        fields = self._fields(workflow, asset)
        if fields is None:
            return table
        if asset == TRAINING:
            return self._opened_columns(table, fields.features)
        if asset == LOOKUP_ROWS:
            return self._opened_rows(table)
        table = self._with_keyed_hashes(table)
        return self._opened_cases(table, fields) if asset == CASES else self._opened_rows(table)

    def _fields(self, workflow: str, asset: str) -> PersonalFields | None:
        return self._personal(workflow) if asset in (CASES, TRAINING, LOOKUP_ROWS, *ROWS) else None

    def _sealed_cases(self, table: pa.Table, fields: PersonalFields) -> pa.Table:
        owners: list[str | None] = [None] * table.num_rows
        if fields.subject in table.column_names and table.num_rows:
            owners = self.keyring.pseudonyms(table[fields.subject].to_pylist())
            table = _with(table, str(fields.subject), owners)
        return self._sealed_columns(table, fields.sealed, owners)

    def _sealed_training(self, workflow: str, table: pa.Table, fields: PersonalFields) -> pa.Table:
        owners: list[str | None] = [None] * table.num_rows
        if fields.subject is not None and table.num_rows and set(fields.features) & set(table.column_names):
            cases = self.read_span(workflow, CASES, None, "9999-12-31", [CASE_ID, fields.subject])
            columns = ([], []) if cases is None else (cases[CASE_ID].to_pylist(), cases[fields.subject].to_pylist())
            owner_of = dict(zip(*columns, strict=True))
            owners = [owner_of.get(case) for case in table[CASE_ID].to_pylist()]
        return self._sealed_columns(table, fields.features, owners)

    def _sealed_columns(
        self, table: pa.Table, columns: Mapping[str, FieldType], owners: Sequence[str | None]
    ) -> pa.Table:
        values = {
            name: [as_text(value) for value in table[name].to_pylist()]
            for name in columns
            if name in table.column_names
        }
        tokens = self.keyring.seal_columns(owners, values) if values and table.num_rows else values
        for name, column in tokens.items():
            table = _with(table, name, column)
        return table

    def _opened_cases(self, table: pa.Table, fields: PersonalFields) -> pa.Table:
        return self.pseudonymous(self._opened_columns(table, fields.sealed), fields)

    def _opened_columns(self, table: pa.Table, columns: Mapping[str, FieldType]) -> pa.Table:
        values = {name: table[name].to_pylist() for name in columns if name in table.column_names}
        at = {name: [row for row, value in enumerate(column) if is_sealed(value)] for name, column in values.items()}
        tokens = {name: [values[name][row] for row in rows] for name, rows in at.items()}
        opened = self.keyring.open_columns(tokens) if any(at.values()) else tokens
        for name, column in values.items():
            for row, value in zip(at[name], opened[name], strict=True):
                column[row] = from_text(value, columns[name])
            table = _with(table, name, column, columns[name].arrow)
        return table

    def _sealed_rows(self, table: pa.Table, fields: PersonalFields) -> pa.Table:
        if not table.num_rows:
            return table
        raw = table[RAW].to_pylist()
        owners = self.keyring.pseudonyms([fields.subject_of(row) for row in raw])
        whole = {RAW: raw}
        rests = {RAW: [fields.rest_of(row, owner) for row, owner in zip(raw, owners, strict=True)]}
        if REASONS in table.column_names:
            # a reason quotes what it refuses, and a torn row has a name where a number should be
            reasons = table[REASONS].to_pylist()
            whole[REASONS] = [json.dumps(of_row or [], ensure_ascii=False) for of_row in reasons]
            rests[REASONS] = [json.dumps([mask(without_values(one)) for one in of_row or []]) for of_row in reasons]
        sealed = self._doubly(owners, whole, rests)
        table = _with(table, RAW, sealed[RAW])
        if REASONS in sealed:
            table = _with(table, REASONS, [[token] for token in sealed[REASONS]], pa.list_(pa.string()))
        return table

    def _sealed_lookups(self, table: pa.Table) -> pa.Table:
        """Rows of reference tables: those that are about a person are sealed for that person, the others are not."""
        subjects, raw = table[SUBJECT].to_pylist(), table[RAW].to_pylist()
        # what was sealed already, and is written again beside new rows, came back in the open
        about = [row for row, subject in enumerate(subjects) if subject is not None]
        if not about:
            return table
        owners = self.keyring.pseudonyms([subjects[row] for row in about])
        whole = {RAW: [raw[row] for row in about]}
        sealed = self._doubly(owners, whole, {RAW: [NOTHING] * len(about)})[RAW]
        for row, owner, token in zip(about, owners, sealed, strict=True):
            subjects[row], raw[row] = owner, token
        return _with(_with(table, RAW, raw), SUBJECT, subjects)

    def _doubly(
        self, owners: Sequence[str | None], whole: Mapping[str, Sequence[str]], rests: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """By column, each value sealed for its owner together with what stays of it once the owner is forgotten."""
        theirs = self.keyring.seal_columns(owners, whole)
        ours = self.keyring.seal_columns([None] * len(owners), {REST + name: rest for name, rest in rests.items()})
        return {
            name: [row_token(*tokens) for tokens in zip(theirs[name], map(str, ours[REST + name]), strict=True)]
            for name in whole
        }

    def _opened_rows(self, table: pa.Table) -> pa.Table:
        if not table.num_rows:
            return table
        names = [name for name in (RAW, REASONS) if name in table.column_names]
        by_row = table[REASONS].to_pylist() if REASONS in names else []
        single = {row: reasons[0] for row, reasons in enumerate(by_row) if reasons and len(reasons) == 1}
        sealed = {RAW: dict(enumerate(table[RAW].to_pylist()))} if RAW in names else {}
        readable = self._undoubled({**sealed, REASONS: single})
        if RAW in names:
            table = _with(table, RAW, [readable[RAW].get(row, text) for row, text in sealed[RAW].items()])
        if REASONS in names:
            for row, text in readable[REASONS].items():
                by_row[row] = json.loads(text)
            table = _with(table, REASONS, by_row, pa.list_(pa.string()))
        return table

    def _undoubled(self, columns: Mapping[str, Mapping[int, str]]) -> dict[str, dict[int, str]]:
        """What was sealed twice, by column and row: whole, or what stays of it; a text in the open is left out."""
        parts = {
            name: {row: tokens for row, text in texts.items() if (tokens := row_parts(text)) is not None}
            for name, texts in columns.items()
        }
        if not any(parts.values()):
            return {name: {} for name in columns}
        whole = self.keyring.open_columns(
            {name: [own for own, _ in of_name.values()] for name, of_name in parts.items()}
        )
        opened = {name: dict(zip(of_name, whole[name], strict=True)) for name, of_name in parts.items()}
        left = {name: [row for row, text in rows.items() if text is None] for name, rows in opened.items()}
        rests = self.keyring.open_columns(
            {REST + name: [parts[name][row][1] for row in rows] for name, rows in left.items()}
        )
        for name, rows in left.items():
            opened[name].update(zip(rows, rests[REST + name], strict=True))
        return {name: {row: str(text) for row, text in rows.items()} for name, rows in opened.items()}


if TYPE_CHECKING:
    _CONFORMS: type[Lake] = SealedLake


def _with(table: pa.Table, name: str, values: Sequence[Any], kind: pa.DataType | None = None) -> pa.Table:
    """The table with other values in one column."""
    kind = kind or pa.string()
    return table.set_column(table.column_names.index(name), pa.field(name, kind), pa.array(values, kind))
