"""The frameworks are used by their public names; what has none is gathered in one file, with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRIVATE = re.compile(r"\b(dagster\w*|fastapi|starlette)(\.\w+)*\._[a-z]")
#: The only files that may name a private module, and this one.
ADAPTERS = {
    "pipeline_project/dagster_internals/__init__.py",
    "pipeline_project/dagster_internals/code_server.py",
    "pipeline_project/dagster_internals/event_log.py",
    "pipeline_project/dagster_internals/execution.py",
    "tests/dagster_internals.py",
    "tests/test_frameworks.py",
}
#: Programs and not imports: the daemon's command line, and a child process that handles signals as Dagster does.
NAMED = {
    "benchmarks/chaos/hosts.py",
    "benchmarks/chaos/services.py",
    "tests/integration/test_up.py",
    "tests/commands/shared/test_stopping.py",
}


@pytest.mark.parametrize("folder", ["pipeline_project", "assets", "resources", "benchmarks", "tests"])
def test_private_modules_of_the_frameworks_are_named_in_one_file(folder: str) -> None:
    naming = {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*.py")
        if PRIVATE.search(path.read_text(encoding="utf-8"))
    }
    assert not naming - ADAPTERS - NAMED


def test_the_search_finds_what_it_is_for() -> None:
    assert PRIVATE.search("from dagster._core.launcher import WorkerStatus")
    assert PRIVATE.search("import dagster_postgres.utils._private")
    assert not PRIVATE.search("from dagster_postgres.utils import DagsterPostgresException")
    assert not PRIVATE.search("import dagster as dg")


def test_routes_ask_for_what_they_need_and_do_not_look_it_up() -> None:
    """By `desk.dependencies`: what a route stands on is read off its parameters."""
    desk = ROOT / "pipeline_project/desk"
    reading = {str(path.relative_to(desk)) for path in desk.rglob("*.py") if ".app.state." in path.read_text("utf-8")}
    assert reading == {"dependencies.py"}
