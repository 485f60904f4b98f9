"""The benchmark runs; what it measures is never a test's business."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.home import bench_home, environ
from benchmarks.tables import table
from benchmarks.timers import CALLS, timed
from resources.encoders import PhotoStatisticsEncoder


def test_one_measurement_prints_its_table(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--only", "import"]
    given = {**os.environ, "PIPELINE_HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], env=given, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "| `import pipeline_project.definitions` |" in done.stdout
    assert "Heavy libraries imported (goal: none): none, reached." in done.stdout


def test_the_timers_count_only_within_and_are_taken_off_again():
    before = PhotoStatisticsEncoder.encode
    with timed() as spent:
        PhotoStatisticsEncoder().encode([b"no photo"])
    assert set(spent) == {"photos encoded"} <= set(CALLS) and spent["photos encoded"] > 0
    assert PhotoStatisticsEncoder.encode is before


def test_the_home_is_empty_below_the_users_and_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_POSTGRES_URL", "postgresql://somebody@elsewhere/theirs")
    with bench_home() as home:
        assert home.is_relative_to(tmp_path / "bench") and not any(home.iterdir())
        assert {name for name in environ(home) if name.startswith("PIPELINE_")} == {"PIPELINE_HOME"}
    assert not (tmp_path / "bench").exists()


def test_a_table_is_markdown():
    told = table("Nights", ["", "cases"], [("one", 2000), ("two", 0.5)])
    assert told.splitlines() == [
        "### Nights",
        "",
        "|  | cases |",
        "| --- | ---: |",
        "| one | 2,000 |",
        "| two | 0.500 |",
    ]
