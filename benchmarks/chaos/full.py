"""A disk without room: a small tmpfs on which the lake, the reports and the database's own files run out of space.

What was whole stays whole, what did not fit is an error that somebody hears of, and once there is room the same work
goes through, each thing once. Needs the right to mount. `--without atomic` writes pages where they stand.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest import mock

import pyarrow as pa
from sqlalchemy import text

from benchmarks.chaos.disks import grown, small_disk
from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.passed import passed
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.reporting.index import IndexRow
from resources.lake.lake import DeltaLake
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of
from resources.postgres.embedded import EmbeddedServer
from resources.reports import pages as reports
from resources.reports.pages import ReportFolder

FLOW = "chaos"
#: For the database's own files and log, and what is left of it when it is full.
DATABASE_MEGABYTES = 400


def suite(given: Given) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="pipeline-full-") as name, _without(given.without):
        Path(name).chmod(0o755)
        for seed in range(given.seed, given.seed + given.times):
            draw = Random(seed)
            with small_disk(Path(name) / f"lake-{seed}", draw.randrange(80, 400)) as disk:
                tally.note("the lake", *_lake(disk, draw))
            with small_disk(Path(name) / f"reports-{seed}", draw.randrange(60, 200)) as disk:
                tally.note("the reports", *_reports(disk, draw))
        if given.without is None:
            for seed in range(given.seed, given.seed + max(1, given.times // 10)):
                with small_disk(Path(name) / f"ledger-{seed}", DATABASE_MEGABYTES * 1024) as disk:
                    tally.note("the ledger", *_ledger(disk, Random(seed)))
    return tally


def _lake(disk: Path, draw: Random) -> tuple[Came, str]:
    lake, kept = DeltaLake(str(disk / "lake")), dict[str, pa.Table]()
    nights = [f"2025-03-{day:02}" for day in range(1, 29)]
    failed: str | None = None
    for night in nights:
        rows = pa.table(
            {"night": [night] * 200, "what": [draw.randbytes(draw.randrange(20, 300)).hex() for _ in range(200)]}
        )
        try:
            lake.write_night(FLOW, "cases", night, rows)
        except PipelineError:
            failed = night
            break
        kept[night] = rows
    if failed is None:
        return Came.SILENT, "a full disk took everything"
    if wrong := _other(disk, kept, failed):
        return wrong
    grown(disk, 8_192)
    lake.write_night(FLOW, "cases", failed, rows)
    return _other(disk, {**kept, failed: rows}, None) or (Came.WELL, "")


def _other(disk: Path, kept: dict[str, pa.Table], failed: str | None) -> tuple[Came, str] | None:
    lake = DeltaLake(str(disk / "lake"))
    if failed is not None and lake.read_night(FLOW, "cases", failed) is not None:
        return Came.SILENT, f"{failed} did not fit and is there"
    for night, rows in kept.items():
        found = lake.read_night(FLOW, "cases", night)
        if found is None:
            return Came.LOST, f"{night} is gone"
        if found.to_pylist() != rows.to_pylist():
            return Came.SILENT, f"{night} has other rows"
    return None


def _reports(disk: Path, draw: Random) -> tuple[Came, str]:
    terms, kept = _terms(), dict[str, str]()
    folder = ReportFolder(str(disk / "reports"), "http://host")
    pages = {
        f"2025-03-{day:02}": "<p>" + draw.randbytes(draw.randrange(2_000, 9_000)).hex() + "</p>" for day in range(1, 29)
    }
    failed: str | None = None
    for night, page in pages.items():
        try:
            folder.write(terms, night, page, _row(night))
        except (OSError, PipelineError):
            failed = night
            break
        kept[night] = page
    if failed is None:
        return Came.SILENT, "a full disk took every page"
    if wrong := _torn(disk, kept, pages):
        return wrong
    grown(disk, 8_192)
    try:
        folder.write(terms, failed, pages[failed], _row(failed))
    except (OSError, ValueError, PipelineError) as error:
        return Came.LOST, f"with room again no page can be written ({type(error).__name__})"
    return _torn(disk, {**kept, failed: pages[failed]}, pages) or (Came.WELL, "")


def _torn(disk: Path, kept: dict[str, str], pages: dict[str, str]) -> tuple[Came, str] | None:
    there = {path.stem: path.read_text(encoding="utf-8") for path in (disk / "reports" / FLOW).glob("[!.]*.html")}
    if any(night not in there for night in kept):
        return Came.LOST, "a page is gone"
    if any(pages[night] != page for night, page in there.items()):
        return Came.SILENT, "half a page stands where a whole one should"
    if kept and not (disk / "reports" / "index.html").read_text(encoding="utf-8").rstrip().endswith("</html>"):
        return Came.SILENT, "half an index stands where a whole one should"
    return None


def _ledger(disk: Path, draw: Random) -> tuple[Came, str]:
    from resources.ledger.migrate import upgrade

    server = EmbeddedServer(disk / "postgres")
    url = server.start()
    try:
        upgrade(url)
        PostgresLedger(url).record_workflow(FLOW, "spec", {"name": FLOW})
        _fill(disk, draw.randrange(100, 3_000))
        failed = _decide(url)
        (disk / "filler").unlink()
        if failed is None:
            return Came.SILENT, "a full disk took a hundred thousand decisions"
        _again(server, url)
        return _once(url)
    finally:
        server.stop()


def _fill(disk: Path, left: int) -> None:
    """Takes all room but `left` kilobytes."""
    free = int(
        subprocess.run(
            ["df", "--output=avail", "-k", str(disk)], capture_output=True, text=True, check=True
        ).stdout.split()[1]
    )
    with (disk / "filler").open("wb") as file:
        for _ in range(free - left):
            file.write(b"\0" * 1024)


ROWS = 60_000


def _decide(url: str) -> str | None:
    """Decides a large night; the name of the error that stopped it."""
    rows = [
        NewDecision(f"C-{number:06}", "refund", "cheapest", spec_hash="spec", data_versions={"cases": 1})
        for number in range(ROWS)
    ]
    ledger = PostgresLedger(url)
    try:
        attempt = ledger.begin_attempt(FLOW, "2025-03-05", "chaos")
        ledger.record_decisions(FLOW, "2025-03-05", attempt, rows, basis=passed(ledger, FLOW, "2025-03-05"))
    except Exception as error:  # noqa: BLE001 - what the driver says of a full disk is not ours to choose
        return type(error).__name__
    return None


def _again(server: EmbeddedServer, url: str) -> None:
    """The night again, once there is room; the server may have stopped itself."""
    server.start()
    if (why := _decide(url)) is not None:
        raise RuntimeError(f"with room again the night still fails: {why}")


def _once(url: str) -> tuple[Came, str]:
    with engine_of(url).connect() as connection:
        rows, cases = connection.execute(text("SELECT count(*), count(DISTINCT case_id) FROM decisions")).one()
        chained = connection.scalar(text("SELECT count(*) FROM audit_rows WHERE source = 'decisions'"))
    if rows != cases or rows > ROWS:
        return Came.DOUBLED, f"{rows} decisions of {cases} cases"
    if rows < ROWS or chained != ROWS:
        return Came.LOST, f"{rows} decisions and {chained} in the chain, of {ROWS}"
    return Came.WELL, ""


def _terms() -> ReportTerms:
    from pipeline_project.spec.load import load_all

    return replace(load_all().specs["returns"].report_terms, workflow=FLOW)


def _row(night: str) -> IndexRow:
    return IndexRow(
        night=night, state="decided", href=f"{FLOW}/{night}.html", arrivals=10, admitted=9, refused=1, repeats=0,
        by_policy=7, to_people=2, policy_cost=None, constant_cost=None, alerts=0,
    )  # fmt: skip


@contextmanager
def _without(protection: str | None) -> Iterator[None]:
    """Pages written where they stand, as `open(path, "w")` does it."""
    if protection is None:
        yield
        return
    name = next(name for name in ("replace_file", "_replace", "write_whole") if hasattr(reports, name))
    with mock.patch.object(reports, name, lambda target, words: Path(target).write_text(words, encoding="utf-8")):
        yield


if __name__ == "__main__":
    raise SystemExit(run("full", str(__doc__), ["atomic"], 20, suite))
