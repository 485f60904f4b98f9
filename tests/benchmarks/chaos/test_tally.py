"""What a suite counts: each fault once, by what came of it."""

from __future__ import annotations

import sys

import pytest

from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.chaos.verdicts import CannotMeasure, Ended


def _tally(*came: Came) -> Tally:
    tally = Tally()
    for number, each in enumerate(came):
        tally.note("a kind", each, f"seed {number}")
    return tally


def test_a_goal_holds_only_where_faults_were_made_and_nothing_went_wrong() -> None:
    assert _tally(Came.WELL, Came.WELL).seen.holds
    assert not _tally().seen.holds, "a suite without a fault has shown nothing"
    for wrong in (Came.LOST, Came.DOUBLED, Came.SILENT):
        seen = _tally(Came.WELL, wrong).seen
        assert not seen.holds
        assert (seen.faults, seen.lost + seen.doubled + seen.silent) == (2, 1)


def test_a_suite_from_its_arguments(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[Given] = []

    def suite(given: Given) -> Tally:
        asked.append(given)
        return _tally(Came.LOST if given.without else Came.WELL)

    for words, code in ((["--times", "3"], Ended.HOLDS), (["--without", "care", "--seed", "9"], Ended.BROKEN)):
        monkeypatch.setattr(sys, "argv", ["suite", *words])
        assert run("suite", "about", ["care"], 5, suite) == code
    assert asked == [Given(3, 7, None), Given(5, 9, "care")]
    assert "a kind: lost, seed 0" in capsys.readouterr().out


def test_a_machine_that_does_not_let_a_suite_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    def suite(given: Given) -> Tally:
        raise CannotMeasure("needs root")

    monkeypatch.setattr(sys, "argv", ["suite"])
    assert run("suite", "about", [], 5, suite) == Ended.CANNOT
