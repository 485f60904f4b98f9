from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from pipeline_project.domain.review.agreement import (
    Repeat,
    agreements,
    is_repeated,
)


def test_kappa_is_cohens() -> None:
    rng = np.random.default_rng(3)
    first = rng.choice(["refund", "reject", "ask"], 200, p=[0.6, 0.3, 0.1])
    second = np.where(rng.random(200) < 0.7, first, rng.choice(["refund", "reject"], 200))
    (found,) = agreements(Repeat("anna", "bert", a, b) for a, b in zip(first, second, strict=True))
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert found.kappa_low is not None and found.kappa is not None and found.kappa_high is not None
    assert found.kappa_low < found.kappa < found.kappa_high <= 1.0
    assert found.cases == 200
    assert found.share == pytest.approx((first == second).mean())


def test_pairs_are_the_same_whoever_came_first() -> None:
    rows = [Repeat("bert", "anna", "x", "y"), Repeat("anna", "bert", "x", "x"), Repeat("anna", "anna", "x", "x")]
    assert [(a.reviewers, a.cases, a.agreed) for a in agreements(rows)] == [
        (("anna", "anna"), 1, 1),
        (("anna", "bert"), 2, 1),
    ]


def test_full_agreement_is_not_certainty() -> None:
    (found,) = agreements([Repeat("anna", "bert", answer, answer) for answer in ("x", "x", "y", "y", "x")])
    assert (found.share, found.kappa) == (1.0, 1.0)
    assert found.share_low < 0.5
    assert found.kappa_low is not None and found.kappa_low < 0.1


def test_one_answer_only_says_nothing_beyond_chance() -> None:
    (found,) = agreements([Repeat("anna", "bert", "x", "x")] * 9)
    assert found.share == 1.0
    assert found.kappa is None and found.kappa_low is None and found.kappa_high is None


def test_repeats_are_drawn_by_case_alone() -> None:
    cases = [f"c{i}" for i in range(20_000)]
    drawn = [case for case in cases if is_repeated("returns", case, 2, 0.02)]
    assert drawn == [case for case in cases if is_repeated("returns", case, 2, 0.02)]
    assert abs(len(drawn) - 400) < 5 * 20
    assert not any(is_repeated("returns", case, 2, 0.0) for case in cases)
    assert all(is_repeated("returns", case, 2, 1.0) for case in cases)
