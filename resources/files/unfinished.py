"""The mark of a home into which a backup is being put: until all of it is there, nothing runs on it."""

from __future__ import annotations

from pathlib import Path

from pipeline_project.domain.core.errors import HomeUnusable
from resources.files.small_files import read_object

MARK = "restoring.json"


def refuse_unfinished(home: Path) -> None:
    """
    Raises:
        HomeUnusable: a restore was stopped half-way here.
    """
    mark = home / MARK
    if mark.exists():
        source = (read_object(mark) or {}).get("source", "SOURCE")
        raise HomeUnusable(
            f"a backup is being put into {home} and not all of it is there: let `pipeline restore {source}` end, or "
            "give it again if it was stopped"
        )
