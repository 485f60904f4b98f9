"""`ports.Files` on a folder of this machine, or one that is mounted here."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline_project.domain.core.errors import FileMissing, FilesRefused, FilesUnavailable
from pipeline_project.domain.core.locations import below
from pipeline_project.ports.files import Stamp
from resources.files.names import hidden, safe
from resources.files.small_files import write_whole

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}


@contextmanager
def by_person(where: str | Path, doing: str) -> Iterator[None]:
    """Turns what the operating system says into an error that a person can act on.

    Raises:
        FileMissing, FilesRefused, FilesUnavailable: see `ports.Files`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _MISSING and doing == "read":
            raise FileMissing(f"there is no file {where}; put it back, or correct the setting that names it") from error
        raise _worded(error, where, doing) from error


def _worded(error: OSError, where: str | Path, doing: str) -> FilesRefused | FilesUnavailable:
    why = error.strerror or type(error).__name__
    if error.errno in _NO_ROOM:
        return FilesUnavailable(f"cannot {doing} {where}: no room is left ({why}); free some, then run again")
    if error.errno in _NOT_ALLOWED:
        return FilesRefused(f"cannot {doing} {where}: this user may not ({why}); give it the right, then run again")
    return FilesUnavailable(f"cannot {doing} {where} ({why}); see to the disk or the mount, then run again")


@dataclass(frozen=True)
class LocalFiles:
    """A folder; it is made when the first file is written.

    Attributes:
        closed: a name whose links lead out of the folder is refused instead of followed.
    """

    folder: Path
    closed: bool = False

    @property
    def url(self) -> str:
        return str(self.folder)

    def place(self, name: str) -> str:
        """As `ports.Files.place`."""
        return str(self._path(name))

    def read(self, name: str, most: int | None = None) -> bytes:
        """As `ports.Files.read`."""
        path = self._path(name)
        with by_person(path, "read"):
            if most is None:
                return path.read_bytes()
            with path.open("rb") as file:
                return file.read(most)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """As `ports.Files.fetched`: the file itself."""
        path = self._path(name)
        self._stays_within([path])
        yield path

    def write(self, name: str, content: str | bytes) -> None:
        """As `ports.Files.write`."""
        self._written(name, content, replace=True)

    def create(self, name: str, content: str | bytes) -> bool:
        """As `ports.Files.create`."""
        return self._written(name, content, replace=False)

    def replace(self, name: str, content: bytes, stamp: Stamp) -> bool:
        """As `ports.Files.replace`. Two processes of one machine are kept apart by whoever calls this."""
        if self.stamp(name) != stamp:
            return False
        return self._written(name, content, replace=True)

    def stamp(self, name: str) -> Stamp | None:
        """As `ports.Files.stamp`: size, time of change and inode."""
        path = self._path(name)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _worded(error, path, "look at") from error
        return status.st_size, status.st_mtime_ns, status.st_ino

    def matching(self, pattern: str) -> Mapping[str, Stamp | None]:
        """As `ports.Files.matching`; without stamps."""
        with by_person(self.folder, "list"):
            there = sorted(path for path in self.folder.glob(pattern) if not hidden(path.name) and path.is_file())
            self._stays_within(there)
        return {path.relative_to(self.folder).as_posix(): None for path in there}

    def level(self, folder: str = "") -> tuple[list[str], list[str]]:
        """As `ports.Files.level`; nothing where there is no such folder, or it may not be listed."""
        try:
            entries = sorted(os.scandir(self.folder / folder), key=lambda entry: entry.name)
        except OSError:
            return [], []
        names = [(below(folder, entry.name) if folder else entry.name, entry) for entry in entries]
        files = [name for name, entry in names if not entry.is_dir()]
        return [name for name, entry in names if entry.is_dir() and not entry.is_symlink()], files

    def delete(self, name: str) -> None:
        """As `ports.Files.delete`."""
        path = self._path(name)
        with by_person(path, "delete"):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / safe(name)

    def _stays_within(self, paths: Iterable[Path]) -> None:
        if not self.closed:
            return
        folder = self.folder.resolve()
        for path in paths:
            if not path.resolve().is_relative_to(folder):
                raise FilesRefused(f"{path} is a link that leads out of {self.folder}; put the file itself there")

    def _written(self, name: str, content: str | bytes, replace: bool) -> bool:
        path = self._path(name)
        with by_person(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            return write_whole(path, content, replace=replace)
