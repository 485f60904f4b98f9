"""Every place that opens an image goes through one opener, and no file brings any of them down."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import pipeline_project.domain.intake.photo_opener as photos
from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.intake.photo_opener import as_jpeg, open_photo
from pipeline_project.domain.reporting.thumbnails import thumbnail

ROOT = Path(__file__).parents[3]
#: How bytes become an image in the libraries that are installed.
OPENS = re.compile(r"\bImage\.open\(|from PIL\.Image import .*\bopen\b|ImageFile\.Parser|\bcv2\b|imageio")


def test_images_are_opened_in_one_place() -> None:
    found = {
        str(path.relative_to(ROOT))
        for room in ("pipeline_project", "resources", "assets")
        for path in (ROOT / room).rglob("*.py")
        if OPENS.search(path.read_text())
    }
    assert found == {"pipeline_project/domain/intake/photo_opener.py"}
    assert '"PIL.Image.open".msg' in (ROOT / "pyproject.toml").read_text()


def saved(form: str, mode: str = "RGB", size: tuple[int, int] = (60, 40), **terms: object) -> bytes:
    made = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(made, form, **terms)
    return made.getvalue()


def exif_of(body: bytes) -> bytes:
    """A JPEG whose EXIF block has this body."""
    whole = saved("JPEG")
    block = b"Exif\0\0" + body
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + whole[2:]


def png_of(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*c) for c in chunks) + chunk(b"IEND", b"")


def malformed() -> Iterator[tuple[str, bytes]]:
    """Files made to harm, by name: other programs, bombs, blocks that lie, and every file cut and flipped."""
    yield "eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n%%EndComments\nshowpage\n"
    preview = struct.pack("<4sIIIIIIHH", b"\xc5\xd0\xd3\xc6", 32, 60, 0, 0, 0, 0, 0, 0)
    yield "eps with a preview", preview + b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n"
    for form in ("PPM", "PCX", "TGA", "ICNS", "ICO", "SGI", "PDF", "IM", "MSP", "SPIDER", "DDS", "JPEG2000", "AVIF"):
        try:
            mode = {"MSP": "1", "SPIDER": "F"}.get(form, "RGB")
            yield form, saved(form, mode, (64, 64))
        except (OSError, KeyError, ValueError):
            continue  # this build cannot write it, so nothing of it is tried
    yield "svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='60' height='40'><rect width='9'/></svg>"
    yield "html", b"<html><body>Not found</body></html>"
    yield "empty", b""
    yield "bomb by header", png_of(60_000, 60_000, (b"IDAT", zlib.compress(b"\0" * 1000)))
    yield "overflowing", png_of(2**31 - 1, 2**31 - 1, (b"IDAT", b""))
    yield "no pixels", png_of(0, 0, (b"IDAT", b""))
    yield "text bomb", png_of(60, 40, (b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 20_000_000)))
    yield "profile bomb", png_of(60, 40, (b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 20_000_000)))
    yield "no zlib", png_of(60, 40, (b"IDAT", b"not deflated"))
    tiff = b"II*\0" + struct.pack("<I", 8)
    for name, entry in {
        "orientation as text": (0x0112, 2, 4, 0x41414141),
        "orientation without end": (0x0112, 3, 2**31, 0xFFFFFF),
        "orientation as fraction": (0x0112, 5, 1, 2**30),
        "a rational by zero": (0x011A, 5, 1, 8),
        "itself as its next": (0x8769, 4, 1, 8),
        "a kind that is none": (0x0112, 99, 1, 6),
    }.items():
        body = tiff + struct.pack("<H", 1) + struct.pack("<HHII", *entry) + struct.pack("<I", 8)
        yield f"exif: {name}", exif_of(body)
        yield f"tiff: {name}", body
    yield "exif: cut", exif_of(b"II*\0\x08")
    yield "exif: other order", exif_of(b"XX*\0" + b"\xff" * 40)
    for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"):
        whole = saved(form)
        for cut in (1, 9, 30, len(whole) // 2, len(whole) - 3):
            yield f"{form} cut at {cut}", whole[:cut]
        for seed in range(12):
            hurt = bytearray(whole)
            for step in range(8):
                hurt[(seed * 7919 + step * 104_729) % min(len(whole), 400)] ^= 1 + (seed * 31 + step * 17) % 255
            yield f"{form} flipped {seed}", bytes(hurt)


@pytest.fixture(autouse=True)
def no_other_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is opened may start a program."""

    def started(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    for name in ("Popen", "run", "check_call", "check_output", "call"):
        monkeypatch.setattr(subprocess, name, started)


def test_no_file_raises_anything_but_that_it_is_unreadable() -> None:
    opened = 0
    for name, content in malformed():
        for opener in (lambda c: open_photo(c, 10**6, (16, 16)), lambda c: as_jpeg(c, 32)):
            try:
                opener(content)
                opened += 1
            except PhotoUnreadable as problem:
                assert 0 < len(str(problem)) < 80, name
        assert (thumbnail(content) or "data:image/jpeg").startswith("data:image/jpeg"), name
    assert opened > 20, "a damaged EXIF or a flipped pixel does not hide the photo"


@pytest.mark.parametrize("name", ["eps", "eps with a preview", "PPM", "PCX", "TGA", "PDF", "svg", "bomb by header"])
def test_what_is_not_listed_or_too_large_is_never_decoded(name: str) -> None:
    with pytest.raises(PhotoUnreadable):
        as_jpeg(dict(malformed())[name], 32)


def test_whatever_a_decoder_raises_is_an_unreadable_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = (struct.error, NotImplementedError, RecursionError, MemoryError, ZeroDivisionError, AssertionError)
    for kind in (*raised, subprocess.SubprocessError):
        for step in ("open", "load"):
            with monkeypatch.context() as patched:

                def broken(*_: object, kind: type[Exception] = kind, **__: object) -> None:
                    raise kind

                patched.setattr("PIL.Image.open" if step == "open" else "PIL.ImageFile.ImageFile.load", broken)
                with pytest.raises(PhotoUnreadable):
                    as_jpeg(saved("PNG"), 32)
                assert thumbnail(saved("PNG")) is None


def test_it_keeps_the_shape_and_never_enlarges(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_photo(saved("PNG", size=(400, 100)), 10**6, (96, 96), keep_shape=True).size == (96, 24)
    assert open_photo(saved("PNG", size=(20, 30)), 10**6, (96, 96), keep_shape=True).size == (20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = saved("JPEG", size=(400, 100), exif=exif)
    assert open_photo(lying, 10**6, (96, 96), keep_shape=True).size == (24, 96)
    monkeypatch.setattr(photos, "MOST_PIXELS", 100)
    with pytest.raises(PhotoUnreadable, match="pixels"):
        as_jpeg(saved("PNG"), 32)
