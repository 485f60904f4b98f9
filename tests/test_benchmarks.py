"""The benchmark runs; what it measures is never a test's business."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.bare import kept, replayed
from benchmarks.home import bench_home, environ
from benchmarks.numerical_calls import CALLS
from benchmarks.tables import table
from pipeline_project.commands.shared.app_context import workflow
from resources.encoders import PhotoStatisticsEncoder


def test_one_measurement_prints_its_table(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--only", "import"]
    given = {**os.environ, "PIPELINE_HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], env=given, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "| the shipped ones |" in done.stdout and "| 60 workflows |" in done.stdout
    assert "Heavy libraries imported (goal: none): none, reached." in done.stdout


def test_the_house_and_its_peers_stand_in_one_table():
    command = [sys.executable, "-m", "benchmarks.numerics", "--only", "photos", "--sizes", "3", "--repeats", "1"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    sides = [line.split(" | ")[0] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert sides[2:] == ["| the house", "| Pillow, whole, resized", "| Pillow, whole, resized by BOX"]


def test_calls_are_timed_only_within_and_can_be_made_again_by_a_bare_process(tmp_path):
    before = PhotoStatisticsEncoder.encode
    with kept(tmp_path / "calls") as spent:
        PhotoStatisticsEncoder().encode([b"no photo"])
    assert set(spent.seconds) == {"photos encoded"} <= set(CALLS) and spent.seconds["photos encoded"] > 0
    assert PhotoStatisticsEncoder.encode is before
    again = replayed(tmp_path / "calls", workflow("returns"))
    assert set(again.processor) == {"photos encoded"} and not again.keeping[0]


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


TWO_MODULES = {
    "assets/__init__.py": "",
    "pipeline_project/__init__.py": "",
    "pipeline_project/domain/__init__.py": "",
    "pipeline_project/domain/top.py": "from pipeline_project.domain.core import below\n\n\nclass Answer: ...\n",
    "pipeline_project/domain/core/__init__.py": "",
    "pipeline_project/domain/core/below.py": "from pipeline_project.domain import top\n\n\nclass Answer: ...\n",
    "resources/__init__.py": "def wide(self, a, b, c, d, e, f): ...\n\n\ndef wider(a, b, c, d, *, e, f, g): ...\n",
    "resources/long.py": "def long():\n" + "    pass\n" * 60 + "\n\nkept: dict[str, Any] = {}\n",
}


def test_the_figures_of_a_tree(tmp_path):
    for path, text in TWO_MODULES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    command = [sys.executable, "-m", "benchmarks.figures", "--tree", str(tmp_path), "--names"]
    house = Path(__file__).parents[1]
    told = subprocess.run(command, cwd=house, capture_output=True, text=True, timeout=100, check=True).stdout
    lines = sum(len(text.splitlines()) for text in TWO_MODULES.values())
    assert [line.split(" | ")[-1] for line in told.splitlines()[4:11]] == [f"{lines} |", *["1 |"] * 6]
    assert [line for line in told.splitlines() if line.startswith("- ")] == [
        "- top.py",
        "- pipeline_project.domain and pipeline_project.domain.core",
        "- resources/long.py: 1",
        "- resources/long.py:1 long: 61",
        "- resources/__init__.py:4 wider: 7",
        "- Answer: pipeline_project/domain/core/below.py, pipeline_project/domain/top.py",
    ]
