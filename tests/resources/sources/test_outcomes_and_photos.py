"""Outcomes that cannot be used are told about, never lost; photos come from their own folder only."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline_project.container.night import OpenedSources
from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.intake.admission import FUTURE_ALLOWED
from pipeline_project.domain.intake.outcomes import ArrivedOutcomes
from pipeline_project.settings import Settings
from resources.lake.lake import DeltaLake
from resources.sources import case_source, outcome_source, photo_source
from tests.resources.sources.claim_specs import NIGHT, WINDOW, claims, write


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def read(folder: Path, settings: Settings, environ: dict[str, str] | None = None, **changes: Any) -> pa.Table:
    return case_source(claims(folder, **changes), settings, environ or {}).read(WINDOW).rows


# -- outcomes -------------------------------------------------------------------------------------------------


def test_outcomes_from_files_and_the_rows_that_cannot_be_used(tmp_path: Path, settings: Settings) -> None:
    lines = [
        "C1,K,2025-03-01 09:00", "C2,worn,2025-03-01T09:00:00Z", "C3,eaten,2025-03-01 09:00", "C4,worn,30.02.2025",
        "C5,worn,", ",worn,2025-03-01", "C1,worn,2025-03-01 10:00", "C1,K,2025-03-01 09:00", "C6", "C7,,2025-03-01",
    ]  # fmt: skip
    write(tmp_path, *lines, name=f"outcomes/{NIGHT}.csv", header="claim_id,finding,seen_at")
    table = outcome_source(claims(tmp_path), settings, {}).read(WINDOW)
    assert [(r["case_id"], r["label"], r["known_at"].isoformat()) for r in table.rows.to_pylist()] == [
        ("C1", "kept", "2025-03-01T08:00:00+00:00"),
        ("C2", "worn", "2025-03-01T09:00:00+00:00"),
        ("C1", "worn", "2025-03-01T09:00:00+00:00"),
    ], "a correction with a later time is kept beside what it corrects"
    told = {problem.line: problem.reason for problem in table.problems}
    assert sorted(told) == [4, 5, 6, 7, 10, 11]
    assert "'eaten' is no label (there are kept, worn)" in told[4]
    assert "is not a time" in told[5]
    assert "missing" in told[6]
    assert "no id" in told[7]
    assert "cells" in told[10]
    assert "no label" in told[11]
    assert outcome_source(claims(tmp_path), settings, {}).read(window_of("2025-03-02", "UTC")).rows.num_rows == 0


HEADER = "claim_id,finding,seen_at,true_of"
TRUE_OF = {"true_at_column": "true_of"}


def from_files(folder: Path, settings: Settings, *lines: str, **feed: str) -> ArrivedOutcomes:
    write(folder, *lines, name=f"outcomes/{NIGHT}.csv", header=HEADER)
    given = {
        "kind": "files", "folder": "in", "pattern": "outcomes/{night}.csv", "case_column": "claim_id",
        "label_column": "finding", "known_at_column": "seen_at", "values": {"K": "kept"}, **feed,
    }  # fmt: skip
    return outcome_source(claims(folder, outcome=given), settings, {}).read(WINDOW)


def told_by_line(table: ArrivedOutcomes) -> dict[int, str]:
    return {problem.line: problem.reason for problem in table.problems}


def test_files_say_when_an_outcome_came_true(tmp_path: Path, settings: Settings) -> None:
    lines = ["C1,K,2025-03-01 09:00,2025-02-20", "C2,K,2025-03-01 09:00,", "C3,K,2025-03-01 09:00,2025-03-01 09:01",
             "C4,K,2025-03-01 09:00,soon"]  # fmt: skip
    table = from_files(tmp_path, settings, *lines, **TRUE_OF)
    assert [(row["case_id"], row["true_at"]) for row in table.rows.to_pylist()] == [
        ("C1", datetime(2025, 2, 19, 23, tzinfo=UTC)), ("C2", None)
    ]  # fmt: skip
    told = told_by_line(table)
    assert told[4] == "true_at: lies after known_at"
    assert "is not a time" in told[5]
    assert from_files(tmp_path, settings, *lines).rows["true_at"].null_count == 4, (
        "nothing is read that is not declared"
    )


def test_of_outcomes_that_contradict_each_other_at_one_time_none_is_used(tmp_path: Path, settings: Settings) -> None:
    lines = ["C1,K,2025-03-01 09:00,", "C1,worn,2025-03-01T08:00:00Z,", "C2,K,2025-03-01 09:00,",
             "C2,K,2025-03-01 09:00,", "C3,K,2025-03-01 09:00,", "C3,worn,2025-03-01 09:00,",
             "C3,worn,2025-03-01 11:00,"]  # fmt: skip
    table = from_files(tmp_path, settings, *lines)
    assert [(row["case_id"], row["label"]) for row in table.rows.to_pylist()] == [("C2", "kept"), ("C3", "worn")]
    told = told_by_line(table)
    assert sorted(told) == [2, 3, 6, 7]
    assert all("contradicts another outcome" in reason and "later time" in reason for reason in told.values())


def test_an_outcome_from_the_future_is_refused(tmp_path: Path, settings: Settings) -> None:
    morning, limit = WINDOW.end + timedelta(hours=7), WINDOW.end + FUTURE_ALLOWED
    lines = [f"C1,K,{morning.isoformat()},", f"C2,K,{limit.isoformat()},", "C3,K,2205-03-01 09:00,", "C4,K,2025-03-01,"]
    table = from_files(tmp_path, settings, *lines)
    assert table.rows["case_id"].to_pylist() == ["C1", "C4"], "a file of a night may be written the morning after"
    told = told_by_line(table)
    assert sorted(told) == [3, 4]
    assert "cannot be known yet" in told[3]


def test_a_file_of_nothing_but_a_header_is_a_night_without_outcomes(tmp_path: Path, settings: Settings) -> None:
    table = from_files(tmp_path, settings)
    assert (table.rows.num_rows, table.problems) == (0, ())


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
    assert [(r["case_id"], r["label"], r["known_at"].isoformat()[:10]) for r in table.rows.to_pylist()] == [
        ("C1", "kept", "2025-03-17"), ("C2", "worn", "2025-03-30"), ("C3", "worn", "2025-03-30")
    ]  # fmt: skip
    assert [(problem.line, problem.reason[:15]) for problem in table.problems] == [(6, "'7' is no label")]
    assert [r["true_at"].isoformat()[:10] for r in table.rows.to_pylist()] == ["2025-03-03", "2025-02-28", "2025-02-28"]
    dated = claims(tmp_path, fields=given, outcome={**outcome, "true_at": "delivered_at"})
    of = {r["case_id"]: r["true_at"] for r in outcome_source(dated, settings, {}).read(WINDOW).rows.to_pylist()}
    assert of["C1"] == datetime(2025, 3, 3, 23, tzinfo=UTC)
    assert of["C2"] is None
    late = claims(tmp_path, fields=given, outcome={
        **outcome, "known_at": [{"field": "night"}], "true_at": "delivered_at"})  # fmt: skip
    table = outcome_source(late, settings, {}).read(WINDOW)
    assert {p.line: p.reason for p in table.problems}[2] == "true_at: lies after known_at"
    fractions = claims(tmp_path, fields=given, outcome={
        **outcome, "known_at": [{"field": "delivered_at", "plus_days": 4.286}, {"field": "night", "plus_days": 1 / 3}],
    })  # fmt: skip
    table = outcome_source(fractions, settings, {}).read(WINDOW)
    assert [r["known_at"].isoformat() for r in table.rows.to_pylist()][:2] == [
        "2025-03-08T05:51:50.400000+00:00", "2025-03-01T07:00:00+00:00"
    ]  # fmt: skip
    hashes = case_source(spec, settings, {}).read(WINDOW).rows["row_sha256"].to_pylist()
    write(tmp_path, *(line.replace(",0,", ",1,") for line in lines), header=header)
    assert case_source(spec, settings, {}).read(WINDOW).rows["row_sha256"].to_pylist() == hashes


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


def test_a_stamp_changes_with_each_photo_that_lands_changes_or_goes(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"photo")
    photos, named = photo_source(claims(tmp_path), settings, {}), ["a.jpg", "b.jpg", "../out.jpg", "", "a.jpg"]
    stamps = [photos.stamp(named)]
    assert photos.stamp(reversed(named)) == stamps[0] and "jpg" not in stamps[0]
    (folder / "other.jpg").write_bytes(b"of nobody")
    (tmp_path / "out.jpg").write_bytes(b"outside")
    assert photos.stamp(named) == stamps[0]
    (folder / "b.jpg").write_bytes(b"landed")
    stamps.append(photos.stamp(named))
    os.utime(folder / "a.jpg", (1, 1))
    stamps.append(photos.stamp(named))
    (folder / "b.jpg").unlink()
    stamps.append(photos.stamp(named))
    assert len(set(stamps)) == 4


def test_of_a_night_its_own_photos_are_looked_at_once_and_none_is_read(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, lake = claims(tmp_path), DeltaLake(settings.lake_url)
    fields = [pa.field("case_id", pa.string()), pa.field("photos", pa.list_(pa.string()))]
    named: dict[str, list[list[str] | None]] = {NIGHT: [["a.jpg", "b.jpg"], ["a.jpg"], None], "2025-03-02": [["c.jpg"]]}
    for night, cases in named.items():
        rows = [{"case_id": str(n), "photos": paths} for n, paths in enumerate(cases)]
        lake.write_night(spec.name, "cases", night, pa.Table.from_pylist(rows, pa.schema(fields)))
    looked: list[str] = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **more: (looked.append(path.name), stat(path, **more))[1])
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("a photo was read"))
    ports = OpenedSources(settings)
    assert ports.photo_stamp(spec, NIGHT) == ports.photos(spec).stamp(["a.jpg", "b.jpg"])
    assert sorted(name for name in looked if name.endswith(".jpg")) == ["a.jpg", "a.jpg", "b.jpg", "b.jpg"]
    assert ports.photo_stamp(spec, "2025-03-09") is None
    lake.write_night("older", "cases", NIGHT, pa.table({"case_id": ["1"]}))
    assert ports.photo_stamp(spec.model_copy(update={"workflow": "older"}), NIGHT) is None
