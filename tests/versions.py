"""The tests of what versions can break, on other interpreters and with the packages' minor releases before the lock's.

    python -m tests.versions [--only 'Python 3.13'] [--tests tests/domain]

Prints a table and ends with 1 where a row failed. An interpreter that this machine lacks is a row that says so; other
releases lie in folders of their own before the locked ones, whose environment stays as it is.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.tables import table
from pipeline_project.settings import ROOT, Settings

#: What other versions have broken or could: parsing of docstrings, signatures, tables, Dagster's insides, whole nights.
TESTS = (
    "tests/domain",
    "tests/spec",
    "tests/assets",
    "tests/automation",
    "tests/resources/contracts",
    "tests/resources/dagster_storage",
    "tests/resources/lake",
    "tests/resources/run_workers",
    "tests/serving/test_run_worker.py",
    "tests/test_definitions.py",
    "tests/integration/test_returns.py",
)
_LAST = re.compile(r"^\d+ .*|^FAILED .*|^ERROR .*", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One set of versions.

    Attributes:
        interpreter: its name on PATH; this one without it.
        packages: releases beside the lock's, by name.
    """

    name: str
    interpreter: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)


_DAGSTER = ("dagster", "dagster-graphql", "dagster-pipes", "dagster-shared", "dagster-webserver")
ROWS = (
    Row("Python 3.12", interpreter="python3.12"),
    Row("Python 3.13", interpreter="python3.13"),
    Row("pandas 3.0", packages={"pandas": "3.0.*"}),
    Row("pyarrow 24", packages={"pyarrow": "24.*"}),
    Row("Dagster 1.12", packages={**dict.fromkeys(_DAGSTER, "1.12.22"), "dagster-postgres": "0.28.22"}),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__)
    parser.add_argument("--only", action="append", choices=[row.name for row in ROWS], help="rows; all without it")
    parser.add_argument("--tests", nargs="+", default=TESTS)
    given = parser.parse_args()
    rows = [row for row in ROWS if given.only is None or row.name in given.only]
    ends = {row.name: ended(row, given.tests) for row in rows}
    print(table("Versions beside the lock's", ["", "tests"], list(ends.items())))
    return int(any(not end.startswith(("passed", "not here")) for end in ends.values()))


def ended(row: Row, tests: Sequence[str]) -> str:
    """How the tests ended with these versions, in a line."""
    python = sys.executable if row.interpreter is None else _environment(row)
    if python is None:
        return f"not here: no {row.interpreter} on PATH"
    before = [str(_beside(row))] if row.packages else []
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([*before, str(ROOT)])}
    words = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    told = _LAST.findall(done.stdout)
    return ("passed: " if done.returncode == 0 else "failed: ") + "; ".join(told[-4:] or [done.stderr[-400:]])


def _folder(row: Row) -> Path:
    return Settings.from_environ(os.environ).home / "versions" / row.name.replace(" ", "-")


def _environment(row: Row) -> str | None:
    """The interpreter of an environment with the lock's packages; None where this machine has no such interpreter."""
    found = shutil.which(str(row.interpreter))
    # a shim may be there whose interpreter is not
    if found is None or subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
        return None
    place = _folder(row)
    subprocess.run(
        ["make", f"PYTHON={row.interpreter}", f"VENV={place}", f"{place}/.installed"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return str(place / "bin" / "python")


def _beside(row: Row) -> Path:
    """A folder with the releases of a row."""
    place = _folder(row)
    if not place.is_dir():
        named = [f"{name}=={version}" for name, version in row.packages.items()]
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), *named]
        subprocess.run(words, check=True)
    return place


if __name__ == "__main__":
    sys.exit(main())
