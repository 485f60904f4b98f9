"""One way to open, add to and commit Delta tables: errors that say what to do, conflicts tried again."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import pyarrow as pa
from pyarrow.fs import FileSystem, FileType, LocalFileSystem, SubTreeFileSystem

from pipeline_project.domain.core.errors import FileMissing, FilesRefused, LakeDamaged, LakeRefused, LakeUnavailable
from pipeline_project.domain.core.locations import is_url
from resources.files.answers import is_refusal, store_answer

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.fs import DeltaStorageHandler
    from deltalake.transaction import AddAction
    from pyarrow.dataset import ParquetFragmentScanOptions

T = TypeVar("T")

#: Names that become folders. Everything else is refused, so that no outside id ever leads out of the lake.
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ERRNO = re.compile(r"(?:os error|code:) (\d+)")
_DIGEST = re.compile(r"-([0-9a-f]{64})\.parquet$")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_VANISHED = "a file it needs is gone; an older version can be read only as long as `tidy` was told to keep it"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}

#: Files that this process has compared with their digests. A name is used once, so what it stands for never changes.
_VERIFIED: set[str] = set()

#: The log is never cut: it is small, and without it an old version cannot be read. Files that no kept version
#: needs go with `vacuum`, on purpose only.
_TABLE_SETTINGS = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "20",
}


def safe_name(name: str) -> str:
    """The name, if it can be one folder's.

    Raises:
        ValueError: it could lead elsewhere, or the store could spell it differently.
    """
    if not _SAFE.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a folder of the lake; use letters, digits, '_', '-' and '.'")
    return name


def error_number(error: BaseException) -> int | None:
    """The operating system's number, which delta-rs hands on inside its message only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = _ERRNO.search(str(error))
    return int(match.group(1)) if match else None


def _advice(number: int | None, uri: str, message: str) -> str:
    if is_url(uri):
        if "conditional put is disabled" in message:
            return "two hosts would overwrite each other's commits; unset AWS_CONDITIONAL_PUT, then run again"
        answer = store_answer(message)
        return _VANISHED if answer.error is FileMissing else answer.advice
    if number in _NO_ROOM:
        return "there is no room left; free some or point PIPELINE_LAKE_URL elsewhere, then run the night again"
    if number in _NOT_ALLOWED:
        return "this user may not; give it read and write permission there or set PIPELINE_LAKE_URL, then run again"
    if number == errno.ENOENT:
        return _VANISHED
    if number is None and ("://" not in uri or uri.startswith("file://")):
        return "what lies there is not as it was written; `pipeline doctor --deep` names what is damaged and its cure"
    return "check PIPELINE_LAKE_URL, its credentials and the network, then run again"


@contextmanager
def reachable(uri: str, doing: str) -> Iterator[None]:
    """Turns what the store or the disk says into an error that a person can act on."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError:
        raise
    except (DeltaError, OSError) as error:
        # Only the first lines: delta-rs appends a Rust backtrace, object stores whole HTTP bodies.
        plain = _COLOURS.sub("", str(error))
        lines = [line.strip() for line in plain.splitlines() if line.strip()]
        message = " ".join(lines[:3])[:300]
        advice = _advice(error_number(error), uri, plain)
        refused = is_url(uri) and store_answer(plain).error is FilesRefused
        raise (LakeRefused if refused else LakeUnavailable)(
            f"cannot {doing} {uri}: {advice}. Nothing half-written is visible. ({message})"
        ) from error


def local_files(uri: str) -> FileSystem | None:
    """A local table's folder as the operating system has it; None for an object store.

    delta-rs answers the same, and takes a hundred times as long for each file.
    """
    scheme, separator, path = uri.partition("://")
    if not separator:
        return SubTreeFileSystem(uri, LocalFileSystem())
    return SubTreeFileSystem(unquote(path), LocalFileSystem()) if scheme == "file" else None


def digest_of(path: str) -> str | None:
    """The sha256 that a file of ours carries in its name, in hex; None for a file that delta-rs wrote itself.

    The table's log names the file, so it says by which bytes, without being asked again.
    """
    match = _DIGEST.search(path)
    return match.group(1) if match else None


def checked() -> ParquetFragmentScanOptions:
    """Reading compares every page with the checksum it was written with, each time; pages of older files have none."""
    from pyarrow.dataset import ParquetFragmentScanOptions

    return ParquetFragmentScanOptions(page_checksum_verification=True)


def verified(part: Any) -> pa.Buffer:
    """The bytes of a dataset's file, which are those that were written.

    Raises:
        LakeDamaged: they are others; the message names the file.
        OSError: it is gone, or may not be read.
    """
    try:
        content = part.filesystem.open_input_file(part.path).read_buffer()
    except OSError as error:
        if error_number(error) is not None or is_refusal(str(error)):
            raise
        # an empty file is an error of its own to delta-rs
        raise damaged(part.path, "it cannot be read") from error
    wanted = digest_of(part.path)
    if wanted is not None and hashlib.sha256(content).hexdigest() != wanted:
        raise damaged(part.path, "its bytes are not those that were written")
    _VERIFIED.add(part.path)
    return content


def verify_once(parts: Iterable[Any]) -> None:
    """Compares files with what was written, each the first time that this process reads it.

    Page checksums alone would let a footer through that names other columns or counts other rows.

    Raises:
        LakeDamaged, OSError: see `verified`.
    """
    for part in parts:
        if digest_of(part.path) is not None and part.path not in _VERIFIED:
            verified(part)


def damaged(path: str, why: str) -> LakeDamaged:
    """A file that can be read no more, and what to do about it."""
    return LakeDamaged(
        f"the lake's file {path} is damaged: {why}. Put it back from a backup, or make the night again where that can "
        "be done; `pipeline doctor --deep` says which files are damaged and how each is mended"
    )


@dataclass
class OpenTable:
    """A table that a thread has read, and the commit by which it knows it again.

    Attributes:
        files: the table's folder, by the operating system where it is a local one.
        stamp: when the commit of the table's version was written, and its size: a folder that was put back from a
            backup, or made anew, has another one.
    """

    table: DeltaTable
    files: FileSystem | DeltaStorageHandler
    stamp: tuple[Any, ...]

    @classmethod
    def of(cls, table: DeltaTable, files: FileSystem | DeltaStorageHandler) -> OpenTable:
        return cls(table, files, cls._stamp(files, table.version()))

    def refreshed(self) -> bool:
        """Brings the table up to date; False where it is another one by now, or gone."""
        from deltalake.exceptions import DeltaError

        if self.stamp != self._stamp(self.files, self.table.version()):
            return False
        before = self.table.version()
        if self._stamp(self.files, before + 1)[1] == FileType.NotFound:
            return True
        try:
            self.table.update_incremental()
        except DeltaError:
            return False
        if self.table.version() != before:
            self.stamp = self._stamp(self.files, self.table.version())
        return True

    @staticmethod
    def _stamp(files: FileSystem | DeltaStorageHandler, version: int) -> tuple[Any, ...]:
        (commit,) = files.get_file_info([f"_delta_log/{version:020}.json"])
        return (version, commit.type, commit.size, commit.mtime_ns)


class _OpenTables(threading.local):
    """The tables that a thread has open, the one used last at the end."""

    def __init__(self) -> None:
        self.tables: OrderedDict[tuple[str, tuple[tuple[str, str], ...]], OpenTable] = OrderedDict()


_OPEN = _OpenTables()
#: How many a thread keeps open.
OPEN_TABLES = 128
# a child that was forked shares no handle with its parent
os.register_at_fork(after_in_child=lambda: _OPEN.tables.clear())


@dataclass(frozen=True)
class DeltaStore:
    """A folder of Delta tables, local or in an object store. Holds no open table, so it may cross a fork or a pickle.

    Attributes:
        url: a path, file://, s3://, gs:// or az:// URL.
        storage_options: passed to delta-rs as they are (credentials, endpoint, region).
        attempts: how often a commit is tried while other writers win.
        sleep, jitter: how to wait and how to draw from [0, 1); replaced in tests.
    """

    url: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    attempts: int = 12
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def uri(self, *names: str) -> str:
        """Where the table of these names lives."""
        root = self.url if "://" in self.url else str(Path(self.url).expanduser().absolute())
        return "/".join([root.rstrip("/"), *(safe_name(name) for name in names)])

    def open(self, uri: str, version: int | None = None) -> DeltaTable | None:
        """The table at its newest or a pinned version; None if there is no table.

        What this thread has open already is brought up to date instead of being read again from the start: use it, and
        ask again rather than keep it.

        Raises:
            LakeUnavailable: the store cannot be read, or it never had that version.
        """
        with reachable(uri, "read" if version is None else f"read version {version} of"):
            table = self._newest(uri)
            if table is None or version in (None, table.version()):
                return table
            return self._opened(uri, version)

    def _newest(self, uri: str) -> DeltaTable | None:
        from deltalake.fs import DeltaStorageHandler

        open_table = self._let_go(uri)
        if open_table is None or not open_table.refreshed():
            table = self._opened(uri)
            if table is None:
                return None
            open_table = OpenTable.of(table, local_files(uri) or DeltaStorageHandler(uri, self._options()))
        self._keep(uri, open_table)
        return open_table.table

    def _opened(self, uri: str, version: int | None = None) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(uri, version=version, storage_options=self._options())
        except TableNotFoundError as error:
            if error_number(error) in (None, errno.ENOENT):
                return None
            raise

    def _keep(self, uri: str, open_table: OpenTable) -> None:
        _OPEN.tables[self._key(uri)] = open_table
        while len(_OPEN.tables) > OPEN_TABLES:
            _OPEN.tables.popitem(last=False)

    def _let_go(self, uri: str) -> OpenTable | None:
        """The next one who opens the table reads it from the start."""
        return _OPEN.tables.pop(self._key(uri), None)

    def _key(self, uri: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        return uri, tuple(sorted(self.storage_options.items()))

    def create(self, uri: str, schema: pa.Schema, partition_by: list[str]) -> DeltaTable:
        """The table, made without rows if it is not there. Every column is nullable."""
        from deltalake import DeltaTable, Schema

        loose = pa.schema([pa.field(f.name, f.type) for f in schema])
        with reachable(uri, "make the table"):
            return DeltaTable.create(
                uri,
                Schema.from_arrow(loose),
                mode="ignore",
                partition_by=partition_by or None,
                configuration=_TABLE_SETTINGS,
                storage_options=self._options(),
            )

    def add_file(self, uri: str, rows: pa.Table, partition: Mapping[str, str], **parquet: Any) -> AddAction:
        """Writes one parquet file, which nobody sees before it is committed. Rows keep their order; no rows is fine.

        delta-rs's own writer neither keeps the order of rows nor writes a file for a night without any. Every page
        has a checksum, and the file's name the sha256 of all of it (`digest_of`).
        """
        import pyarrow.parquet as pq
        from deltalake.fs import DeltaStorageHandler
        from deltalake.transaction import AddAction

        whole = pa.BufferOutputStream()
        pq.write_table(rows, whole, write_page_checksum=True, **parquet)
        content = whole.getvalue()
        name = f"part-{uuid.uuid4()}-{hashlib.sha256(content).hexdigest()}.parquet"
        path = "/".join([*(f"{column}={value}" for column, value in partition.items()), name])
        with reachable(uri, "write to"):
            files = DeltaStorageHandler(uri, self._options())
            # through a buffer that takes all of it: delta-rs's stream accepts no other write than of plain memory
            with pa.BufferedOutputStream(files.open_output_stream(path), len(content) + 1) as sink:
                sink.write(content)
            size = files.get_file_info([path])[0].size
        stats = f'{{"numRecords": {rows.num_rows}}}'
        return AddAction(path, size, dict(partition), int(time.time() * 1000), True, stats)

    def commit(self, uri: str, change: Callable[[DeltaTable | None], T]) -> T:
        """Runs `change` on the newest table until no other writer comes between its reading and its commit.

        Raises:
            LakeUnavailable: the store fails, or others kept winning.
        """
        from deltalake.exceptions import CommitFailedError

        for attempt in range(self.attempts):
            try:
                with reachable(uri, "write to"):
                    table = self.open(uri)
                    # whoever opens it while it is being changed must not move it on to another version
                    open_table = self._let_go(uri)
                    result = change(table)
                    if open_table is not None:
                        self._keep(uri, OpenTable.of(open_table.table, open_table.files))
                    return result
            except CommitFailedError as error:
                conflict = error
                # Full jitter: writers that met once should not meet again.
                self.sleep(self.jitter() * min(2.0, 0.02 * 2**attempt))
        raise LakeUnavailable(
            f"cannot write to {uri}: other writers changed it {self.attempts} times in a row. "
            "Nothing half-written is visible; run the night again when they are done"
        ) from conflict

    def tidy(self, uri: str, keep_days: int) -> Tidied:
        """Merges small files and deletes those that no version of the last `keep_days` days needs.

        Raises:
            ValueError: fewer than one day, which could delete what a running writer is about to commit.
        """
        if keep_days < 1:
            raise ValueError(f"keep_days is {keep_days}; keep at least 1 day, for writers that are still at work")

        def compact(table: DeltaTable | None) -> int:
            return int(table.optimize.compact()["numFilesRemoved"]) if table is not None else 0

        merged = self.commit(uri, compact)
        self._let_go(uri)
        table = self.open(uri)
        if table is None:
            return Tidied(0, 0)
        with reachable(uri, "tidy"):
            # Full: files of killed writers stand in no log, so only a listing of the folder finds them.
            gone = table.vacuum(keep_days * 24, dry_run=False, enforce_retention_duration=False, full=True)
            table.create_checkpoint()
        self._let_go(uri)
        return Tidied(merged, len(gone))

    def let_go(self, uri: str, keep_days: int, keep: Iterable[int] = (), dry: bool = False) -> Deleted:
        """Deletes files that only earlier versions need and that were replaced more than `keep_days` days ago.

        Args:
            keep: versions that stay readable all the same.
            dry: only say what would go.

        Raises:
            ValueError: fewer than one day, which could delete what a running writer is about to commit.
        """
        if keep_days < 1:
            raise ValueError(f"keep_days is {keep_days}; keep at least 1 day, for writers that are still at work")
        self._let_go(uri)
        table = self._opened(uri)
        if table is None:
            return Deleted(0, 0)
        versions = sorted({*keep})

        def vacuum(only_said: bool) -> list[str]:
            # each of it that deletes is two more commits in the log
            return table.vacuum(
                keep_days * 24, dry_run=only_said, enforce_retention_duration=False, full=True,
                keep_versions=versions or None,
            )  # fmt: skip

        with reachable(uri, "take replaced files from"):
            sizes = self._sizes(uri, vacuum(True))
            if sizes and not dry:
                vacuum(False)
        self._let_go(uri)
        return Deleted(len(sizes), sum(sizes))

    def _sizes(self, uri: str, files: list[str]) -> list[int]:
        """The sizes of those that are there: the log goes on naming what was deleted long ago."""
        from deltalake.fs import DeltaStorageHandler

        if not files:
            return []
        folder = local_files(uri) or DeltaStorageHandler(uri, self._options())
        infos = folder.get_file_info([unquote(path) for path in files])
        return [info.size or 0 for info in infos if info.type == FileType.File]

    def _options(self) -> dict[str, str] | None:
        return dict(self.storage_options) or None


@dataclass(frozen=True)
class Deleted:
    """How many files were deleted, and their bytes."""

    files: int
    size: int


@dataclass(frozen=True)
class Tidied:
    """What `tidy` did: small files merged into larger ones, and files deleted."""

    merged: int
    deleted: int
