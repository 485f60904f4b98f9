"""Malformed photos in every place that opens one: the encoders' opener, the night report's thumbnails, the desk.

A photo is shown or refused in words; no other error leaves the opener, no program is started, and nothing takes long.
At the desk a reviewer who holds the task asks for it over the desk's own route.
`--without formats` opens whatever Pillow knows and expects only the errors it documents.
"""

from __future__ import annotations

import io
import struct
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from random import Random
from unittest import mock

from PIL import Image, UnidentifiedImageError

from benchmarks.chaos.tally import Came, Given, Tally, run
from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.domain.intake import photo_opener as photos
from pipeline_project.domain.intake.photo_opener import open_photo
from pipeline_project.domain.reporting.thumbnails import thumbnail
from resources.ledger.migrate import upgrade
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.embedded import EmbeddedServer
from tests.desk.house import DeskHouse

SECONDS = 10.0
MOST_PIXELS = 30_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def _whole(draw: Random, kind: str | None = None) -> bytes:
    """A small photo of some kind, with EXIF where the kind has it."""
    kind = kind or draw.choice(FORMATS)
    size = (draw.randrange(16, 90), draw.randrange(16, 90))
    photo = Image.frombytes("RGB", size, draw.randbytes(3 * size[0] * size[1]))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = draw.choice([1, 3, 6, 8, 77]), "maker" * draw.randrange(1, 9)
    content = io.BytesIO()
    photo.save(content, kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}))
    return content.getvalue()


def _flipped(draw: Random) -> bytes:
    content = bytearray(_whole(draw))
    for _ in range(draw.choice([1, 3, 40])):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def _bad_exif(draw: Random) -> bytes:
    """An EXIF block whose offsets and types lead nowhere."""
    content = bytearray(_whole(draw, "JPEG"))
    at = content.find(b"Exif\x00\x00")
    for _ in range(draw.randrange(1, 12)):
        content[at + 6 + draw.randrange(60)] = draw.randrange(256)
    return bytes(content)


def _bomb(draw: Random) -> bytes:
    """A PNG of a few bytes that says it is enormous."""
    side = draw.choice([9_000, 60_000, 2**31 - 1])

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def _eps(draw: Random) -> bytes:
    box = f"{draw.randrange(10, 90)} {draw.randrange(10, 90)}"
    words = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 {box}\n%%EndComments\n(chaos) print showpage\n%%EOF\n"
    return words.encode()


def _other_kind(draw: Random) -> bytes:
    """Formats that Pillow opens and no camera makes."""
    photo, content = Image.new("RGB", (20, 20), "red"), io.BytesIO()
    photo.save(content, draw.choice(["PPM", "TGA", "PCX", "ICO", "SGI", "DDS", "IM", "PDF"]))
    return content.getvalue()


def _cut(draw: Random) -> bytes:
    content = _whole(draw)
    return content[: draw.randrange(1, len(content))]


MAKERS: dict[str, Callable[[Random], bytes]] = {
    "empty": lambda draw: b"",
    "noise": lambda draw: draw.randbytes(draw.randrange(1, 4_000)),
    "cut off": _cut,
    "bits flipped": _flipped,
    "EXIF that leads nowhere": _bad_exif,
    "enormous by its header": _bomb,
    "PostScript": _eps,
    "a format no camera makes": _other_kind,
    "an HTML page": lambda draw: b"<!DOCTYPE html><html><body>404</body></html>" * draw.randrange(1, 9),
    "a head and noise": lambda draw: _whole(draw)[:40] + draw.randbytes(500),
    "two photos in one": lambda draw: _whole(draw) + _whole(draw),
}


def suite(given: Given) -> Tally:
    tally = Tally()
    with _without(given.without), _desk() as desk:
        for kind, make in MAKERS.items():
            for seed in range(given.seed, given.seed + given.times):
                content = make(Random(f"{kind}/{seed}"))
                for place, look in (("encoder", _encoder), ("report", _report), ("desk", desk)):
                    came, words = judged(look, content)
                    tally.note(f"{kind}: {place}", came, f"seed {seed}: {words}")
    return tally


def judged(look: Callable[[bytes], None], content: bytes) -> tuple[Came, str]:
    """One look: a program that is started counts as silent, an error that nobody expects as a lost night."""
    started: list[str] = []

    def start(words: object, *_: object, **__: object) -> None:
        started.append(str(words))
        raise OSError("no program is started here")

    began = time.monotonic()
    try:
        with mock.patch.object(subprocess, "Popen", start):
            look(content)
    except Exception as error:  # noqa: BLE001 - whatever it is, a night would have met it
        return Came.LOST, f"{type(error).__name__}"
    if started:
        return Came.SILENT, "a program was started"
    if time.monotonic() - began > SECONDS:
        return Came.SILENT, "it took longer than ten seconds"
    return Came.WELL, ""


def _encoder(content: bytes) -> None:
    try:
        assert open_photo(content, MOST_PIXELS, (64, 64)).size == (64, 64)
    except PhotoUnreadable:
        return


def _report(content: bytes) -> None:
    thumbnail(content)


@contextmanager
def _desk() -> Iterator[Callable[[bytes], None]]:
    """A desk at which somebody holds a task; what is called shows a photo there as if the shop had sent it."""
    sent: list[bytes] = []

    class Shop:
        """A photo source."""

        def read(self, path: str) -> bytes:
            return sent[-1]

        def stamp(self, paths: Iterable[str]) -> str:
            return str(len(sent))

    with tempfile.TemporaryDirectory(prefix="pipeline-photos-") as name:
        server = EmbeddedServer(Path(name) / "postgres")
        try:
            url = server.start()
            upgrade(url)
            house = DeskHouse(PostgresLedger(url), Path(name) / "keys")
            house.ports = replace(house.ports, photos=lambda _: Shop())
            house.app.state.ports = house.ports
            house.ask("A-1", content={"photos": ["photo"]})
            anna, task = house.client(house.add("anna", PersonRole.REVIEWER)), house.tasks["A-1"]
            address = f"/tasks/{task}/photos/0?claim={anna.take(task)['claim']}"

            def look(content: bytes) -> None:
                sent.append(content)
                answer = anna.get(address)
                if (answer.status_code, answer.headers["content-type"]) != (200, "image/jpeg"):
                    assert answer.status_code == HTTPStatus.NOT_FOUND, f"the desk says {answer.status_code}"

            yield look
            house.close()
        finally:
            server.stop()


@contextmanager
def _without(protection: str | None) -> Iterator[None]:
    if protection is None:
        yield
        return
    with (
        mock.patch.object(photos, "_FORMATS", None),
        mock.patch.object(photos, "_DAMAGED", (UnidentifiedImageError,)),
    ):
        yield


if __name__ == "__main__":
    raise SystemExit(run("photos", str(__doc__), ["formats"], 20, suite))
