"""What every step and every sensor process pays before it does anything: loading the definitions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.home import ROOT, environ
from benchmarks.tables import table, verdict
from pipeline_project.spec.load import SHIPPED

#: What may not be imported by it: each costs a second or more.
HEAVY = ("torch", "mlflow", "great_expectations", "sklearn", "xgboost", "deltalake", "transformers")
BEST_OF = 3
SLOWEST = 10

#: Workflows that a house with many has.
MANY = 60

_LOAD = f"""
import json, os, sys, time
began = time.perf_counter()
import pipeline_project.definitions as loaded
imported = time.perf_counter()
loaded.build_definitions(os.environ).get_repository_def()
built = time.perf_counter()
heavy = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps({{"imported": imported - began, "built": built - imported, "heavy": heavy}}))
"""
_IMPORT_TIME = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


@dataclass(frozen=True)
class Loading:
    """The quickest of a few processes.

    Attributes:
        imported, built: seconds of the import, and of building the definitions with all their jobs.
        heavy: those of `HEAVY` that were imported.
        packages: the slowest packages, with the seconds that their own modules took to import.
    """

    imported: float
    built: float
    heavy: list[str]
    packages: list[tuple[str, float]]


def loading(variables: Mapping[str, str] | None = None) -> Loading:
    """Loads them in a few processes, with these environment variables besides."""
    found = [json.loads(_python("-c", _LOAD, variables=variables).stdout) for _ in range(BEST_OF)]
    best = min(found, key=lambda each: each["imported"] + each["built"])
    heavy = sorted({name for each in found for name in each["heavy"]})
    return Loading(best["imported"], best["built"], heavy, _packages())


def report() -> str:
    """Tables of loading the definitions: of the shipped workflows, and of a house with many."""
    few, many, dagster = loading(), _with_many(), _dagster()
    rows = []
    for name, each, goal in (("the shipped ones", few, 1.2 * dagster), (f"{MANY} workflows", many, 4.0)):
        whole = each.imported + each.built
        rows.append((name, each.imported, each.built, whole, f"≤ {goal:.2f}: {verdict(whole <= goal)}"))
    title = f"Loading the definitions, best of {BEST_OF} processes (`import dagster` alone: {dagster:.2f} s)"
    told = [table(title, ["", "import", "building them, all jobs included", "both", "goal"], rows)]
    told.append(f"Heavy libraries imported (goal: none): {', '.join(few.heavy) or 'none'}, {verdict(not few.heavy)}.\n")
    told.append(table("The slowest packages of that import", ["package", "seconds"], few.packages))
    return "\n".join(told)


def _with_many() -> Loading:
    """As `loading`, of a house whose folder of workflows holds many more."""
    shipped = sorted(SHIPPED.glob("*.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(MANY - len(shipped)):
            spec = shipped[number % len(shipped)].read_text(encoding="utf-8")
            copy = re.sub(r"^workflow: *(\w+)", rf"workflow: \g<1>_{number}", spec, count=1, flags=re.MULTILINE)
            (Path(folder) / f"copy_{number}.yaml").write_text(copy, encoding="utf-8")
        return loading({"PIPELINE_WORKFLOWS": folder})


def _dagster() -> float:
    timed = "import time; began = time.perf_counter(); import dagster; print(time.perf_counter() - began)"
    return min(float(_python("-c", timed).stdout) for _ in range(BEST_OF))


def _packages() -> list[tuple[str, float]]:
    spent: Counter[str] = Counter()
    for match in _IMPORT_TIME.finditer(_python("-X", "importtime", "-c", _LOAD).stderr):
        spent[match[2].partition(".")[0]] += int(match[1])
    return [(name, micros / 1e6) for name, micros in spent.most_common(SLOWEST)]


def _python(*words: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    own = {**environ(), **(variables or {})}
    return subprocess.run([sys.executable, *words], env=own, cwd=ROOT, capture_output=True, text=True, check=True)
