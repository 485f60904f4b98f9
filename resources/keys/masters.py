"""The keys in `PIPELINE_KEYS` that subjects' keys and names come from; without them nothing sealed is read again."""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline_project.domain.core.errors import FileMissing, KeysUnusable
from resources.keys.key_files import KeyFiles, keys_at

NAMES = "subject-names.key"
_MASTER = re.compile(r"subject-master-(\d{1,6})\.key")
_BYTES = 32


@dataclass(frozen=True)
class Masters:
    """The master keys at a place, a file each, the highest number being the newest; and the key that makes names.

    The key of names never changes: pseudonyms are in the ledger for good.
    """

    folder: Path | str

    def numbers(self) -> list[int]:
        """The versions there are, the newest last."""
        names = map(_MASTER.fullmatch, self._keys.names("subject-master-*.key"))
        return sorted(int(match[1]) for match in names if match is not None)

    def newest(self, may_make: bool) -> tuple[int, bytes]:
        """Number and key of the newest master.

        Args:
            may_make: whether a first one is made where there is none.

        Raises:
            KeysUnusable: there is none and none may be made, or the file holds no key.
        """
        numbers = self.numbers()
        if not numbers and may_make:
            return 1, self._made(1)
        if not numbers:
            raise KeysUnusable(_lost(self._keys, "subject-master-*.key"))
        return numbers[-1], self.key(numbers[-1])

    def key(self, number: int) -> bytes:
        """One master.

        Raises:
            KeysUnusable: it is missing or holds no key.
        """
        return _read(self._keys, _name(number))

    def next(self) -> int:
        """Makes one more master and returns its number; two who make one at once make the same."""
        number = (self.numbers() or [0])[-1] + 1
        self._made(number)
        return number

    def destroy(self, number: int) -> None:
        """Takes a master away for good; check first that it wraps nothing any more."""
        self._keys.destroy(_name(number))

    def names(self, may_make: bool) -> bytes:
        """The key of pseudonyms; see `newest`."""
        if may_make:
            self._keys.made_once(NAMES, _new_key)
        return _read(self._keys, NAMES)

    @property
    def _keys(self) -> KeyFiles:
        return keys_at(self.folder)

    def _made(self, number: int) -> bytes:
        self._keys.made_once(_name(number), _new_key)
        return self.key(number)


def _name(number: int) -> str:
    return f"subject-master-{number}.key"


def _lost(keys: KeyFiles, name: str) -> str:
    return (
        f"there is no {name} in {keys.place}, although the ledger holds subjects sealed with it; put PIPELINE_KEYS "
        "back from your backup of the keys"
    )


def _read(keys: KeyFiles, name: str) -> bytes:
    try:
        key = base64.b64decode(keys.read(name).decode("ascii").strip(), validate=True)
    except FileMissing:
        raise KeysUnusable(_lost(keys, name)) from None
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _BYTES:
        raise KeysUnusable(f"{keys.where(name)} holds no key; put the right one back from your backup of the keys")
    return key


def _new_key() -> bytes:
    return base64.b64encode(os.urandom(_BYTES)) + b"\n"
