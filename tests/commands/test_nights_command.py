"""What `pipeline nights` says while it works."""

from __future__ import annotations

import pytest

from pipeline_project.commands.nights import _report_night, report_runs
from pipeline_project.commands.shared.console import Steps
from pipeline_project.commands.shared.night_runner import NightRun

WHY = "night_is_sound: 13 of 25 rows refused (next: pipeline quarantine flow --night 2025-01-25)"
BLOCKED = NightRun("2025-01-25", "blocked", 1.0, "run", why=WHY)
DONE = NightRun("2025-01-26", "done", 1.0, "run", notes=("only 3 rows came",))


def test_each_night_has_one_line_and_a_stopped_one_has_its_reason_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Steps(None, 2, "flow", quiet=False)
    for run in (BLOCKED, DONE):
        _report_night(bar, "flow", run)
    report_runs("flow", [BLOCKED, DONE])
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"flow 2025-01-25 blocked: {WHY}",
        "flow 2025-01-26 done",
        "2025-01-26: only 3 rows came",
    ]
    assert said.out == "flow: 2 nights, 1 done, 1 blocked\n"


def test_a_script_is_told_nothing_beside_its_document(capsys: pytest.CaptureFixture[str]) -> None:
    _report_night(Steps(None, 1, "flow", quiet=True), "flow", BLOCKED)
    assert capsys.readouterr().err == ""
