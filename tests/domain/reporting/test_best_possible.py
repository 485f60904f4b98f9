"""What was decided beside the best that could have been, on cases small enough to reckon by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.measures.maturity import Matured
from pipeline_project.domain.reporting.best_possible import ALWAYS_ASKED, BEST, THIS, against_truth

MATRIX = CostMatrix(labels=("good", "bad"), options=("pay", "look"), cells=((0, 100), (10, 10)))
#: Case -> night, what was decided, the true chance of `bad`, and what it turned out to be.
CASES: dict[str, tuple[str, str, float, str]] = {
    "a": ("2025-03-01", "pay", 0.01, "good"),
    "b": ("2025-03-01", "pay", 0.90, "bad"),
    "c": ("2025-03-01", "ask_person", 0.50, "good"),
    "d": ("2025-03-02", "look", 0.02, "good"),
    "e": ("2025-03-02", "look", 0.08, "bad"),
}


def terms(**given: Any) -> PolicyTerms:
    usual: dict[str, Any] = {
        "denies": (False, False),
        "review_cost": 2.0,
        "capacity": 1,
        "exploration": 0.0,
        "seed": "x",
    }
    return PolicyTerms(**{**usual, **given})


def matured(**changed: Any) -> Matured:
    frame = pd.DataFrame(
        [(case, night, option, label) for case, (night, option, _, label) in CASES.items()],
        columns=["case_id", "night", "option", "label"],
    )
    cost = np.tile(np.array(MATRIX.cells, dtype=float), (len(frame), 1, 1))
    return Matured(
        **{"decisions": frame, "cost": cost, "customers": frame["case_id"].to_numpy(dtype=object), **changed}
    )


CHANCES = {case: (1 - bad, bad) for case, (_, _, bad, _) in CASES.items()}
TRUTH = {case: label for case, (_, _, _, label) in CASES.items()}


def test_costs_and_places_are_those_of_the_spec_and_only_the_chances_are_others() -> None:
    found = against_truth(matured(), CHANCES, TRUTH, MATRIX, terms())
    total = {policy.policy: policy.total for policy in found.policies}
    asked = {policy.policy: policy.asked for policy in found.policies}
    # pay good 0, pay bad 100, ask good 2 + 0, look 10, look 10
    assert total[THIS] == 0 + 100 + 2 + 10 + 10
    # one place a night: an answer saves most of c (10 - 5 - 2) and of e (8 - 0.8 - 2); a and d are paid, b is looked at
    assert asked[BEST] == 2
    assert total[BEST] == 0 + 10 + (2 + 0) + 0 + (2 + 10)
    assert total[ALWAYS_ASKED] == 5 * 2 + 0 + 10 + 0 + 0 + 10
    assert found.distance == pytest.approx(122 / 24 - 1)


def test_wrong_is_what_another_option_would_have_done_cheaper_among_those_nobody_was_asked_about() -> None:
    found = against_truth(matured(), CHANCES, TRUTH, MATRIX, terms())
    wrong = {policy.policy: policy.wrong for policy in found.policies}
    # b was paid and d looked at
    assert wrong[THIS] == pytest.approx(2 / 4)
    assert wrong[BEST] == 0
    assert np.isnan(wrong[ALWAYS_ASKED])


def test_what_only_a_person_may_choose_the_best_does_not_choose_either() -> None:
    found = against_truth(matured(), CHANCES, TRUTH, MATRIX, terms(denies=(False, True), capacity=0))
    total = {policy.policy: policy.total for policy in found.policies}
    assert total[BEST] == 200


def test_cases_of_which_nothing_more_is_known_are_counted_and_left_out() -> None:
    some = {case: chance for case, chance in CHANCES.items() if case != "b"}
    found = against_truth(matured(), some, TRUTH, MATRIX, terms())
    assert (found.cases, found.unknown) == (4, 1)
    unpriced = matured().cost.copy()
    unpriced[0] = np.nan
    assert against_truth(matured(cost=unpriced), CHANCES, TRUTH, MATRIX, terms()).unknown == 1
    with pytest.raises(ValueError, match="of no decided case"):
        against_truth(matured(), {}, TRUTH, MATRIX, terms())
