"""SIGTERM ends a command at a clean point, and where none comes all the same."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.integration.house import ROOT

_BEGIN = """
import signal, sys, time
from pipeline_project.commands.shared.stopping import ends_on_sigterm, raise_if_asked
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for what a shell runs in the background
try:
    with ends_on_sigterm(patience={patience}):
        {before}
        print("at work", flush=True)
        {work}
except KeyboardInterrupt:
    print("stopped cleanly", flush=True)
    sys.exit(130)
"""


def ended(work: str, patience: float = 100, before: str = "pass") -> tuple[int, str]:
    """Exit code and output of a program that is told to end while it works."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BEGIN.format(work=work, patience=patience, before=before)],
        cwd=ROOT,
        stdout=-1,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=120)
    return process.returncode, told


def test_it_stops_where_python_is_reached() -> None:
    assert ended("[time.sleep(0.01) for _ in range(100_000)]") == (130, "stopped cleanly\n")


def test_it_stops_after_dagster_has_been_at_the_handlers() -> None:
    runs = "from dagster._utils.interrupts import capture_interrupts\n        with capture_interrupts(): pass"
    assert ended("[time.sleep(0.01) for _ in range(100_000)]", before=runs) == (130, "stopped cleanly\n")


def test_a_computation_that_never_comes_back_is_ended() -> None:
    # as while a library computes: the signal comes in, and nothing written in Python gets to run for it
    deaf = "signal.signal(signal.SIGTERM, lambda *_: None)"
    assert ended("time.sleep(1_000)", patience=0.1, before=deaf) == (128 + signal.SIGTERM, "")


SWALLOWED = """
        for _ in range(100_000):
            try:
                time.sleep(0.01)
            except BaseException:
                pass
            raise_if_asked()
"""


def test_who_swallows_the_exception_is_stopped_at_the_next_clean_point() -> None:
    assert ended(SWALLOWED.strip()) == (130, "stopped cleanly\n")


@pytest.mark.parametrize("wanted", [signal.SIG_DFL, signal.SIG_IGN])
def test_afterwards_signals_do_what_they_did(wanted: signal.Handlers) -> None:
    from pipeline_project.commands.shared.stopping import ends_on_sigterm

    before = signal.signal(signal.SIGTERM, wanted)
    try:
        with ends_on_sigterm():
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) == wanted
    finally:
        signal.signal(signal.SIGTERM, before)
