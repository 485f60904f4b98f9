"""What decided nights came to, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.measures.maturity import Matured
from pipeline_project.domain.measures.realised_cost import best_constant, realised, with_answers
from pipeline_project.domain.reporting.results import ALWAYS_ASKED, THIS, Results, compare

MATRIX = CostMatrix(("kept", "worn"), ("refund", "reject"), ((0, 10), (20, 0)))
COST = np.array([[0.0, 10.0], [20.0, 0.0]])
TERMS = PolicyTerms((False, True), review_cost=1.0, capacity=10, exploration=0.0, seed="claims")


def results(
    rows: list[tuple[str, str]],
    customers: list[str | None] | None = None,
    waiting: int = 0,
    answers: list[str | None] | None = None,
) -> Results:
    """`rows`: what was decided and what turned out to be true; `answers`: what people said where they were asked."""
    decisions = pd.DataFrame(rows, columns=["option", "label"])
    decisions["answer"] = pd.Series(answers or [None] * len(rows), dtype=object)
    whose = np.array(customers or np.arange(len(rows)), dtype=object)
    matured = Matured(decisions, np.tile(COST, (len(rows), 1, 1)), whose, waiting)
    return compare(matured, MATRIX, TERMS, {"auc": 0.7})


def test_by_hand() -> None:
    found = results(
        [("refund", "kept"), ("refund", "worn"), ("reject", "worn"), ("ask_person", "worn"), ("ask_person", "kept")],
        waiting=3,
        answers=[None, None, None, "reject", "reject"],
    )
    totals = {cost.policy: cost.total for cost in found.costs}
    # refund, kept 0; refund, worn 10; reject, worn 0; a person costs 1, is right about one and wrong about the other
    assert totals == {
        "always refund": 30.0,
        "always reject": 40.0,
        ALWAYS_ASKED: 5.0,
        THIS: 32.0,
    }
    against = {cost.policy: cost.against_best for cost in found.costs}
    # only people may reject, so that always refunding is the best that a machine could do without looking
    assert against["always refund"] == 0.0
    assert against[THIS] == pytest.approx(32 / 30 - 1)
    assert (found.unanswered, found.right_answered) == (0, 0.5)
    assert (found.cases, found.undecided_outcomes, found.to_people, found.share_to_people) == (5, 3, 2, 0.4)
    assert found.right_alone == pytest.approx(2 / 3)
    assert found.quality == {"auc": 0.7}


def test_an_answer_costs_the_review_and_what_was_answered() -> None:
    cost = np.array([[5.0, 7.0], [5.0, 7.0], [9.0, 8.0], [5.0, 7.0], [5.0, 7.0]])
    option = ["ask_person", "ask_person", "reject", "ask_person", "route"]
    paid = realised(option, ["refund", "reject", None, None, None], cost, MATRIX.options, 2.5)
    np.testing.assert_array_equal(paid, [7.5, 9.5, 8.0, np.nan, np.nan])


def test_the_unanswered_are_in_no_cost_and_are_neither_right_nor_wrong() -> None:
    asked = [("ask_person", "worn")] * 7
    found = results([("refund", "worn"), *asked], answers=[None, *[None] * 6, "refund"])
    assert (found.cases, found.to_people, found.unanswered) == (8, 7, 6)
    # the one decided alone, and the one that was answered, wrongly
    totals = {cost.policy: cost.total for cost in found.costs}
    assert totals == {"always refund": 20.0, "always reject": 0.0, ALWAYS_ASKED: 2.0, THIS: 21.0}
    assert (found.right_alone, found.right_answered) == (0.0, 0.0)


def test_an_answer_among_open_questions_is_judged_by_itself() -> None:
    found = results([("ask_person", "worn")] * 4, answers=["reject", None, None, None])
    assert (found.to_people, found.unanswered, found.right_answered) == (4, 3, 1.0)


def test_answering_changes_the_cost_by_what_was_answered_alone() -> None:
    rows = [("ask_person", "worn"), ("refund", "kept")]
    before, after = results(rows), results(rows, answers=["reject", None])
    by = [{cost.policy: cost.total for cost in found.costs}[THIS] for found in (before, after)]
    assert by == [0.0, 1.0]


def test_what_the_spec_no_longer_has_counts_nowhere() -> None:
    rows = [("refund", "kept"), ("inspect", "kept"), ("refund", "lost"), ("ask_person", "kept")]
    found = results(rows, answers=[None, None, None, "inspect"])
    assert (found.cases, found.other_spec) == (1, 3)
    assert {cost.policy: cost.total for cost in found.costs}[THIS] == 0.0


def test_answers_are_of_what_was_asked() -> None:
    decisions = pd.DataFrame({"case_id": ["a", "b", "c"], "option": ["ask_person", "refund", "ask_person"]})
    found = with_answers(decisions, {"a": "reject", "b": "reject", "c": "ask_person"})
    assert found["answer"].tolist() == ["reject", None, None]


def test_the_best_constant_policy_is_one_the_machine_may_follow() -> None:
    assert best_constant([3.0, 1.0, 2.0], [False, True, False]) == 2


def test_nothing_known_yet() -> None:
    found = results([], waiting=4)
    assert (found.cases, found.undecided_outcomes, found.share_to_people) == (0, 4, 0.0)
    assert {(cost.total, cost.low, cost.high, cost.against_best) for cost in found.costs} == {(0.0, 0.0, 0.0, 0.0)}
    assert np.isnan(found.right_alone)


def test_all_to_people_is_neither_right_nor_wrong() -> None:
    assert np.isnan(results([("ask_person", "kept")]).right_alone)


def test_cases_whose_costs_are_unknown_are_left_out_of_every_policy() -> None:
    decisions = pd.DataFrame([("refund", "kept"), ("refund", "worn"), ("refund", "worn")], columns=["option", "label"])
    cost = np.array([COST, [[0.0, np.nan], [20.0, 0.0]], [[np.nan, 10.0], [20.0, 0.0]]])
    found = compare(Matured(decisions, cost, np.array(["a", "b", "c"])), MATRIX, TERMS, {})
    # what the second would have cost, worn as it was, is not known; of the third only what did not come true
    assert (found.cases, {c.policy: c.total for c in found.costs}[THIS]) == (2, 10.0)


def test_many_options_are_not_each_a_policy_of_their_own() -> None:
    names = tuple(f"route_{i}" for i in range(13))
    matrix = CostMatrix(names, names, tuple(tuple(float(i != j) for j in range(13)) for i in range(13)))
    terms = PolicyTerms((False,) * 13, review_cost=1.0, capacity=10, exploration=0.0, seed="claims")
    cost = np.tile(np.array(matrix.cells, dtype=float), (2, 1, 1))
    decisions = pd.DataFrame([("route_1", "route_1"), ("route_1", "route_2")], columns=["option", "label"])
    found = compare(Matured(decisions, cost, np.array([1, 2])), matrix, terms, {})
    assert [c.policy for c in found.costs] == [ALWAYS_ASKED, THIS]
    # each is compared all the same: always route_1 costs 1, as this does
    assert found.costs[1].against_best == 0.0
    assert found.right_alone == 0.5


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(["refund", "reject", "ask_person"]), st.sampled_from(MATRIX.labels)), min_size=1)
)
def test_the_interval_contains_the_total(rows: list[tuple[str, str]]) -> None:
    for cost in results(rows).costs:
        assert cost.low - 1e-9 <= cost.total <= cost.high + 1e-9
