"""What a challenger is held back from, and what exactly a person signs."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from pipeline_project.domain.core.model_terms import GateTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.lifecycle.gates import judge_gates
from pipeline_project.domain.lifecycle.proposing import ModelProposal, held_back_until, plain, proposal
from tests.domain.lifecycle.test_gating import BETTER, found

NEW = ModelVersion("claims", "2", "2025-04-01", "d" * 64, "run-2", {}, "2025-03-01", "anna")
OLD = ModelVersion("claims", "1", "2025-03-01", "e" * 64, "run-1", {})


def proposed(**changes: object) -> ModelProposal:
    result = found(**changes)
    return proposal(NEW, OLD, "5" * 64, judge_gates(result, GateTerms(fewest_nights=3), None), result, "# Card")


def test_a_proposal_says_what_was_found() -> None:
    made = proposed()
    assert (made.version, made.base_version, made.trained_by, made.passed) == ("2", "1", "anna", True)
    assert made.promised_error == BETTER.error
    assert len(made.gates) == 8 and made.replay is not None


def test_the_hash_is_over_everything_that_is_shown() -> None:
    made = proposed()
    other: dict[str, Any] = {
        "workflow": "x", "version": "x", "night": "2025-04-02", "digest": "0" * 64, "base_version": "x",
        "spec_hash": "6" * 64, "trained_by": "x", "passed": False, "promised_error": 0.5, "gates": [], "replay": None,
        "card": "x",
    }  # fmt: skip
    assert other.keys() == {field.name for field in fields(ModelProposal)}
    hashes = {replace(made, **{name: value}).hash for name, value in other.items()}
    assert len(hashes | {made.hash}) == len(other) + 1


def test_the_same_replay_again_is_the_same_proposal() -> None:
    assert proposed(seconds=1.0).hash == proposed(seconds=9.0).hash


def test_what_cannot_be_judged_promises_nothing() -> None:
    made = proposal(NEW, OLD, "5" * 64, judge_gates(None, GateTerms(), None), None)
    assert not made.passed and made.promised_error is None and made.replay is None


def test_no_number_becomes_none() -> None:
    assert plain({"a": (float("nan"), 1.5, float("inf")), "b": {"c": "x"}}) == {"a": [None, 1.5, None], "b": {"c": "x"}}


@pytest.mark.parametrize(
    ("mature", "wanted", "until"),
    [
        ([], 28, "2025-04-01"),
        (["2025-03-01", "2025-03-02", "2025-03-04"], 2, "2025-03-02"),
        (["2025-03-01", "2025-03-02"], 28, "2025-03-01"),
    ],
)
def test_a_challenger_knows_nothing_of_the_nights_it_is_judged_on(mature: list[str], wanted: int, until: str) -> None:
    assert held_back_until("2025-04-01", mature, wanted) == until
