"""Actions under faults and kills: each effect once; and the checker notices when a protection is taken out.

`python -m benchmarks.chaos.actions` is the same with ten thousand actions and a hundred kills.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.chaos.actions import run
from benchmarks.chaos.deliveries import History, judge
from benchmarks.chaos.dispatching import Chaos, Point, Protection
from benchmarks.chaos.throughput import measure

SMALL = Chaos(actions=120, kills=3)


@pytest.fixture
def url(own_ledger: str) -> str:
    return own_ledger


@pytest.mark.parametrize("forgetful", [False, True], ids=["", "the shop remembers no key"])
def test_each_effect_happens_once_whoever_dies(url: str, forgetful: bool) -> None:
    # a slow machine takes its time: what was cut off says nothing
    chaos = Chaos(actions=300, kills=12, forgetful=forgetful, seconds=600)
    history, verdict = run(url, chaos)
    assert verdict.findings == []
    assert len(history.effects) == 300
    assert sum(history.killed.values()) == 12
    assert set(history.killed) == {point.value for point in Point}
    assert sum(times for fault, times in history.faults.items() if fault != "none") > 50


@pytest.mark.parametrize(
    ("without", "forgetful", "finding"),
    [
        (Protection.KEYS, False, "never asked for"),
        (Protection.UNKNOWN, False, "said to be done, but never happened"),
        (Protection.LOOK_UP, True, "happened more than once"),
        (Protection.RELEASE, False, "of a night that was not released"),
    ],
)
def test_without_a_protection_the_checker_finds_it(
    url: str, without: Protection, forgetful: bool, finding: str
) -> None:
    _, verdict = run(url, replace(SMALL, without=without, forgetful=forgetful))
    assert any(finding in words for words in verdict.findings), verdict.findings


def _history(*effects: str, state: str = "done") -> History:
    rows = [
        {"key": f"A{step}", "case_id": "A", "step": step, "state": state, "night": "n", "attempts": 1}
        for step in range(3)
    ]
    done = [{"number": number, "key": key, "asked": 1} for number, key in enumerate(effects, 1)]
    return History(rows, done, ["n"], {}, {})


@pytest.mark.parametrize(
    ("history", "finding"),
    [
        (_history("A0", "A1", "A2"), None),
        (_history("A0", "A1", "A2", "A1"), "happened more than once"),
        (_history("A0", "A1"), "never happened"),
        (_history("A0", "A2", "A1"), "out of order"),
        (_history("A0", "A1", "A2", "X"), "never asked for"),
        (_history("A0", "A1", "A2", state="ready"), "not done"),
    ],
)
def test_the_checker_reads_histories(history: History, finding: str | None) -> None:
    findings = judge(history).findings
    assert findings == [] if finding is None else any(finding in words for words in findings)


def test_the_throughput_run_counts_every_effect(url: str) -> None:
    assert measure(url, 200, 4) > 0
