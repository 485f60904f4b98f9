"""Files that are whole tables: read once a process, until they change, whoever asks for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.locations import is_url
from pipeline_project.spec.source import TableFile
from pipeline_project.spec.workflow import WorkflowSpec
from resources.files import files_at
from resources.sources.places import location

Made = TypeVar("Made")

#: Files of which is kept what was made of them; a backfill makes a source object for each of hundreds of nights.
MOST_KEPT = 8


class WholeFiles(Generic[Made]):
    """What was made of whole tables, those asked for longest ago go first.

    Args:
        key: of the spec under which the files stand, for the message where one is missing.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._kept: OrderedDict[tuple[object, ...], Made] = OrderedDict()

    def of(
        self,
        spec: WorkflowSpec,
        file: TableFile,
        variables: Mapping[str, str],
        make: Callable[[Path], Made],
        *also: str,
    ) -> Made:
        """What `make` makes of a file as it lies there now.

        Args:
            also: what else it is made by, beside the spec.

        Raises:
            SourceUnreadable: the file is missing.
        """
        where = location(file.path, spec, variables)
        folder, _, name = where.rpartition("/")
        files = files_at(folder, closed=bool(spec.tenant))
        stamp = files.stamp(name)
        if stamp is None or not (is_url(folder) or Path(where).is_file()):
            raise SourceUnreadable(f"{spec.name}: there is no file {where}; put it there, or correct `{self._key}`")
        key = (where, stamp, spec.spec_hash, file.model_dump_json(), *also)
        if key not in self._kept:
            with files.fetched(name) as path:
                self._kept[key] = make(path)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
