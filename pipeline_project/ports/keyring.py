"""The keys under which personal values are sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Keyring(Protocol):
    """Seals personal values with a key per subject; a subject's key can be destroyed, and its values with it."""

    def pseudonyms(self, subjects: Sequence[str | None]) -> list[str | None]:
        """The names under which subjects stand in the lake and the ledger; the same subject always gets the same."""
        ...

    def seal(self, pseudonyms: Sequence[str | None], column: str, values: Sequence[str | None]) -> list[str | None]:
        """Tokens for values of one column, each under its subject's key; None stays None."""
        ...

    def seal_columns(
        self, pseudonyms: Sequence[str | None], columns: Mapping[str, Sequence[str | None]]
    ) -> dict[str, list[str | None]]:
        """As `seal`, several columns of the same rows at once."""
        ...

    def open(self, tokens: Sequence[str | None]) -> list[str | None]:
        """The values behind tokens, None where the subject was forgotten."""
        ...
