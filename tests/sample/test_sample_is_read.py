"""The workflow `returns` reads the sample: every dirty row ends as the list of dirt says, every other is admitted."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.intake.admission import admit
from pipeline_project.domain.intake.typed_rows import read_rows
from pipeline_project.ports.sources import PhotoSource
from pipeline_project.sample import make_sample
from pipeline_project.sample.dirt import ADMITTED, DUPLICATE, PHOTO_FAILS, QUARANTINE
from pipeline_project.settings import Settings
from pipeline_project.spec.load import SHIPPED, load_spec
from resources.contracts.arrivals import cases_contract
from resources.encoders.photo_statistics import PhotoStatisticsEncoder
from resources.sources import case_source, outcome_source, photo_source
from tests.admitted import balanced

NIGHTS = [date(2025, 3, 1) + timedelta(days=offset) for offset in range(30)]


def fails(paths: list[str], photos: PhotoSource) -> bool:
    """Whether a case's photos cannot be read, or cannot be encoded."""
    try:
        contents = [photos.read(path) for path in paths]
    except PhotoUnreadable:
        return True
    return any(problem is not None for problem in PhotoStatisticsEncoder().encode(contents)[1])


def test_every_row_ends_as_the_truth_says(tmp_path: Path) -> None:
    make_sample(tmp_path / "sample" / "returns", [NIGHTS[0] - timedelta(days=1), *NIGHTS], per_night=20)
    environ = {"PIPELINE_HOME": str(tmp_path)}
    settings, spec = Settings.from_environ(environ), load_spec(SHIPPED / "returns.yaml")
    cases, photos = case_source(spec, settings, environ), photo_source(spec, settings, environ)
    with (tmp_path / "sample" / "truth" / "dirt.csv").open(encoding="utf-8") as file:
        listed = {(row["night"], int(row["line"])): row for row in csv.DictReader(file)}
    earlier: list[pa.Table] = []
    for night in cases.nights_landed():
        window = window_of(night, spec.nights.time_zone)
        typed = read_rows(cases.read(window).rows, spec.case_schema)
        known = pa.concat_tables(earlier) if earlier else None
        admission = admit(typed, cases_contract(spec).validate(typed), known, window, 0.25)
        wanted = {line: row["expected"] for (at, line), row in listed.items() if at == night}
        assert set(admission.quarantine["line"].to_pylist()) == {n for n, why in wanted.items() if why == QUARANTINE}
        assert admission.duplicates == list(wanted.values()).count(DUPLICATE)
        assert balanced(admission) and not admission.systemic and not admission.outside_night
        failing = sum(fails(paths, photos) for paths in admission.cases["photos"].to_pylist() if paths)
        assert failing == list(wanted.values()).count(PHOTO_FAILS)
        earlier.append(admission.cases)
    assert {row["expected"] for row in listed.values()} == {QUARANTINE, DUPLICATE, ADMITTED, PHOTO_FAILS}
    outcomes = outcome_source(spec, settings, environ).read(window_of(NIGHTS[-3], spec.nights.time_zone)).rows
    assert outcomes.num_rows > 5
