"""A lake's tables at a version each: their log up to it, and every file that this log names and that is still there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from pipeline_project.domain.core.errors import LakeDamaged, LakeUnavailable
from pipeline_project.operations.moving.manifest import LAKE, TableVersion
from resources.files.trees import FileStamp, FileTree, copy, stamp_of
from resources.lake.delta import digest_of

LOG = "_delta_log"
_COMMIT = re.compile(rf"(.+)/{LOG}/(\d{{20}})\.json")
_OF_VERSION = re.compile(r"(\d{20})\.")
_LAST_CHECKPOINT = "_last_checkpoint"


@dataclass
class LogFiles:
    """What a table's log names, up to a version.

    Attributes:
        current: files of that version.
        earlier: files of versions before it alone.
    """

    current: set[str] = field(default_factory=set)
    earlier: set[str] = field(default_factory=set)

    def read(self, commit: bytes) -> None:
        """Takes one commit in."""
        for line in commit.splitlines():
            entry = json.loads(line) if line.strip() else {}
            for action, into, out in (("remove", self.earlier, self.current), ("add", self.current, self.earlier)):
                if action in entry:
                    path = unquote(entry[action]["path"])
                    out.discard(path)
                    into.add(path)


def versions(lake: FileTree) -> dict[str, int]:
    """The newest version of each table there is, by `workflow/table`."""
    newest: dict[str, int] = {}
    for path in lake.sizes():
        if match := _COMMIT.fullmatch(path):
            newest[match[1]] = max(newest.get(match[1], 0), int(match[2]))
    return newest


def named_files(lake: FileTree, table: str, version: int) -> LogFiles:
    """The files that a table's log names, up to a version.

    Raises:
        LakeUnavailable: a commit is missing.
    """
    named = LogFiles()
    for number in range(version + 1):
        try:
            named.read(lake.read(f"{table}/{LOG}/{number:020}.json"))
        except FileNotFoundError:
            raise LakeUnavailable(
                f"version {number} is missing in the log of {table}, which is never cut; put its {LOG} back from a "
                "backup, `pipeline doctor --deep` says what else is damaged"
            ) from None
    return named


def copy_table(
    lake: FileTree, table: str, version: int, target: FileTree, present: dict[str, int]
) -> tuple[TableVersion, dict[str, FileStamp]]:
    """Copies a table at a version; what lies at the target already is compared and left.

    Args:
        present: sizes of what lies at the target.

    Returns:
        The files by their path at the target. Files come before the log that names them.

    Raises:
        LakeDamaged: a file of that version is gone, or is not what was written: a backup of it would be none.
    """
    named = named_files(lake, table, version)
    stamps: dict[str, FileStamp] = {}
    for path in sorted(named.current | named.earlier):
        stamp = _copied(lake, f"{table}/{path}", target, present)
        if stamp is not None:
            stamps[f"{LAKE}/{table}/{path}"] = stamp
        elif path in named.current:
            raise LakeDamaged(
                f"the lake's file {table}/{path} is gone, so nothing was finished; `pipeline doctor --deep` says how "
                "it is made again, then give the same command again"
            )
    earlier = sum(f"{LAKE}/{table}/{path}" in stamps for path in named.earlier)
    for path in _log_until(lake, table, version):
        stamps[f"{LAKE}/{path}"] = copy(lake, path, target, f"{LAKE}/{path}")
    return TableVersion(version, len(named.current), earlier), stamps


def _copied(lake: FileTree, path: str, target: FileTree, present: dict[str, int]) -> FileStamp | None:
    """A file's stamp at the target; None where it is gone from the lake."""
    wanted, to_path = digest_of(path), f"{LAKE}/{path}"
    if wanted is not None and to_path in present:
        there = stamp_of(target, to_path)
        if there is not None and there.sha256 == wanted:
            return there
    try:
        stamp = copy(lake, path, target, to_path)
    except FileNotFoundError:
        return None
    if wanted is not None and stamp.sha256 != wanted:
        target.remove(to_path)
        raise LakeDamaged(
            f"the lake's file {path} is damaged: its bytes are not those that were written. Nothing was finished; "
            "`pipeline doctor --deep` says how it is mended, then give the same command again"
        )
    return stamp


def _log_until(lake: FileTree, table: str, version: int) -> Iterator[str]:
    """The paths of a table's log up to a version, in order; what says where its last checkpoint is comes last."""
    for path in lake.sizes(f"{table}/{LOG}"):
        match = _OF_VERSION.match(path.rpartition("/")[2])
        if match is not None and int(match[1]) <= version:
            yield path
    pointer = f"{table}/{LOG}/{_LAST_CHECKPOINT}"
    try:
        last = json.loads(lake.read(pointer))["version"]
    except FileNotFoundError:
        return
    if last <= version:
        yield pointer
