"""A file's content, unpacked where it is packed: by what it begins with, whatever its name says."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.file_hints import looks_like
from resources.sources.lines import Reading

_HEAD = 2048


def _zstd(file: BinaryIO) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


_PACKERS: tuple[tuple[bytes, str, Callable[[BinaryIO], Any]], ...] = (
    (b"\x1f\x8b\x08", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"BZh91AY&SY", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
)
_ZIP = b"PK\x03\x04"


class Unpacked:
    """The bytes of a file as they are read, never more than a bound.

    Raises, from `read`:
        SourceUnreadable: what was packed is not whole, or unpacks to more.
    """

    def __init__(self, file: BinaryIO, inner: Any, packer: str, name: str, most: int) -> None:
        self._file, self._inner, self._packer, self._name, self._most, self._read = file, inner, packer, name, most, 0

    def read(self, size: int) -> bytes:
        try:
            content: bytes = self._inner.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, OSError, pa.ArrowException) as error:
            if not self._packer:
                raise SourceUnreadable(f"{self._name}: cannot be read ({type(error).__name__})") from error
            raise SourceUnreadable(
                f"{self._name}: no whole {self._packer} file, it may be half-written or truncated; deliver it again"
            ) from error
        self._read += len(content)
        if self._read > self._most:
            raise SourceUnreadable(f"{self._name}: more than {self._most // 1024**3} GiB unpacked; split it")
        return content

    def tell(self) -> int:
        """Bytes read so far."""
        return self._read

    def close(self) -> None:
        self._inner.close()
        self._file.close()


def unpacked(path: Path, name: str, reading: Reading, most: int) -> Unpacked:
    """Opens a file to be read, unpacked; `reading` notes it.

    Raises:
        SourceUnreadable: it may not be read, or is an archive, of which nobody said which file is meant.
    """
    try:
        file = path.open("rb")
        head = file.read(_HEAD)
        file.seek(0)
    except OSError as error:
        raise SourceUnreadable(f"{name}: {error.strerror or 'cannot be read'}; check its permissions") from error
    if head.startswith(_ZIP):
        file.close()
        raise SourceUnreadable(f"{name}: {looks_like(head)}")
    for mark, packer, opening in _PACKERS:
        if head.startswith(mark):
            reading.note(f"packed with {packer}")
            return Unpacked(file, opening(file), packer, name, most)
    return Unpacked(file, file, "", name, most)
