"""Small encoders that workers can make, with something that happens to those who use them; and where it is counted."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.vectors.stored import Floats, unit
from pipeline_project.ports.encoders import PreparedPart

DIMENSION = 8


@dataclass(frozen=True)
class Hashes:
    """A file's vector is made of its hash; what begins with an exclamation mark is no image.

    Attributes:
        log: the folder in which each process counts what it encodes.
        heavy: kills its worker where it is encoded with more than one other content.
        gate: what begins with `wait` is encoded once this file is there.
    """

    log: Path
    heavy: bytes = b""
    gate: Path | None = None

    version, dimension = "hashes-1", DIMENSION

    def encode(self, contents: Sequence[bytes]) -> tuple[Floats, list[str | None]]:
        parts, problems = self.prepare(contents, None)
        vectors = np.zeros((len(contents), DIMENSION), np.float32)
        for part in parts:
            vectors[part.places] = self.encode_prepared(part.contents)
        return vectors, [problems.get(place) for place in range(len(contents))]

    def prepare(self, contents: Sequence[bytes], most: int | None) -> tuple[list[PreparedPart], dict[int, str]]:
        good = [place for place, content in enumerate(contents) if not content.startswith(b"!")]
        size = most or 4
        parts = [good[start : start + size] for start in range(0, len(good), size)]
        problems = {place: "not an image" for place in range(len(contents)) if place not in good}
        return [PreparedPart(part, [contents[place] for place in part]) for part in parts], problems

    def encode_prepared(self, prepared: Sequence[bytes]) -> Floats:
        if self.heavy in prepared and len(prepared) > 2:
            # as the kernel does where memory ends: exit code 137
            os.kill(os.getpid(), signal.SIGKILL)
        while self.gate is not None and prepared[0].startswith(b"wait") and not self.gate.exists():
            time.sleep(0.05)
        digests = [hashlib.sha256(content).digest() for content in prepared]
        with (self.log / str(os.getpid())).open("a") as file:
            file.writelines(f"{digest.hex()}\n" for digest in digests)
        return unit(np.array([np.frombuffer(digest[:DIMENSION], np.uint8) for digest in digests], np.float32))


def encoded(log: Path) -> Counter[str]:
    """How often each content was encoded, by its key."""
    return Counter(line for file in log.iterdir() for line in file.read_text().split())


@dataclass(frozen=True)
class Folder:
    """`ports.PhotoSource` over a folder that every worker sees, whose photos never change."""

    folder: Path

    def read(self, path: str) -> bytes:
        file = self.folder / path
        if not file.exists():
            raise PhotoUnreadable("missing")
        return file.read_bytes()

    def stamp(self, paths: Iterable[str]) -> str:
        return repr(sorted(set(paths)))
