"""Photos that cases name, read from the source's own folder and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline_project.domain.core.errors import FileMissing, FilesRefused, FilesUnavailable, PhotoUnreadable
from pipeline_project.domain.core.locations import is_url
from pipeline_project.ports.files import Stamp
from pipeline_project.spec.source import FilesSource, TableSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.files import files_at
from resources.sources.night_files import fingerprint
from resources.sources.places import location

MAX_PHOTO_BYTES = 20 * 1024**2


class FolderPhotos:
    """Photos below the folder or URL of a files source, or beside the first file of a table."""

    def __init__(self, spec: WorkflowSpec, variables: Mapping[str, str]) -> None:
        self._spec, self._variables = spec, variables

    def folder(self) -> str:
        """The folder or URL at which the paths of photos start.

        Raises:
            PhotoUnreadable: the source is a query.
        """
        source = self._spec.source
        if isinstance(source, FilesSource):
            return location(source.folder, self._spec, self._variables)
        if isinstance(source, TableSource):
            return location(source.files[0].path, self._spec, self._variables).rpartition("/")[0]
        raise PhotoUnreadable("a query has no folder of photos")

    def stamp(self, paths: Iterable[str]) -> str:
        """As `ports.PhotoSource.stamp`: by size and time of change, or entity tag; of paths it holds the hash.

        Raises:
            FilesUnavailable, FilesRefused: a store does not answer; of a folder that counts as no photo.
        """
        return fingerprint(json.dumps([path, *self._looked_at(path)]) for path in sorted(set(paths)))

    def _looked_at(self, path: str) -> Stamp:
        try:
            return files_at(self.folder()).stamp(_usable(path)) or ()
        except (ValueError, PhotoUnreadable):
            # why it cannot be read is for `read` to say; while that stays so nothing has changed
            return ()
        except (FilesUnavailable, FilesRefused):
            if is_url(self.folder()):
                raise
            return ()

    def read(self, path: str) -> bytes:
        """The bytes of one photo. The path is not repeated in an error: names of files hold names of people.

        Raises:
            PhotoUnreadable: missing, outside the folder, too large, or not to be read.
            FilesUnavailable, FilesRefused: a store does not answer; what is wrong with all photos is no photo's fault.
        """
        _usable(path)
        place = self.folder()
        return _bounded(_object(place, path) if is_url(place) else _file(Path(place), path))


def _object(place: str, path: str) -> bytes:
    try:
        return files_at(place).read(path, MAX_PHOTO_BYTES + 1)
    except FileMissing as error:
        raise PhotoUnreadable("missing") from error
    except ValueError as error:
        raise PhotoUnreadable("no usable path") from error


def _file(folder: Path, path: str) -> bytes:
    try:
        file = (folder / path).resolve(strict=True)
        if not file.is_relative_to(folder):
            raise PhotoUnreadable("outside the folder of the source")
        if not file.is_file():
            raise PhotoUnreadable("not a file")
        with file.open("rb") as photo:
            return photo.read(MAX_PHOTO_BYTES + 1)
    except FileNotFoundError as error:
        raise PhotoUnreadable("missing") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise PhotoUnreadable("cannot be read") from error


def _bounded(content: bytes) -> bytes:
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
