"""Files of the lake deleted, cut off, flipped, swapped and emptied, each as a night meets it that reads them.

Whoever reads gets the rows that were written or an error that says what to do; never other rows. Every file is hit:
data, log and checkpoints of the log. `--without checksums` reads the files as they lie there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random
from unittest import mock

import pyarrow as pa

from benchmarks.chaos.tally import Came, Given, Tally, run
from pipeline_project.domain.core.errors import PipelineError
from resources.lake.lake import DeltaLake

FLOW, NOUN, NIGHTS, ROWS = "chaos", "cases", 25, 40


def write(folder: Path, seed: int) -> dict[str, list[dict[str, object]]]:
    """A table of some nights, more than one checkpoint of its log long; returns the rows of each night."""
    draw, lake, written = Random(seed), DeltaLake(str(folder)), {}
    for place in range(NIGHTS):
        night = (date(2025, 3, 1) + timedelta(days=place)).isoformat()
        rows = pa.table(
            {
                "night": [night] * ROWS,
                "case_id": [f"C-{place:02}-{number:03}" for number in range(ROWS)],
                "amount": [round(draw.uniform(1, 400), 2) for _ in range(ROWS)],
                "note": [draw.choice(["broken", "too small", "never came"]) for _ in range(ROWS)],
            }
        )
        lake.write_night(FLOW, NOUN, night, rows)
        written[night] = rows.to_pylist()
    return written


def _flip(path: Path, draw: Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, draw: Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(1, len(content))])


def _swap(path: Path, draw: Random) -> None:
    """Another night's file under this one's name: whole, readable, and wrong."""
    others = [
        each for each in sorted(path.parents[1].rglob("*.parquet")) if each != path and "_delta_log" not in str(each)
    ]
    shutil.copy(draw.choice(others), path)


FAULTS: dict[str, Callable[[Path, Random], object]] = {
    "deleted": lambda path, _: path.unlink(),
    "emptied": lambda path, _: path.write_bytes(b""),
    "cut off": _cut,
    "a bit flipped": _flip,
    "overwritten": lambda path, draw: path.write_bytes(draw.randbytes(path.stat().st_size)),
}


def suite(given: Given) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        written = write(whole, given.seed)
        table = whole / FLOW / NOUN
        data = sorted(str(path.relative_to(whole)) for path in table.rglob("night=*/*.parquet"))
        log = sorted(str(path.relative_to(whole)) for path in (table / "_delta_log").iterdir())
        kinds = [
            (f"{what}: {fault}", files, act)
            for what, files in (("data", data), ("log", log))
            for fault, act in FAULTS.items()
        ]
        kinds.append(("data: another night's file", data, _swap))
        for kind, files, act in kinds:
            for seed in range(given.seed, given.seed + given.times):
                draw = Random(f"{kind}/{seed}")
                hurt = Path(name) / "hurt"
                shutil.copytree(whole, hurt)
                act(hurt / draw.choice(files), draw)
                with _without(given.without):
                    came, words = judged(hurt, written, draw)
                tally.note(kind, came, f"seed {seed}: {words}")
                shutil.rmtree(hurt)
    return tally


def judged(folder: Path, written: dict[str, list[dict[str, object]]], draw: Random) -> tuple[Came, str]:
    """Every night is read as a night reads it: by itself, and as the span of those before it."""
    for night in draw.sample(sorted(written), 6) + sorted(written):
        try:
            rows = DeltaLake(str(folder)).read_night(FLOW, NOUN, night)
        except PipelineError:
            continue
        if rows is None:
            return Came.LOST, f"{night} was never written, it says"
        if rows.to_pylist() != written[night]:
            return Came.SILENT, f"{night} has other rows, and nobody said so"
    try:
        span = DeltaLake(str(folder)).read_span(FLOW, NOUN, None, "9999-12-31")
    except PipelineError:
        return Came.WELL, ""
    wanted = [row for night in sorted(written) for row in written[night]]
    if span is None or span.to_pylist() != wanted:
        return Came.SILENT, "the span of all nights has other rows, and nobody said so"
    return Came.WELL, ""


@contextmanager
def _without(protection: str | None) -> Iterator[None]:
    from pyarrow.dataset import ParquetFragmentScanOptions

    from resources.lake import delta, lake

    # a file is compared once in a process: this one damages the same name over and over
    delta._VERIFIED.clear()
    if protection is None:
        yield
        return
    with (
        mock.patch.object(lake, "verified", lambda part: part.filesystem.open_input_file(part.path).read_buffer()),
        mock.patch.object(lake, "verify_once", lambda parts: None),
        mock.patch.object(lake, "checked", lambda: ParquetFragmentScanOptions(page_checksum_verification=False)),
    ):
        yield


if __name__ == "__main__":
    raise SystemExit(run("lakefiles", str(__doc__), ["checksums"], 20, suite))
