"""Files in a folder or behind an object store's URL; small ones of this machine, written whole and read with care."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.core.locations import is_url
from resources.files.local import LocalFiles
from resources.files.objects import ObjectFiles

if TYPE_CHECKING:
    from pipeline_project.ports.files import Files

    _CONFORM: tuple[type[Files], type[Files]] = (LocalFiles, ObjectFiles)


def files_at(place: str | Path, closed: bool = False) -> Files:
    """The files below a folder or an object store's URL; nothing is looked at before it is asked for.

    Args:
        closed: links that lead out of the folder are refused; behind a URL there are none.
    """
    text = str(place)
    return ObjectFiles(text.rstrip("/")) if is_url(text) else LocalFiles(Path(text), closed)
