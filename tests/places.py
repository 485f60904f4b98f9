"""Where what a test makes lies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: Where `make tools` puts what checks the files of `deploy/`.
DEPLOY_TOOLS = Path(__file__).resolve().parents[1] / ".tools"
#: What a worker's server may come to, in bytes, with room to spare.
ROOM = 3 * 2**30


def memory() -> str | None:
    """The file system in memory, where there is one with room: a database is thousands of small files."""
    folder = Path("/dev/shm")
    roomy = folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM
    return str(folder) if roomy else None
