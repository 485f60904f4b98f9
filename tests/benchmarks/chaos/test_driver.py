"""The driver of the chaos suites, with fake suites at the edge of the process."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chaos import __main__ as command
from benchmarks.chaos.driver import Control, Run, Suite, ended, runs, started, stop
from benchmarks.chaos.page import page
from benchmarks.chaos.suites import SUITES
from benchmarks.chaos.verdicts import Ended, NotMeasured, Seen, read, tell

_HOLDS = "tell(Seen(True, 'all well', 7))"
_BREAKS = "tell(Seen(False, 'two lost', 7, lost=2))"

#: Programs that end in every way, and whether that measured anything: True holds, False broken, None nothing.
WAYS = {
    "holds": (f"sys.exit({_HOLDS})", True),
    "broken": (f"sys.exit({_BREAKS})", False),
    "an exception": ("raise RuntimeError('the shop does not start')", None),
    "an exception after its result": (f"{_HOLDS}; raise RuntimeError('too late')", None),
    "a wrong call": ("import argparse; argparse.ArgumentParser().parse_args(['--no-such-word'])", None),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None),
    "nothing measured": ("print('done')", None),
    "broken without a result": ("sys.exit(10)", None),
    "one that says both": (f"{_BREAKS}; sys.exit(0)", None),
    "the other way round": (f"{_HOLDS}; sys.exit(10)", None),
    "the code of what cannot be measured, without a word": ("sys.exit(11)", None),
    "a result before what Python says of killed processes": (
        f"code = {_BREAKS}; print('resource_tracker.py:254: UserWarning: leaked'); sys.exit(code)",
        False,
    ),
    "a result that is not the last line": (f"{_HOLDS}; print('more')", None),
    "a line nobody can read": ("print('chaos-result {}')", None),
}


def _program(text: str) -> list[str]:
    return [sys.executable, "-c", f"import sys\nfrom benchmarks.chaos.verdicts import Seen, tell\n{text}"]


@pytest.mark.parametrize("way", WAYS)
def test_only_what_was_measured_is_a_verdict(way: str) -> None:
    text, holds = WAYS[way]
    said = ended(_program(text), 60, lambda _: None)
    assert (said.holds if isinstance(said, Seen) else None) is holds


def test_what_cannot_be_measured_here_is_told_and_is_no_failure() -> None:
    text = "from benchmarks.chaos.verdicts import CannotMeasure, cannot; sys.exit(cannot(CannotMeasure('needs root')))"
    said = ended(_program(text), 60, lambda _: None)
    assert said == NotMeasured("needs root", here=True)
    run = Run(SUITES[0], [], None, said, 1)
    assert run.as_it_must and run.verdict == "not measured here: needs root"
    assert not Run(SUITES[0], [], None, NotMeasured("it ended with exit code 1"), 1).as_it_must


def test_a_suite_that_hangs_measured_nothing() -> None:
    said = ended(_program("import time; time.sleep(600)"), 1, lambda _: None, grace=0)
    assert isinstance(said, NotMeasured) and "had not ended after 1 seconds" in said.why


@pytest.mark.parametrize("deaf", [False, True], ids=["", "and one that does not listen"])
def test_what_hangs_is_interrupted_so_that_it_cleans_up_then_killed(deaf: bool) -> None:
    listen = "signal.signal(signal.SIGINT, signal.SIG_IGN)" if deaf else ""
    text = f"""
import signal, time
{listen}
try:
    print("ready", flush=True)
    time.sleep(600)
finally:
    print("cleaned", flush=True)
"""
    process = started(_program(text))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    stop(process, 0.5 if deaf else 60)
    assert process.returncode == (-signal.SIGKILL if deaf else -signal.SIGINT)
    assert ("cleaned" in process.stdout.read()) is not deaf


def test_a_grandchild_that_lives_on_does_not_hold_the_driver() -> None:
    began = time.monotonic()
    text = f"import subprocess; subprocess.Popen(['sleep', '60']); sys.exit({_HOLDS})"
    said = ended(_program(text), 50, lambda _: None)
    assert isinstance(said, Seen) and said.holds
    assert time.monotonic() - began < 50


def _suite(folder: Path, whole: str, without: str, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A suite as a module on the path of the processes that the driver starts."""
    name = f"fake_suite_{len(list(folder.iterdir()))}"
    body = f"import sys\nfrom benchmarks.chaos.verdicts import Seen, tell\nif '--without' in sys.argv:\n    {without}\n"
    (folder / f"{name}.py").write_text(f"{body}else:\n    {whole}\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return Suite(name, "nothing is lost", name, ["--size", "9"], ["--size", "1"], [Control("care")], 60)


@pytest.mark.parametrize(
    ("whole", "without", "code"),
    [
        ("holds", "broken", 0),
        ("holds", "holds", 1),
        ("holds", "an exception", 1),
        ("holds", "a wrong call", 1),
        ("holds", "killed", 1),
        ("broken", "broken", 1),
        ("an exception", "broken", 1),
        ("nothing measured", "broken", 1),
    ],
)
def test_the_command_ends_well_only_where_the_goal_holds_and_breaks_without_its_protection(
    whole: str,
    without: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    suite = _suite(tmp_path, WAYS[whole][0], WAYS[without][0], monkeypatch)
    assert command.main([], [suite]) == code
    told = capsys.readouterr().out
    for said, way in (("breaks, as it must", (without, False)), ("so the suite sees nothing", (without, True))):
        assert (said in told) == (WAYS[way[0]][1] is way[1])
    assert ("CRASHED" in told) == (None in (WAYS[whole][1], WAYS[without][1]))


def test_the_sizes_are_whole_quick_and_quick_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = _suite(tmp_path, f"print(*sys.argv[1:]); sys.exit({_HOLDS})", f"sys.exit({_BREAKS})", monkeypatch)
    heard: list[str] = []
    told = list(runs([suite], False, heard.append))
    assert [run.words for run in told] == [["--size", "9"], ["--size", "1", "--without", "care"]]
    assert heard == ["--size 9"]
    assert next(runs([suite], True, heard.append)).words == ["--size", "1"]
    assert list(runs([replace(suite, quick=None)], True, heard.append)) == []


def test_the_page_shows_every_run_and_adds_the_faults_up() -> None:
    suites = [Suite(name, "holds on", f"benchmarks.chaos.{name}", ["--n", "1"]) for name in ("one", "two")]
    told = [
        Run(suites[0], ["--n", "1"], None, Seen(True, "fine", 600), 30),
        Run(suites[0], ["--without", "care"], "care", Seen(False, "5 | lost", 60, lost=5), 30),
        Run(suites[1], ["--n", "1"], None, Seen(False, "one gone", 400, lost=1), 60),
        Run(suites[1], ["--without", "care"], "care", NotMeasured("it ended with exit code 1"), 1),
    ]
    text = page(told, "2 cores", quick=False)
    assert "| one | holds on | holds | fine | 30 | `one --n 1` |" in text
    assert "| without care | is broken | breaks, as it must | 5 \\| lost | 30 |" in text
    assert "CRASHED: it ended with exit code 1" in text
    assert "**2 of 4 runs did not end as they must.**" in text
    # what a suite without its protection loses is not counted as lost
    assert "| **all** | **1,000** | **1** | **0** | **0** |" in text


def test_what_is_lost_is_never_called_holding() -> None:
    with pytest.raises(ValueError, match="does not hold"):
        Seen(True, "fine", 10, silent=1)


def test_a_result_survives_the_way_through_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    seen = Seen(False, 'quotes " and\nlines', 3, 1, 1, 1)
    code = tell(seen)
    assert code == Ended.BROKEN and read(code, capsys.readouterr().out.splitlines()) == seen


def test_every_suite_has_a_control() -> None:
    assert [suite.name for suite in SUITES if not suite.without] == []


def test_a_driver_goes_on_where_it_was_and_runs_again_what_did_not_end_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    well = _suite(tmp_path, f"sys.exit({_HOLDS})", f"sys.exit({_BREAKS})", monkeypatch)
    ill = _suite(tmp_path, f"sys.exit({_BREAKS})", f"sys.exit({_BREAKS})", monkeypatch)
    results = tmp_path / "results"
    assert command.main(["--results", str(results)], [well, ill]) == 1
    with results.open("a", encoding="utf-8") as file:
        file.write('{"suite": "half a li')
    capsys.readouterr()
    (tmp_path / f"{ill.module}.py").write_text((tmp_path / f"{well.module}.py").read_text(), encoding="utf-8")
    page_file = tmp_path / "page.md"
    results.write_text(results.read_text() + "\n", encoding="utf-8")
    assert command.main(["--results", str(results), "--write", str(page_file)], [well, ill]) == 0
    told = capsys.readouterr().out
    assert f"### {ill.name}" in told and f"### {well.name}" not in told
    assert page_file.read_text(encoding="utf-8").count("breaks, as it must") == 2
    assert "Not run whole" not in page_file.read_text(encoding="utf-8")
    assert command.main(["--only", well.name, "--write", str(page_file)], [well, ill]) == 0
    assert f"**Not run whole: {ill.name}.**" in page_file.read_text(encoding="utf-8")
