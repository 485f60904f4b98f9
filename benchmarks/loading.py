"""What every step and every sensor process pays before it does anything: loading the definitions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

from benchmarks.home import ROOT, environ

#: What may not be imported by it: each costs a second or more.
HEAVY = ("torch", "mlflow", "great_expectations", "sklearn", "xgboost", "deltalake", "transformers")
BEST_OF = 3
SLOWEST = 10

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


def loading() -> Loading:
    found = [json.loads(_python("-c", _LOAD).stdout) for _ in range(BEST_OF)]
    best = min(found, key=lambda each: each["imported"] + each["built"])
    heavy = sorted({name for each in found for name in each["heavy"]})
    return Loading(best["imported"], best["built"], heavy, _packages())


def _packages() -> list[tuple[str, float]]:
    spent: Counter[str] = Counter()
    for match in _IMPORT_TIME.finditer(_python("-X", "importtime", "-c", _LOAD).stderr):
        spent[match[2].partition(".")[0]] += int(match[1])
    return [(name, micros / 1e6) for name, micros in spent.most_common(SLOWEST)]


def _python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], env=environ(), cwd=ROOT, capture_output=True, text=True, check=True)
