"""Disks of their own size, made of memory, to be filled."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.verdicts import CannotMeasure


def refused() -> str | None:
    """Why nothing may be mounted here; None where it may."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder) / "tried", 64):
                return None
        except (CannotMeasure, OSError) as why:
            return str(why)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A disk of its own size.

    Raises:
        CannotMeasure: nothing may be mounted here.
    """
    folder.mkdir(mode=0o755)
    options = f"size={kilobytes}k,mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        raise CannotMeasure("nothing may be mounted here; run it as root, outside a sandbox")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def grown(folder: Path, kilobytes: int) -> None:
    """Makes room."""
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(folder)], check=True)
