"""What bounded a night, as its page tells it."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipeline_project.domain.core.costs import PolicyTerms
from pipeline_project.domain.deciding.decisions import bounds_metadata
from pipeline_project.domain.deciding.exploration import Exploration
from pipeline_project.domain.deciding.policy import PolicyResult, decide
from pipeline_project.domain.deciding.promise import NOTHING, Promise
from pipeline_project.domain.deciding.sentences import sentences
from pipeline_project.domain.deciding.surge import Surge

KEPT = Promise(0.01, 0.95, 0.08, True, 1204, 3, 0.0064, "3 mistakes in 1,204 past cases")


def result(**more: object) -> PolicyResult:
    bare = decide([], np.empty((0, 2)), np.empty((0, 1, 2)), [], PolicyTerms((False,), 1.0, 5, 0.0, "w"))
    return dataclasses.replace(bare, **more)  # type: ignore[arg-type]


def said(**more: object) -> str:
    return " ".join(sentences(result(**more), lambda amount: f"{amount:.2f} EUR"))


def test_a_plain_night_says_nothing_more() -> None:
    assert said() == ""


def test_promises_kept_unproved_and_lapsed() -> None:
    assert "at most 1.00% of the decisions made without people are wrong" in said(promise=KEPT)
    assert "above 8.00% goes to people (3 mistakes in 1,204 past cases)" in said(promise=KEPT)
    none = dataclasses.replace(KEPT, kept=False, threshold=NOTHING, why="12 past cases")
    assert "does not hold yet, so people decide: 12 past cases." in said(promise=none)
    assert "has lapsed, so people decide" in said(promise=dataclasses.replace(none, lapsed=("field/price",)))


def test_the_random_share_with_its_budget() -> None:
    assert said(exploration=Exploration(0.02, 0.02, None, 31.5, 28.0, 9)) == ""  # the page's money tells it
    assert said(exploration=Exploration(0.02, 0.02, 40.0, 31.5, 28.0, 9)) == (
        "The random share costs 31.50 EUR in expectation beyond the cheapest decisions, 28.00 EUR in the 9 drawn; its "
        "budget is 40.00 EUR."
    )
    scaled = said(exploration=Exploration(0.02, 0.005, 8.0, 8.0, 0.0, 0))
    assert "its budget is 8.00 EUR, so 0.50% were drawn instead of 2.00%." in scaled


def test_a_surge_and_its_queue() -> None:
    surge = Surge(1200, 110, 22, 5.0, 0.1, sampled=8, small=70, waiting=300)
    assert said(surge=surge, beyond=312) == (
        "A surge: 1,200 cases where 110 are usual, with 22 places. 300 in doubt wait for a person beyond the places; "
        "70 in which an answer saves less than 5.00 EUR were decided without one, and 8 of this kind are looked at as "
        "a sample. 312 more go to people than there are places for; they queue."
    )
    assert "saves less" not in said(surge=dataclasses.replace(surge, wait_below=0.0))


def test_the_same_as_figures() -> None:
    figures = bounds_metadata(result(promise=dataclasses.replace(KEPT, lapsed=("field/price",)), beyond=4))
    assert (figures["beyond"], figures["promise_kept"], figures["promise_lapsed"]) == (4, True, ["field/price"])
    assert (figures["exploration_expected"], "exploration_budget" in figures) == (0.0, False)
    assert not any(name.startswith("surge") for name in figures)
