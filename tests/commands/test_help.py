"""`--help`: every command shows an example as it is typed, and what it prints fits a narrow terminal."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pipeline_project import commands
from pipeline_project.cli import app
from pipeline_project.commands.shared.console import EXIT_WORDS
from tests.commands.conftest import Call

GROUP = typer.main.get_group(app)
WANTED = {
    "demo", "up", "nights", "check", "why", "quarantine", "status", "doctor", "sample", "env", "down", "results",
    "people", "desk", "actions", "worker", "dispatch", "shop", "audit", "hooks", "forget", "retention", "hold", "keys",
    "drift", "rollback", "recall", "reconcile", "replay", "models", "outcomes", "clusters", "setup",
    "backup", "restore", "tenants", "new",
}  # fmt: skip
#: They serve until somebody stops them, and have nothing to say in between.
SERVERS = {"desk", "shop", "hooks serve"}


def _leaves(group: Any, before: str = "") -> Iterator[str]:
    """Every command by the words that call it."""
    for name, command in group.commands.items():
        words = f"{before} {name}".strip()
        if hasattr(command, "commands"):
            yield from _leaves(command, words)
        else:
            yield words


COMMANDS = sorted(_leaves(GROUP))


def test_every_command_is_there() -> None:
    assert set(GROUP.commands) == WANTED


def test_every_module_beside_the_shared_ones_is_a_command() -> None:
    assert {file.stem for file in Path(commands.__path__[0]).glob("*.py")} - {"__init__"} == WANTED


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_line_by_line(command: str, call: Call) -> None:
    said = call(*command.split(), "--help")
    assert said.code == 0
    after = said.out.split("Example", 1)[1].splitlines()
    examples = [line.strip() for line in after[1:] if line.strip()]
    assert any(re.match(rf'(eval "\$\()?pipeline {command}\b', line) for line in examples), examples
    assert all(re.match(r"(pipeline|eval|dagster|dg) ", line) for line in examples), examples
    assert max(len(line) for line in said.out.splitlines()) <= 80


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - SERVERS))
def test_every_command_speaks_json(command: str, call: Call) -> None:
    assert "--json" in call(*command.split(), "--help").out


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
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words], capture_output=True, text=True, timeout=600, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    assert imported("--help").isdisjoint({*HEAVY, "pandas", "pyarrow", "sqlalchemy"})


LOADED = """
import sys
from importlib import import_module
from pipeline_project.cli import COMMANDS
for name in COMMANDS:
    import_module(f"pipeline_project.commands.{name}")
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_no_command_imports_anything_heavy_before_it_works() -> None:
    """So the help of each is there at once; the spec's parts alone load pandas."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=600, check=True)
    assert set(done.stdout.split()).isdisjoint({*HEAVY, "pandas"})


def test_help_imports_no_command() -> None:
    probe = PROBE.replace('name.split(".")[0] for name', "name for name")
    done = subprocess.run(
        [sys.executable, "-c", probe, "--help"], capture_output=True, text=True, timeout=600, check=True
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "pipeline_project.cli" in loaded
    assert loaded.isdisjoint({f"pipeline_project.commands.{name}" for name in WANTED})


def test_check_imports_nothing_heavy() -> None:
    assert imported("check").isdisjoint({*HEAVY, "sqlalchemy"})
