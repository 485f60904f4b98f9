"""The checkpoints themselves: signed JSON lines in one file, each naming the digest of the line before.

In a folder lines are appended under a lock; behind a URL the object is replaced by itself and the new line, on the
condition that it is still the one that was read.

A line with `break` is a checkpoint too: over the chain of a restored ledger, which somebody accepted with a reason.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline_project.domain.audit.canonical import canonical, moment
from pipeline_project.domain.audit.chain import GENESIS
from pipeline_project.domain.audit.findings import AcceptedBreak, Checkpoint, End
from pipeline_project.domain.core.errors import FileMissing, FilesUnavailable
from pipeline_project.domain.core.locations import is_url
from pipeline_project.ports.files import Files
from resources.files import files_at

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FILE = "checkpoints.jsonl"
#: The kinds of batch by which the chain itself remembers that a checkpoint was written, and that a break was accepted.
KIND, BREAK_KIND = "checkpoints", "breaks"


#: Appends bytes to the file, which are kept when it returns.
Append: TypeAlias = Callable[[bytes], None]


@dataclass(frozen=True)
class CheckpointLine:
    """One line as read, and the digest that the next one names."""

    checkpoint: Checkpoint
    digest: str


def read_lines(files: Files, key: Ed25519PublicKey) -> list[CheckpointLine]:
    """The checkpoints at a place, oldest first; what is no valid line is one with `valid` False.

    A last line without its end was cut off by a crash while it was written, before anybody relied on it: left out.
    """
    try:
        whole, _, _ = files.read(FILE).rpartition(b"\n")
    except FileMissing:
        return []
    lines: list[CheckpointLine] = []
    before = GENESIS
    for number, content in enumerate(whole.split(b"\n") if whole else [], start=1):
        digest = sha256(content).hexdigest()
        lines.append(CheckpointLine(_checkpoint(number, content, before, key), digest))
        before = digest
    return lines


def lines_until(content: bytes, end: int) -> bytes:
    """A file's lines before the first that speaks of a batch after `end`, as they are; no key is needed for that."""
    whole = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    # what is no line of a checkpoint stays: whoever verifies says what is wrong with it
    kept: Iterator[bytes] = takewhile(lambda line: (number := _number_of(line)) is None or number <= end, whole)
    return b"".join(kept)


def _number_of(line: bytes) -> int | None:
    """The batch that a line speaks of; None where it is none of a checkpoint's."""
    try:
        return int(json.loads(line)["number"])
    except (ValueError, KeyError, TypeError):
        return None


def _checkpoint(number: int, content: bytes, before: str, key: Ed25519PublicKey) -> Checkpoint:
    from cryptography.exceptions import InvalidSignature

    try:
        fields = json.loads(content)
        signature = bytes.fromhex(fields.pop("signature"))
        key.verify(signature, canonical(fields).encode())
        tip, at = End(int(fields["number"]), str(fields["hash"])), datetime.fromisoformat(fields["signed_at"])
        accepted = _break(fields["break"], tip, at, content) if "break" in fields else None
        return Checkpoint(number, tip.number, tip.hash, at, fields["before"] == before, accepted)
    except (InvalidSignature, ValueError, KeyError, TypeError, AttributeError):
        return Checkpoint(number, 0, "", datetime.fromisoformat("1970-01-01T00:00:00+00:00"), valid=False)


def _break(statement: Mapping[str, Any], tip: End, at: datetime, content: bytes) -> AcceptedBreak:
    agreed, lost = (End(int(statement[name]["number"]), str(statement[name]["hash"])) for name in ("agreed", "lost"))
    return AcceptedBreak(
        agreed, lost, tip, str(statement["by"]), str(statement["reason"]), at, sha256(content).hexdigest()
    )


@contextmanager
def writing(place: str) -> Iterator[Append]:
    """The file, for one who appends to what is read after this; of several at once one does.

    Raises:
        FilesUnavailable: from appending behind a URL, where another process was quicker; nothing was written.
    """
    if is_url(place):
        yield _appended(files_at(place))
        return
    with _locked(Path(place)) as handle:
        yield lambda content: _append(handle, Path(place), content)


def _appended(files: Files) -> Append:
    stamp = files.stamp(FILE)
    before = b"" if stamp is None else files.read(FILE)

    def append(content: bytes) -> None:
        whole = before + content
        if not (files.create(FILE, whole) if stamp is None else files.replace(FILE, whole, stamp)):
            raise FilesUnavailable(
                f"another process wrote to {files.place(FILE)} meanwhile, and nothing was signed; run it again"
            )

    return append


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


@dataclass(frozen=True)
class NewLine:
    """What a checkpoint says before it is signed.

    Attributes:
        before: digest of the line before.
        accepted: of a break: `agreed` and `lost` ends, `by`, `reason`; None where there is none.
    """

    tip: End
    before: str
    signed_at: datetime
    accepted: Mapping[str, Any] | None = None

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """The line as it stands in the file, without its end."""
        chain_end = {"number": self.tip.number, "hash": self.tip.hash, "before": self.before}
        broken = {} if self.accepted is None else {"break": self.accepted}
        fields = {**chain_end, "signed_at": moment(self.signed_at), **broken}
        return canonical({**fields, "signature": key.sign(canonical(fields).encode()).hex()}).encode()


def write_line(append: Append, key: Ed25519PrivateKey, line: NewLine) -> str:
    """Signs and appends one line, kept when this returns; gives its digest."""
    content = line.signed(key)
    append(content + b"\n")
    return sha256(content).hexdigest()


def _append(handle: int, folder: Path, content: bytes) -> None:
    size = _without_torn_end(handle, folder)
    if os.write(handle, content) != len(content):
        os.ftruncate(handle, size)
        raise OSError(28, "No space left on device", str(folder / FILE))
    os.fsync(handle)


def _without_torn_end(handle: int, folder: Path) -> int:
    content = (folder / FILE).read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.ftruncate(handle, whole)
    return whole
