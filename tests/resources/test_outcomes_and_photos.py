"""Outcomes that cannot be used are told about, never lost; photos come from their own folder only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from claim_specs import NIGHT, WINDOW, claims, write

from pipeline_project.domain.errors import PhotoUnreadable
from pipeline_project.domain.nights import window_of
from pipeline_project.domain.outcomes import problems_of
from pipeline_project.settings import Settings
from resources.sources import case_source, outcome_source, photo_source


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def read(folder: Path, settings: Settings, environ: dict[str, str] | None = None, **changes: Any) -> pa.Table:
    return case_source(claims(folder, **changes), settings, environ or {}).read(WINDOW)


# -- outcomes -------------------------------------------------------------------------------------------------


def test_outcomes_from_files_and_the_rows_that_cannot_be_used(tmp_path: Path, settings: Settings) -> None:
    lines = [
        "C1,K,2025-03-01 09:00", "C2,worn,2025-03-01T09:00:00Z", "C3,eaten,2025-03-01 09:00", "C4,worn,30.02.2025",
        "C5,worn,", ",worn,2025-03-01", "C1,worn,2025-03-01 10:00", "C1,K,2025-03-01 09:00", "C6", "C7,,2025-03-01",
    ]  # fmt: skip
    write(tmp_path, *lines, name=f"outcomes/{NIGHT}.csv", header="claim_id,finding,seen_at")
    table = outcome_source(claims(tmp_path), settings, {}).read(WINDOW)
    assert [(r["case_id"], r["label"], r["known_at"].isoformat()) for r in table.to_pylist()] == [
        ("C1", "kept", "2025-03-01T08:00:00+00:00"),
        ("C2", "worn", "2025-03-01T09:00:00+00:00"),
    ]
    told = {problem.line: problem.reason for problem in problems_of(table)}
    assert sorted(told) == [4, 5, 6, 7, 8, 10, 11]
    assert "'eaten' is no label" in told[4]
    assert "is not a time" in told[5]
    assert "missing" in told[6]
    assert "no id" in told[7]
    assert "another outcome" in told[8]
    assert "cells" in told[10]
    assert "no label" in told[11]
    assert outcome_source(claims(tmp_path), settings, {}).read(window_of("2025-03-02", "UTC")).num_rows == 0


def test_outcomes_from_a_column_use_the_first_time_there_is(tmp_path: Path, settings: Settings) -> None:
    header = "claim_id,claimed_at,price,back,delivered"
    lines = [
        "C1,2025-03-01,1,0,2025-03-04", "C2,2025-03-01,1,1,-", "C3,2025-03-01,1,1,1990-12-31", "C4,2025-03-01,1,,-",
        "C5,2025-03-01,1,7,-",
    ]  # fmt: skip
    write(tmp_path, *lines, header=header)
    given = {
        "claim_id": {"type": "identifier", "role": "id"},
        "claimed_at": {"type": "time", "role": "time"},
        "price": {"type": "number", "role": "amount"},
        "delivered_at": {"type": "time", "column": "delivered", "known_later": True, "required": False},
    }
    outcome = {
        "kind": "column", "column": "back", "values": {"0": "kept", "1": "worn"},
        "known_at": [{"field": "delivered_at", "plus_days": 14}, {"field": "night", "plus_days": 30}],
    }  # fmt: skip
    spec = claims(tmp_path, fields=given, outcome=outcome)
    table = outcome_source(spec, settings, {}).read(WINDOW)
    # 1990 stands for "never": were it believed, the outcome would be known before the case.
    assert [(r["case_id"], r["label"], r["known_at"].isoformat()[:10]) for r in table.to_pylist()] == [
        ("C1", "kept", "2025-03-17"), ("C2", "worn", "2025-03-30"), ("C3", "worn", "2025-03-30")
    ]  # fmt: skip
    assert [(problem.line, problem.reason[:15]) for problem in problems_of(table)] == [(6, "'7' is no label")]
    hashes = case_source(spec, settings, {}).read(WINDOW)["row_sha256"].to_pylist()
    write(tmp_path, *(line.replace(",0,", ",1,") for line in lines), header=header)
    assert case_source(spec, settings, {}).read(WINDOW)["row_sha256"].to_pylist() == hashes


# -- photos ---------------------------------------------------------------------------------------------------


def test_photos_are_read_below_the_folder_only(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "in"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos/a.jpg").write_bytes(b"photo")
    (folder / "empty.jpg").touch()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    photos = photo_source(claims(tmp_path), settings, {})
    assert photos.read("photos/a.jpg") == b"photo"
    for path, why in {
        "photos/none.jpg": "missing", "../secret.jpg": "outside", "photos/../../secret.jpg": "outside",
        str(tmp_path / "secret.jpg"): "outside", "link.jpg": "outside", "a\0.jpg": "no usable", "": "no usable",
        "C:\\a.jpg": "no usable", "photos": "not a file", "empty.jpg": "empty", "loop.jpg": "cannot be read",
        "x" * 5000: "cannot be read",
    }.items():  # fmt: skip
        with pytest.raises(PhotoUnreadable, match=why):
            photos.read(path)


def test_a_photo_of_twenty_megabytes_is_too_large(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "in").mkdir()
    with (tmp_path / "in/big.jpg").open("wb") as photo:
        photo.truncate(20 * 1024**2 + 1)
    with pytest.raises(PhotoUnreadable, match="larger than 20 MB"):
        photo_source(claims(tmp_path), settings, {}).read("big.jpg")
