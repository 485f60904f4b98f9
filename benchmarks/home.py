"""A home of its own for the measurements, and the processes that measure in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline_project.settings import Settings
from resources.postgres.embedded import EmbeddedServer

#: Where a home has workflows of its own.
OWN = "workflows"
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def bench_home() -> Iterator[Path]:
    """An empty home below the user's; its database is stopped and all of it removed afterwards."""
    above = Settings.from_environ(os.environ).home / "bench"
    above.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="home-", dir=above))
    try:
        yield home
    finally:
        EmbeddedServer(home / "postgres").stop()
        shutil.rmtree(home)
        if not any(above.iterdir()):
            above.rmdir()


def environ(home: Path | None = None) -> dict[str, str]:
    """This process's variables without the user's databases, lakes and workflows; a home's own folder of workflows."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "DAGSTER_"))}
    own = {"PIPELINE_WORKFLOWS": str(home / OWN)} if home and (home / OWN).is_dir() else {}
    return {**mine, **own, "PIPELINE_HOME": str(home)} if home else mine


def measured(home: Path, what: str, variables: Mapping[str, str] | None = None, **given: Any) -> dict[str, Any]:
    """What a process of its own finds out: nothing that was imported or cached before counts, nor its memory.

    Args:
        variables: of its environment, beside those of the home.

    Raises:
        SystemExit: it failed; what it said last is the message.
    """
    answer = home / "answer.json"
    answer.unlink(missing_ok=True)
    words = [sys.executable, "-m", "benchmarks.child", what, json.dumps(given), str(answer)]
    done = subprocess.run(
        words, env={**environ(home), **(variables or {})}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"`{what}` {given} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(answer.read_text())
    return found
