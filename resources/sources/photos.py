"""Photos that cases name, read from the source's own folder and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.spec.source import FilesSource, TableSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.files import fingerprint
from resources.sources.places import place

MAX_PHOTO_BYTES = 20 * 1024**2


class FolderPhotos:
    """Photos below the folder of a files source, or beside the first file of a table."""

    def __init__(self, spec: WorkflowSpec, variables: Mapping[str, str]) -> None:
        self._spec, self._variables = spec, variables

    def folder(self) -> Path:
        """Where the paths of photos start.

        Raises:
            PhotoUnreadable: the source is a query.
        """
        source = self._spec.source
        if isinstance(source, FilesSource):
            return place(source.folder, self._spec, self._variables)
        if isinstance(source, TableSource):
            return place(source.files[0].path, self._spec, self._variables).parent
        raise PhotoUnreadable("a query has no folder of photos")

    def stamp(self, paths: Iterable[str]) -> str:
        """As `ports.PhotoSource.stamp`: by size, time of change and inode; the paths stand in it as a hash alone."""
        return fingerprint(json.dumps([path, *self._looked_at(path)]) for path in sorted(set(paths)))

    def _looked_at(self, path: str) -> tuple[int, ...]:
        try:
            status = (self.folder() / _usable(path)).stat()
        except (OSError, ValueError, PhotoUnreadable):
            # why it cannot be read is for `read` to say; while that stays so nothing has changed
            return ()
        return status.st_size, status.st_mtime_ns, status.st_ino

    def read(self, path: str) -> bytes:
        """The bytes of one photo. The path is not repeated in an error: names of files hold names of people.

        Raises:
            PhotoUnreadable: missing, outside the folder, too large, or not to be read.
        """
        _usable(path)
        folder = self.folder()
        try:
            file = (folder / path).resolve(strict=True)
            if not file.is_relative_to(folder):
                raise PhotoUnreadable("outside the folder of the source")
            if not file.is_file():
                raise PhotoUnreadable("not a file")
            with file.open("rb") as photo:
                content = photo.read(MAX_PHOTO_BYTES + 1)
        except FileNotFoundError as error:
            raise PhotoUnreadable("missing") from error
        except (OSError, ValueError, RuntimeError) as error:
            raise PhotoUnreadable("cannot be read") from error
        if len(content) > MAX_PHOTO_BYTES:
            raise PhotoUnreadable(f"larger than {MAX_PHOTO_BYTES // 1024**2} MB")
        if not content:
            raise PhotoUnreadable("empty")
        return content


def _usable(path: str) -> str:
    """The path, which stays below the folder as far as its words say.

    Raises:
        PhotoUnreadable: it leads elsewhere, or is none.
    """
    if not path or "\0" in path or "\\" in path or PureWindowsPath(path).drive:
        raise PhotoUnreadable("no usable path")
    if ".." in PurePosixPath(path).parts or path.startswith(("/", "~")):
        raise PhotoUnreadable("outside the folder of the source")
    return path
