"""Files below a folder or an object store's URL, by their paths: listed, read, and written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from pipeline_project.domain.core.errors import FileMissing
from pipeline_project.domain.core.locations import is_url
from resources.files.objects import ObjectFiles
from resources.files.small_files import sync_folder, write_whole

_AT_ONCE = 8 * 2**20


@dataclass(frozen=True)
class FileStamp:
    """What was copied: how many bytes, and their sha256 in hex."""

    size: int
    sha256: str


class FileTree(Protocol):
    """Paths are relative, with slashes."""

    @property
    def url(self) -> str: ...

    def sizes(self, below: str = "") -> dict[str, int]:
        """The size of each file below a folder, by its path, in order; empty where there is no such folder."""
        ...

    def read(self, path: str) -> bytes:
        """
        Raises:
            FileNotFoundError: there is none.
        """
        ...

    def write(self, path: str, content: bytes) -> None: ...

    def chunks(self, path: str) -> Iterator[bytes]: ...

    def sink(self, path: str) -> Any:
        """A context manager whose value takes `write(bytes)`; the file is there once it ends without an error."""
        ...

    def remove(self, path: str) -> None: ...


def tree_of(url: str) -> FileTree:
    """The files below a path, or below an object store's URL with the credentials of its usual variables."""
    return StoreTree(url) if is_url(url) else LocalTree(unquote(url.removeprefix("file://")) if "://" in url else url)


def copy(source: FileTree, path: str, to: FileTree, to_path: str) -> FileStamp:
    """Copies one file; nothing half-written is ever under its name."""
    digest, size = hashlib.sha256(), 0
    with to.sink(to_path) as sink:
        for chunk in source.chunks(path):
            digest.update(chunk)
            size += len(chunk)
            sink.write(chunk)
    return FileStamp(size, digest.hexdigest())


def stamp_of(tree: FileTree, path: str) -> FileStamp | None:
    """Size and digest of a file that is there; None where it is not."""
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in tree.chunks(path):
            digest.update(chunk)
            size += len(chunk)
    except FileNotFoundError:
        return None
    return FileStamp(size, digest.hexdigest())


class LocalTree:
    """`FileTree` over a folder of this machine, which is made when something is written."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()

    @property
    def url(self) -> str:
        return str(self.folder)

    def sizes(self, below: str = "") -> dict[str, int]:
        sizes: dict[str, int] = {}
        for folder, _, names in os.walk(self.folder / below):
            for name in names:
                path = Path(folder) / name
                try:
                    sizes[path.relative_to(self.folder).as_posix()] = path.stat().st_size
                except FileNotFoundError:
                    continue  # taken away while it was listed
        return dict(sorted(sizes.items()))

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        place = self._place(path)
        write_whole(place, content)

    def chunks(self, path: str) -> Iterator[bytes]:
        with (self.folder / path).open("rb") as file:
            while chunk := file.read(_AT_ONCE):
                yield chunk

    @contextmanager
    def sink(self, path: str) -> Iterator[IO[bytes]]:
        place = self._place(path)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:60]}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            Path(name).replace(place)
            sync_folder(place.parent)
        finally:
            Path(name).unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        (self.folder / path).unlink(missing_ok=True)

    def _place(self, path: str) -> Path:
        place = self.folder / path
        if ".." in Path(path).parts or Path(path).is_absolute():
            raise ValueError(f"{path!r} would lead out of {self.folder}")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


class StoreTree:
    """`FileTree` over an object store, as `ObjectFiles` reaches it, in parts: a file may be larger than memory."""

    def __init__(self, url: str) -> None:
        self._objects = ObjectFiles(url.rstrip("/"))

    @property
    def url(self) -> str:
        return self._objects.url

    def sizes(self, below: str = "") -> dict[str, int]:
        import obstore

        with self._objects._asked(below, "list"):
            listed = obstore.list(self._objects._store(), prefix=below or None)
            sizes = {str(entry["path"]): int(entry["size"]) for several in listed for entry in several}
        return dict(sorted(sizes.items()))

    def read(self, path: str) -> bytes:
        return b"".join(self.chunks(path))

    def write(self, path: str, content: bytes) -> None:
        self._objects.write(path, content)

    def chunks(self, path: str) -> Iterator[bytes]:
        try:
            with self._objects._asked(path, "read"):
                yield from self._objects._parts(path, None)
        except FileMissing as error:
            raise FileNotFoundError(str(error)) from None

    @contextmanager
    def sink(self, path: str) -> Iterator[Any]:
        import obstore

        with self._objects._asked(path, "write"):
            # an upload that is not closed is one that nobody completes: nothing is there under the name
            writer = obstore.open_writer(self._objects._store(), path)
            yield writer
            writer.close()

    def remove(self, path: str) -> None:
        self._objects.delete(path)


if TYPE_CHECKING:
    _LOCAL: type[FileTree] = LocalTree
    _STORE: type[FileTree] = StoreTree
