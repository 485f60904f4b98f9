"""Rows that were posted are never written in the open: under their subject's key where there is a keyring, else under
one key of this door's own, in `PIPELINE_KEYS`."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.ports.keyring import Keyring
from resources.keys.key_files import keys_at

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY_FILE = "inbound.key"
#: The column under which the keyring seals a whole row.
SEALED_AS = "inbound"
_OWN, _SUBJECT = "f:", "k:"
_DIGEST = b"the digest of a posted body"


@dataclass(frozen=True)
class RowSealer:
    """Seals rows and opens them.

    Attributes:
        folder: where the key file lies; it is made when first needed. One key a line, the first one seals.
        keyring: the keys of subjects; rows that name a subject are sealed with it, and lost when it is forgotten.
    """

    folder: Path | str
    keyring: Keyring | None = None

    def seal(self, rows: Sequence[str], subject: str | None) -> list[str]:
        """A token for each row, without line breaks.

        Args:
            subject: the column that names whom a row is about.
        """
        pseudonyms = self._pseudonyms(rows, subject)
        tokens = [
            _OWN + self._own.encrypt(row.encode()).decode() if pseudonym is None else ""
            for row, pseudonym in zip(rows, pseudonyms, strict=True)
        ]
        theirs = [number for number, pseudonym in enumerate(pseudonyms) if pseudonym is not None]
        if self.keyring is not None and theirs:
            sealed = self.keyring.seal([pseudonyms[n] for n in theirs], SEALED_AS, [rows[n] for n in theirs])
            for number, token in zip(theirs, sealed, strict=True):
                # of a forgotten subject nothing is kept
                tokens[number] = _SUBJECT + (token or "")
        return tokens

    def open(self, tokens: Sequence[str]) -> list[str | None]:
        """The rows behind tokens, None where the subject was forgotten.

        Raises:
            SourceUnreadable: the key that sealed them is not there.
        """
        theirs = [number for number, token in enumerate(tokens) if token.startswith(_SUBJECT)]
        if theirs and self.keyring is None:
            raise SourceUnreadable(
                "posted rows are sealed with keys of their subjects, and there is no keyring; put PIPELINE_KEYS back"
            )
        rows = [None if token.startswith(_SUBJECT) else self._opened(token) for token in tokens]
        if self.keyring is not None and theirs:
            opened = self.keyring.open([tokens[number].removeprefix(_SUBJECT) or None for number in theirs])
            for number, row in zip(theirs, opened, strict=True):
                rows[number] = row
        return rows

    def digest(self, body: bytes) -> str:
        """Whether two bodies are one, and no more: who lacks the key cannot try guesses against it."""
        secret = hmac.digest(self._keys[-1], _DIGEST, "sha256")
        return hmac.new(secret, body, hashlib.sha256).hexdigest()

    def _opened(self, token: str) -> str:
        from cryptography.fernet import InvalidToken

        try:
            return self._own.decrypt(token.removeprefix(_OWN)).decode()
        except InvalidToken:
            raise SourceUnreadable(
                f"{keys_at(self.folder).where(KEY_FILE)} does not open what was posted; put back the file that sealed "
                "it"
            ) from None

    def _pseudonyms(self, rows: Sequence[str], subject: str | None) -> list[str | None]:
        if self.keyring is None or subject is None:
            return [None] * len(rows)
        named = [json.loads(row).get(subject) for row in rows]
        # a subject is what the cases will say: trimmed, and none where nothing is left
        return self.keyring.pseudonyms([str(name).strip() or None if name is not None else None for name in named])

    @cached_property
    def _keys(self) -> list[bytes]:
        lines = key_file(self.folder).split()
        return [line.encode() for line in lines]

    @cached_property
    def _own(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet

        try:
            return MultiFernet([Fernet(key) for key in self._keys])
        except ValueError:
            raise SourceUnreadable(
                f"{keys_at(self.folder).where(KEY_FILE)} holds no keys; put back the file that sealed what was posted"
            ) from None


def key_file(folder: Path | str) -> str:
    """The keys; a first one is made where there is no file. Of two processes that make one, both use the same."""
    from cryptography.fernet import Fernet

    return keys_at(folder).made_once(KEY_FILE, lambda: Fernet.generate_key() + b"\n").decode("ascii")
