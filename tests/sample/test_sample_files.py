"""What make_sample writes: the same bytes whichever nights are made together, and photos that open."""

from __future__ import annotations

import csv
import hashlib
from datetime import date, timedelta
from pathlib import Path

import pytest
from PIL import Image

from pipeline_project.sample import make_sample
from pipeline_project.sample.dirt import COLUMNS, EXPECTED, TURNS
from pipeline_project.sample.items import FIRST

FEW = [FIRST + timedelta(days=offset) for offset in (20, 21, 22)]


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(path: Path) -> list[list[str]]:
    csv.field_size_limit(2_000_000)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=";" if path.parent.name != "truth" else ","))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("month") / "returns"
    make_sample(folder, [date(2025, 3, 1) + timedelta(days=offset) for offset in range(30)], per_night=20)
    return folder


def test_nights_made_one_by_one_are_the_same_bytes_as_together(tmp_path: Path) -> None:
    make_sample(tmp_path / "together" / "returns", FEW, per_night=25)
    for night in reversed(FEW):
        make_sample(tmp_path / "apart" / "returns", [night], per_night=25)
    assert contents(tmp_path / "together") == contents(tmp_path / "apart")
    assert len(contents(tmp_path / "together")) > 30


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    make_sample(tmp_path / "a" / "returns", FEW[1:2], per_night=10, seed=1)
    make_sample(tmp_path / "b" / "returns", FEW[1:2], per_night=10, seed=2)
    ours, others = contents(tmp_path / "a"), contents(tmp_path / "b")
    tables = [name for name in ours if name.endswith(".csv") and not name.endswith("dirt.csv")]
    assert len(tables) == 3
    assert all(ours[name] != others[name] for name in tables)
    drawn = {name for name in ours if name.endswith(".jpg")}
    assert drawn and not drawn & set(others)


def test_a_night_made_again_changes_nothing(tmp_path: Path) -> None:
    make_sample(tmp_path / "returns", FEW, per_night=10)
    before = contents(tmp_path)
    make_sample(tmp_path / "returns", FEW[1:2], per_night=10)
    assert contents(tmp_path) == before


def test_truth_lies_outside_of_what_the_workflow_reads(tmp_path: Path) -> None:
    summary = make_sample(tmp_path / "returns", FEW, per_night=10)
    assert summary.truth == tmp_path / "truth"
    assert not any("truth" in name or "dirt" in name for name in contents(tmp_path / "returns"))
    assert read(tmp_path / "truth" / "returns.csv")[0] == ["night", "claim_id", "label", "kind", "ring", "drift", "why"]


def test_progress_counts_nights(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_sample(tmp_path / "returns", FEW, per_night=2, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_without_dirt_every_row_is_whole(tmp_path: Path) -> None:
    summary = make_sample(tmp_path / "returns", FEW, per_night=30, dirt=False)
    assert summary.dirt == {} and summary.rows == summary.claims
    for night in FEW:
        rows = read(tmp_path / "returns" / "claims" / night.isoformat() / "claims.csv")
        assert rows[0] == list(COLUMNS)
        assert all(len(row) == len(COLUMNS) for row in rows)


def test_every_kind_of_dirt_comes_within_thirty_nights(month: Path) -> None:
    listed = read(month.parent / "truth" / "dirt.csv")[1:]
    assert set(TURNS) | {"missing_hour"} == {kind for _, _, kind, _ in listed}
    assert {(kind, expected) for _, _, kind, expected in listed} == set(EXPECTED.items())


def test_the_lines_named_in_the_list_of_dirt_are_the_dirty_ones(month: Path) -> None:
    listed = {(night, int(line)): kind for night, line, kind, _ in read(month.parent / "truth" / "dirt.csv")[1:]}
    for (night, line), kind in listed.items():
        rows = read(month / "claims" / night / "claims.csv")
        cells, clean = rows[line - 1], [row for at, row in enumerate(rows, start=1) if (night, at) not in listed]
        claim = dict(zip(COLUMNS, cells, strict=False))
        expectation = {
            "missing_id": claim["claim_id"] == "",
            "path_in_id": claim["claim_id"] == "../../etc/passwd",
            "megabyte_text": len(claim.get("message", "")) == 1_048_576,
            "too_few_columns": len(cells) < len(COLUMNS),
            "too_many_columns": len(cells) > len(COLUMNS),
            "duplicate_row": cells in clean,
            "duplicate_id": cells not in clean and claim["claim_id"] in {row[0] for row in clean},
            "id_of_earlier_night": claim["claim_id"][1:7] < night.replace("-", "")[2:],
        }
        assert expectation.get(kind, cells not in clean), kind


def test_photos_open_and_are_there_except_the_dirty_ones(month: Path) -> None:
    dirty = {(night, int(line)) for night, line, _, _ in read(month.parent / "truth" / "dirt.csv")[1:]}
    opened = 0
    for night in sorted((month / "claims").iterdir()):
        for line, row in enumerate(read(night / "claims.csv"), start=1):
            if line == 1 or (night.name, line) in dirty:
                continue
            for name in filter(None, row[-1].split(";")):
                with Image.open(month / name) as photo:
                    photo.load()
                    assert photo.format == "JPEG" and photo.size == (160, 120)
                opened += 1
    assert opened > 300


def test_findings_become_known_after_their_claims_and_on_the_night_of_their_file(month: Path) -> None:
    delays = []
    for path in sorted((month / "outcomes").iterdir()):
        header, *rows = read(path)
        assert header == ["claim_id", "finding", "inspected_at"]
        for claim_id, _, inspected_at in rows:
            assert inspected_at[:10] == path.stem
            claimed = date(2000 + int(claim_id[1:3]), int(claim_id[3:5]), int(claim_id[5:7]))
            delays.append((date.fromisoformat(path.stem) - claimed).days)
    assert min(delays) >= 3
    assert 0.93 < sum(delay <= 15 for delay in delays) / len(delays) < 1
