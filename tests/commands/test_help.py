"""`--help`: every command shows an example as it is typed, and what it prints fits a narrow terminal."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer

from pipeline_project.cli import app
from pipeline_project.commands.console import EXIT_WORDS
from tests.commands.conftest import Call

COMMANDS = sorted(typer.main.get_group(app).commands)
WANTED = {"demo", "up", "nights", "check", "why", "quarantine", "status", "doctor", "sample", "env", "down", "results"}


def test_every_command_is_there() -> None:
    assert set(COMMANDS) == WANTED


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_line_by_line(command: str, call: Call) -> None:
    said = call(command, "--help")
    assert said.code == 0
    after = said.out.split("Example", 1)[1].splitlines()
    examples = [line.strip() for line in after[1:] if line.strip()]
    assert any(re.match(rf'(eval "\$\()?pipeline {command}\b', line) for line in examples), examples
    assert all(re.match(r"(pipeline|eval|dagster|dg) ", line) for line in examples), examples
    assert max(len(line) for line in said.out.splitlines()) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_speaks_json(command: str, call: Call) -> None:
    assert "--json" in call(command, "--help").out


def test_the_exit_codes_are_listed(call: Call) -> None:
    listed = call("--help").out
    for code, words in EXIT_WORDS.items():
        assert re.search(rf"^ +{code.value} +{re.escape(words)}$", listed, re.M), code


def test_env_says_that_it_prints_the_password(call: Call) -> None:
    assert "password" in call("env", "--help").out


HEAVY = ("dagster", "great_expectations", "torch", "mlflow", "sklearn", "scipy", "transformers", "xgboost")
PROBE = """
import sys
from pipeline_project import cli
sys.argv = ["pipeline", *sys.argv[1:]]
try:
    cli.main()
except SystemExit:
    pass
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def imported(*words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    assert imported("--help").isdisjoint({*HEAVY, "pandas", "pyarrow", "sqlalchemy"})


def test_check_imports_nothing_heavy() -> None:
    assert imported("check").isdisjoint({*HEAVY, "sqlalchemy"})
