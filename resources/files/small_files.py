"""Small files of this house: a page, a key, a port. Each is there whole or not at all, and read with care.

Written anew beside its place, brought to the disk, then renamed: whoever reads at any moment, and whoever looks after
a crash, a full disk or a power cut, finds the old content or the new one. Nothing here is for tables; the lake has
commits of its own.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

#: What is appended to the name of a file that cannot be used and was set aside.
ASIDE = ".damaged"


def write_whole(path: Path, content: str | bytes, mode: int = 0o644, replace: bool = True) -> bool:
    """Writes a file whole, on the disk when this returns; text as UTF-8.

    Args:
        mode: of the new file.
        replace: False where a file that is there stays.

    Returns:
        Whether the content is now that of the file; False only where it stayed.

    Raises:
        OSError: nothing was changed, and nothing half-written is left.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if replace:
            Path(name).replace(path)
        else:
            # unlike a rename a link does not replace the file of somebody who was quicker
            try:
                path.hardlink_to(name)
            except FileExistsError:
                return False
        sync_folder(path.parent)
        return True
    finally:
        Path(name).unlink(missing_ok=True)


def made_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """What a secret's file holds, made where it is missing and never again; only its owner reads it.

    Of processes that make it at once one wins, and all of them return the same.

    Args:
        make: gives the content of a new file.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, make(), 0o600, replace=False)
    return path.read_bytes()


def sync_folder(folder: Path) -> None:
    """Brings a folder's names to the disk: a rename that a power cut takes back did not happen."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where the file is missing, empty, half, or holds something else."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def set_aside(path: Path) -> Path:
    """Renames a file that cannot be used, so that it is nobody's trouble and can still be looked at."""
    aside = path.with_name(path.name + ASIDE)
    with suppress(OSError):
        path.replace(aside)
    return aside
