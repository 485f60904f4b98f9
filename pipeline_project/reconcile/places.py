"""What lies in a folder or behind an object store's URL: names that follow a pattern, and bytes; nothing is written."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path


def names_at(place: str, pattern: str) -> list[str]:
    """The names below a place that follow a pattern, hidden ones left out.

    Raises:
        Exception: of obstore, where a store cannot be listed.
    """
    if "://" not in place:
        root = Path(place)
        there = [path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file()]
    else:
        there = [name for name in _keys(place, pattern) if _follows(name, pattern)]
    return sorted(name for name in there if not name.rpartition("/")[2].startswith("."))


def content_at(place: str, name: str) -> bytes:
    """The bytes of one file.

    Raises:
        OSError: it is not there (FileNotFoundError), or cannot be read.
    """
    if "://" not in place:
        return (Path(place) / name).read_bytes()
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        return bytes(obstore.get(from_url(place), name).bytes())
    except BaseError as error:
        raise OSError(f"{place}/{name} cannot be read") from error


def _keys(place: str, pattern: str) -> list[str]:
    import obstore
    from obstore.store import from_url

    fixed = []
    for step in pattern.split("/")[:-1]:
        if any(sign in step for sign in "*?["):
            break
        fixed.append(step)
    listed = obstore.list(from_url(place), prefix="/".join(fixed) or None)
    return [entry["path"] for entries in listed for entry in entries]


def _follows(name: str, pattern: str) -> bool:
    steps, wanted = name.split("/"), pattern.split("/")
    return len(steps) == len(wanted) and all(map(fnmatchcase, steps, wanted))
