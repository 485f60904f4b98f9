"""`ports.Keyring` over PostgreSQL and a folder of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text

from pipeline_project.domain.core.errors import KeysUnusable, SealBroken
from pipeline_project.domain.privacy.hashes import keyed
from pipeline_project.domain.privacy.seal import (
    NOBODY,
    NOTE,
    Sealed,
    is_pseudonym,
    parsed,
    period_name,
    pseudonym_of,
)
from resources.keys.masters import Masters
from resources.ledger.privacy import subject_keys as keys
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.locks import SUBJECT_KEYS

if TYPE_CHECKING:
    from pipeline_project.ports.keyring import Keyring

_TIMED = "for its time/"
_MONTH = text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')")


class PostgresKeyring:
    """Seals values with a key per subject, wrapped by a master key from a folder.

    Keys are looked up anew in every call and kept no longer: once a subject is forgotten, no process opens its values.
    A column of 20,000 values of as many subjects takes about a second, the first time some two.

    Args:
        engine: of the ledger.
        folder: `PIPELINE_KEYS`; keys are made there when the first subject is met.
    """

    def __init__(self, engine: Engine, folder: Path | str) -> None:
        self._engine = engine
        self.masters = Masters(folder)
        self._name_key: bytes | None = None

    def pseudonyms(self, subjects: Sequence[str | None]) -> list[str | None]:
        """As `Keyring.pseudonyms`; what is a pseudonym already stays as it is, None stays None.

        Raises:
            KeysUnusable: the folder's keys are missing or others than those the ledger was made with.
        """
        named = self.named({subject for subject in subjects if subject is not None})
        unknown = {name: subject for subject, name in named.items() if name != subject}
        if unknown:
            with unit_of_work(self._engine) as connection:
                keys.find_or_make(connection, self.masters, unknown)
        return [None if subject is None else named[subject] for subject in subjects]

    def named(self, subjects: set[str]) -> dict[str, str]:
        """The pseudonym of each subject, without a key being made for it."""
        if not subjects:
            return {}
        secret = self._names()
        return {
            subject: subject if is_pseudonym(subject, secret) else pseudonym_of(subject, secret) for subject in subjects
        }

    def seal(self, pseudonyms: Sequence[str | None], column: str, values: Sequence[str | None]) -> list[str | None]:
        """As `Keyring.seal`: None for a forgotten subject; under a key of nobody's where the pseudonym is None.

        A note (`seal.NOTE`) is sealed once more with the key of its workflow's month, for notes have a time of their
        own: it is gone when its subject is forgotten, or when the month's notes are.

        Raises:
            KeysUnusable: as `pseudonyms`.
            ValueError: a subject's own id stands where a pseudonym belongs.
        """
        return self.seal_columns(pseudonyms, {column: values})[column]

    def seal_columns(
        self, pseudonyms: Sequence[str | None], columns: Mapping[str, Sequence[str | None]]
    ) -> dict[str, list[str | None]]:
        """As `seal` for several columns of the same rows, with one look at the ledger."""
        owners = [NOBODY if name is None else name for name in pseudonyms]
        if not owners:
            return {column: [] for column in columns}
        self._check(set(owners))
        with unit_of_work(self._engine) as connection:
            subject_keys = keys.find_or_make(connection, self.masters, dict.fromkeys(owners))
            tokens = {
                column: [
                    None if value is None else subject_keys.seal(owner, column, value)
                    for owner, value in zip(owners, values, strict=True)
                ]
                for column, values in columns.items()
            }
            for column in columns:
                if column.startswith(NOTE):
                    tokens[column] = self._for_its_time(connection, column, tokens[column])
        return tokens

    def open(self, tokens: Sequence[str | None]) -> list[str | None]:
        """As `Keyring.open`.

        Raises:
            KeysUnusable: as `pseudonyms`.
            SealBroken: a text is no token, or was changed.
        """
        return [None if opened is None else opened[1] for opened in self._opened(tokens)]

    def open_columns(self, columns: Mapping[str, Sequence[str | None]]) -> dict[str, list[str | None]]:
        """As `open`, of several columns with one look at the ledger.

        Raises:
            SealBroken: a token was sealed for another column than the one that it stands in.
        """
        opened = iter(self._opened([token for tokens in columns.values() for token in tokens]))
        return {
            column: [_of_column(column, entry) for entry in islice(opened, len(tokens))]
            for column, tokens in columns.items()
        }

    def subjects(self, pseudonyms: Sequence[str]) -> list[str | None]:
        """The subjects' own ids; None of who was forgotten or is not known."""
        question = text("SELECT pseudonym, sealed_id FROM subject_keys WHERE pseudonym = ANY(:names)")
        with unit_of_work(self._engine) as connection:
            rows = connection.execute(question, {"names": sorted(set(pseudonyms))}).all()
        sealed: dict[str, str | None] = {row.pseudonym: row.sealed_id for row in rows}
        return self.open_columns({keys.ID: [sealed.get(name) for name in pseudonyms]})[keys.ID]

    def hashes(self, plain: Sequence[str | None]) -> list[str | None]:
        """Hashes of contents under the key of pseudonyms, which is never turned; see `domain.privacy.hashes`.

        Raises:
            KeysUnusable: as `pseudonyms`.
        """
        secret = self._names()
        return [None if value is None else keyed(value, secret) for value in plain]

    def period(self, what: str, month: str) -> str:
        """The name of the key of one month of notes (`seal.NOTE` with a workflow's name), as in 2026-11."""
        return period_name(what, month, self._names())

    def rotate(self, destroy: bool = False) -> tuple[int, int]:
        """Makes a new master key and wraps every subject's key by it; returns its number and how many it wraps anew.

        Nothing that is sealed changes. What stopped halfway is done again by the next call.

        Args:
            destroy: take the older masters away: backups of the database from before can then no longer be opened.
        """
        with unit_of_work(self._engine) as connection:
            SUBJECT_KEYS.take(connection)
            number = self.masters.next()
            count = keys.rewrap(connection, self.masters, number)
        if destroy:
            self._destroy_before(number)
        return number, count

    def _destroy_before(self, number: int) -> None:
        with unit_of_work(self._engine) as connection:
            SUBJECT_KEYS.take(connection)
            still = text("SELECT DISTINCT master FROM subject_keys WHERE wrapped_key IS NOT NULL")
            used = set(connection.scalars(still))
            for old in self.masters.numbers():
                if old < number and old not in used:
                    self.masters.destroy(old)

    def _opened(self, tokens: Sequence[str | None]) -> list[tuple[str, str] | None]:
        sealed = [None if token is None else _parsed(token) for token in tokens]
        owners = {one.pseudonym for one in sealed if one is not None}
        if not owners:
            return [None] * len(tokens)
        with unit_of_work(self._engine) as connection:
            subject_keys = keys.find(connection, self.masters, owners)
        opened = [None if one is None else subject_keys.open(one) for one in sealed]
        if any(one is not None and one[0].startswith(_TIMED) for one in opened):
            inner = self._opened([one[1] if one and one[0].startswith(_TIMED) else None for one in opened])
            return [deep if one and one[0].startswith(_TIMED) else one for one, deep in zip(opened, inner, strict=True)]
        return opened

    def _for_its_time(self, connection: Connection, column: str, tokens: Sequence[str | None]) -> list[str | None]:
        name = period_name(column, str(connection.scalar(_MONTH)), self._names())
        subject_keys = keys.find_or_make(connection, self.masters, {name: None})
        return [None if token is None else subject_keys.seal(name, _TIMED + column, token) for token in tokens]

    def _check(self, owners: set[str]) -> None:
        secret = self._names()
        if any(owner != NOBODY and not is_pseudonym(owner, secret) for owner in owners):
            raise ValueError("a value can be sealed for a pseudonym only; hand the subjects to `pseudonyms` first")

    def _names(self) -> bytes:
        """The key of pseudonyms, once it is known to be the one that made the ledger's."""
        if self._name_key is None:
            with unit_of_work(self._engine) as connection:
                pseudonym, empty = keys.somebody(connection), keys.is_empty(connection)
            secret = self.masters.names(may_make=empty)
            if pseudonym is not None and not is_pseudonym(pseudonym, secret):
                raise KeysUnusable(
                    f"the keys in {self.masters.folder} are not those that named the ledger's subjects; put the "
                    "right ones back from your backup of the keys"
                )
            self._name_key = secret
        return self._name_key


if TYPE_CHECKING:
    _CONFORMS: type[Keyring] = PostgresKeyring


def _of_column(column: str, opened: tuple[str, str] | None) -> str | None:
    if opened is None:
        return None
    if opened[0] != column:
        raise SealBroken(f"a value sealed for another column stands under {column}; restore the lake's table")
    return opened[1]


def _parsed(token: str) -> Sealed:
    sealed = parsed(token)
    if sealed is None:
        raise SealBroken("a text that is no sealed value cannot be opened; hand over what `seal` gave")
    return sealed
