"""Whether a store of files keeps the promises that hosts rely on when they write at once."""

from __future__ import annotations

import secrets

from pipeline_project.ports.files import Files


def keeps_conditions(files: Files) -> bool:
    """Whether of two that create a file one wins, and whether a file is replaced only as it was read.

    Writes a small file of its own and takes it away.

    Raises:
        FilesUnavailable, FilesRefused: the place cannot be written to, read or deleted from.
    """
    name = f"probe-{secrets.token_hex(8)}"
    try:
        created = files.create(name, b"first") and not files.create(name, b"second")
        stamp = files.stamp(name)
        if stamp is None:
            return False
        replaced = files.replace(name, b"third", stamp) and not files.replace(name, b"fourth", stamp)
        return created and replaced and files.read(name) == b"third"
    finally:
        files.delete(name)
