"""Files that belong to the house or land at a source, in a local folder or behind an object store's URL."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

#: What differs when a file was changed, its size in bytes first.
Stamp: TypeAlias = tuple[int | str, ...]


class Files(Protocol):
    """The files below one place, by names with `/` between their steps.

    A file is there whole or not at all, and a reader never gets parts of two writings. A name leads nowhere else: one
    with `..`, an empty step or a NUL is a ValueError. Every method may raise:

    - FilesUnavailable: the store or disk does not answer, is full, or answers with an error that may pass;
    - FilesRefused: it does not let this process in, or its credentials have expired.
    """

    @property
    def url(self) -> str:
        """The place itself: an absolute path, or a URL without a slash at the end."""
        ...

    def place(self, name: str) -> str:
        """Where a file lies, for messages and for people."""
        ...

    def read(self, name: str, most: int | None = None) -> bytes:
        """The bytes of a file.

        Args:
            most: so many at most; the rest is not fetched.

        Raises:
            FileMissing: there is none of this name.
            FilesUnavailable: also where it was replaced meanwhile, or fewer bytes came than it has.
        """
        ...

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """The file as a path on this machine, for as long as the block lasts: itself, or a copy of one writing of it.

        Raises:
            FileMissing, FilesUnavailable: as `read`.
        """
        ...

    def write(self, name: str, content: str | bytes) -> None:
        """Puts a file in place of whatever is there."""
        ...

    def create(self, name: str, content: str | bytes) -> bool:
        """Puts a file where there is none; of writers at the same time one wins.

        Returns:
            Whether this content is now that of the file.
        """
        ...

    def replace(self, name: str, content: bytes, stamp: Stamp) -> bool:
        """Puts a file in place of the very writing that `stamp` was taken of.

        Returns:
            Whether this content is now that of the file; False where somebody else wrote it meanwhile.
        """
        ...

    def stamp(self, name: str) -> Stamp | None:
        """What differs when the file is changed; None where there is none."""
        ...

    def matching(self, pattern: str) -> Mapping[str, Stamp | None]:
        """The files whose name follows a pattern of `*`, `?` and `[...]` within steps, in order; hidden ones are being
        written and left out. With the stamp where a listing tells it."""
        ...

    def level(self, folder: str = "") -> tuple[list[str], list[str]]:
        """The folders and the files right below one, by their names below the place, in order; links to folders are
        left out."""
        ...

    def delete(self, name: str) -> None:
        """Takes a file away; one that is not there is no error."""
        ...
