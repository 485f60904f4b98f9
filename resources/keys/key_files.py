"""Where keys lie: in a folder that only its owner reads, or behind a URL, each wrapped by a key that is not there.

Behind a URL every host has the same keys, and whoever reads the store has none of them: a key is sealed together with
its name (AES-256-GCM) under `PIPELINE_KEYS_SECRET`, which comes from the platform's own store of secrets.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from pipeline_project.domain.core.errors import FileMissing, KeysUnusable, SettingInvalid
from pipeline_project.domain.core.locations import below, is_url
from pipeline_project.ports.files import Files
from resources.files import files_at
from resources.files.small_files import made_once, set_aside

#: Names the variable with the key that wraps keys behind a URL: 32 bytes, base64.
SECRET = "PIPELINE_KEYS_SECRET"
_BYTES, _NONCE = 32, 12
_WRAPPED = b"wrapped key 1\n"


class KeyFiles(Protocol):
    """The keys of one place, by name."""

    @property
    def place(self) -> str: ...

    def where(self, name: str) -> str:
        """Where a key lies, for people."""
        ...

    def read(self, name: str) -> bytes:
        """A key's file.

        Raises:
            FileMissing: there is none.
            KeysUnusable: it is wrapped by another secret, or was changed.
        """
        ...

    def made_once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What a key's file holds, made where it is missing; of hosts that make it at once all return the same."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def names(self, pattern: str) -> list[str]:
        """The names that follow a pattern, in order."""
        ...

    def destroy(self, name: str) -> None:
        """Takes a key away for good."""
        ...

    def set_aside(self, name: str) -> None:
        """Takes a file out of the way that holds no key."""
        ...


@dataclass(frozen=True)
class KeysInFolder:
    """`KeyFiles` of this machine, mode 0600."""

    folder: Path

    @property
    def place(self) -> str:
        return str(self.folder)

    def where(self, name: str) -> str:
        """As `KeyFiles.where`."""
        return str(self.folder / name)

    def read(self, name: str) -> bytes:
        """As `KeyFiles.read`."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise FileMissing(f"there is no {self.where(name)}; put it back from your backup of the keys") from None

    def made_once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """As `KeyFiles.made_once`."""
        return made_once(self.folder / name, make)

    def has(self, name: str) -> bool:
        """As `KeyFiles.has`."""
        return (self.folder / name).exists()

    def names(self, pattern: str) -> list[str]:
        """As `KeyFiles.names`."""
        return sorted(path.name for path in self.folder.glob(pattern))

    def destroy(self, name: str) -> None:
        """As `KeyFiles.destroy`."""
        (self.folder / name).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """As `KeyFiles.set_aside`."""
        set_aside(self.folder / name)


@dataclass(frozen=True)
class WrappedKeys:
    """`KeyFiles` behind a URL, wrapped.

    Attributes:
        secret: 32 bytes that wrap every key.
    """

    place: str
    secret: bytes = field(repr=False)

    def where(self, name: str) -> str:
        """As `KeyFiles.where`."""
        return below(self.place, name)

    def read(self, name: str) -> bytes:
        """As `KeyFiles.read`."""
        return self._unwrapped(name, self._files.read(name))

    def made_once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """As `KeyFiles.made_once`."""
        try:
            return self.read(name)
        except FileMissing:
            self._files.create(name, self._wrapped(name, make()))
            return self.read(name)

    def has(self, name: str) -> bool:
        """As `KeyFiles.has`."""
        return self._files.stamp(name) is not None

    def names(self, pattern: str) -> list[str]:
        """As `KeyFiles.names`."""
        return [name for name in self._files.level()[1] if fnmatchcase(name, pattern)]

    def destroy(self, name: str) -> None:
        """As `KeyFiles.destroy`."""
        self._files.delete(name)

    def set_aside(self, name: str) -> None:
        """As `KeyFiles.set_aside`: what was unwrapped is whole, so nothing but its deletion is of use."""
        self._files.delete(name)

    @property
    def _files(self) -> Files:
        return files_at(self.place)

    def _wrapped(self, name: str, key: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        return _WRAPPED + base64.b64encode(nonce + AESGCM(self.secret).encrypt(nonce, key, name.encode())) + b"\n"

    def _unwrapped(self, name: str, content: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        wrong = KeysUnusable(
            f"{self.where(name)} was not wrapped by this {SECRET}, or was changed since; set the secret that it was "
            "wrapped by, or put the file back from your backup of the keys"
        )
        if not content.startswith(_WRAPPED):
            raise wrong
        try:
            sealed = base64.b64decode(content.removeprefix(_WRAPPED).strip(), validate=True)
            return AESGCM(self.secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise wrong from None


def keys_at(place: Path | str) -> KeyFiles:
    """The keys in a folder or behind a URL.

    Raises:
        SettingInvalid: they lie behind a URL, and `PIPELINE_KEYS_SECRET` is not set or is no key.
    """
    if not is_url(str(place)):
        return KeysInFolder(Path(place))
    try:
        secret = base64.b64decode(os.environ.get(SECRET, ""), validate=True)
    except binascii.Error:
        secret = b""
    if len(secret) != _BYTES:
        raise SettingInvalid(
            f"PIPELINE_KEYS is a URL, and {SECRET} holds no key to wrap keys by; set it to 32 random bytes in base64, "
            "from the platform's store of secrets, and keep a copy elsewhere"
        )
    return WrappedKeys(str(place), secret)
