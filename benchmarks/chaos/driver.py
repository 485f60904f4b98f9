"""Runs suites in processes of their own: whole each must hold, and without a protection it must break."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO

from benchmarks.chaos.verdicts import MARK, NotMeasured, Seen, read

ROOT = Path(__file__).resolve().parents[2]
#: How long a suite that was told to end may take to stop its database and remove its home.
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Control:
    """One protection that a suite takes out by `--without NAME`.

    Attributes:
        words: the arguments of that run; the protection's own are added.
    """

    protection: str
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Suite:
    """One suite.

    Attributes:
        goal: what must hold, in words.
        module: what runs it; it ends as `verdicts` says.
        whole, quick: its arguments at full size, and for a look; no look is quick where `quick` is None.
        without: the protections it takes out, each of which must break the goal.
        seconds: after which a run of it hangs; more than ten times what it takes on two idle cores.
    """

    name: str
    goal: str
    module: str
    whole: Sequence[str] = ()
    quick: Sequence[str] | None = ()
    without: Sequence[Control] = ()
    seconds: float = 1800


@dataclass(frozen=True)
class Run:
    """One run of a suite.

    Attributes:
        protection: what was taken out; None of the whole.
        said: what it measured, or why it did not.
    """

    suite: Suite
    words: Sequence[str]
    protection: str | None
    said: Seen | NotMeasured
    took: float

    @property
    def as_it_must(self) -> bool:
        """Whole the goal holds, without a protection it is broken; what crashed is neither.

        What a suite itself says cannot be measured on this machine is told and is no failure.
        """
        if isinstance(self.said, NotMeasured):
            return self.said.here
        return self.said.holds == (self.protection is None)

    @property
    def verdict(self) -> str:
        """In words."""
        if isinstance(self.said, NotMeasured):
            return f"{'not measured here' if self.said.here else 'CRASHED'}: {self.said.why}"
        if self.protection is None:
            return "holds" if self.said.holds else "BROKEN"
        return "PASSES, so the suite sees nothing" if self.said.holds else "breaks, as it must"


def runs(suites: Sequence[Suite], quick: bool, hear: Callable[[str], None] = print) -> Iterator[Run]:
    """Every suite whole, then without each of its protections.

    Args:
        quick: at the small sizes.
        hear: takes each line that a whole suite prints, as it comes.
    """
    for suite in suites:
        words = suite.quick if quick else suite.whole
        if words is None:
            continue
        yield _run(suite, words, None, hear)
        for control in suite.without:
            words = [*(control.words or suite.quick or ()), "--without", control.protection]
            yield _run(suite, words, control.protection, lambda _: None)


def _run(suite: Suite, words: Sequence[str], protection: str | None, hear: Callable[[str], None]) -> Run:
    began = time.perf_counter()
    said = ended([sys.executable, "-m", suite.module, *words], suite.seconds, hear)
    return Run(suite, words, protection, said, time.perf_counter() - began)


@dataclass
class _Output:
    """What a process prints, line by line; kept to the last lines, and passed on."""

    hear: Callable[[str], None]
    lines: list[str] = field(default_factory=list)

    def take(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines = [*self.lines[-20:], line.rstrip("\n")]
            if not line.startswith(MARK):
                self.hear(line.rstrip("\n"))


def ended(
    command: Sequence[str], seconds: float, hear: Callable[[str], None], grace: float = GRACE_SECONDS
) -> Seen | NotMeasured:
    """Runs one command to its end, or ends it with everything it started.

    Args:
        seconds: after which it is interrupted, so that it may still clean up.
        grace: seconds after that until it is killed.
    """
    output = _Output(hear)
    process = started(command)
    assert process.stdout is not None
    # a grandchild that lives on keeps the pipe open, and must not keep the driver
    reader = Thread(target=output.take, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        stop(process, grace)
        return NotMeasured(f"it had not ended after {seconds:g} seconds")
    except BaseException:
        stop(process, grace)
        raise
    reader.join(5)
    said = read(code, output.lines)
    if isinstance(said, NotMeasured) and not said.here:
        for line in output.lines[-8:]:
            print(f"    {line}", flush=True)
    return said


def started(command: Sequence[str]) -> subprocess.Popen[str]:
    """A process in a session of its own, so that it ends with everything it started, and that can be interrupted."""
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=_hear,
    )  # fmt: skip


def _hear() -> None:
    # what a shell starts in the background is deaf to it, and so would be what is started here
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stop(process: subprocess.Popen[str], grace: float) -> None:
    """Interrupts a process, and kills it where it has not ended after `grace` seconds."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
