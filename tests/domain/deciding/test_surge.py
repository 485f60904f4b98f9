"""A night much larger than usual: small doubts are decided and sampled, the others wait for a person."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_project.domain.core.costs import PolicyTerms
from pipeline_project.domain.core.model_terms import PromiseTerms, SurgeTerms
from pipeline_project.domain.core.reasons import AUTOMATED, Reason
from pipeline_project.domain.deciding.context import DecisionContext
from pipeline_project.domain.deciding.policy import PolicyResult, decide
from pipeline_project.domain.deciding.promise import evidence_of
from pipeline_project.domain.deciding.surge import surge_of, usual_cases

COST = np.array([[0.0, 10.0], [10.0, 0.0]])
PLAN = SurgeTerms(above=3.0, capacity=20, wait_below=1.5, sample=0.2)


def night(
    cases: int = 1000, usual: float | None = 100.0, plan: SurgeTerms | None = PLAN, exploration: float = 0.05,
    promise: PromiseTerms | None = None, tonight: DecisionContext | None = None,
) -> PolicyResult:  # fmt: skip
    """A third each: sure (an answer costs 1), a small doubt (saves 1), a doubt (saves 3)."""
    bad = np.arange(cases) % 3 * 0.2
    terms = PolicyTerms((False, False), 1.0, "10%", exploration, "w", surge=plan, promise=promise)
    cost = np.broadcast_to(COST, (cases, 2, 2))
    probability = np.column_stack([1 - bad, bad])
    around = tonight or DecisionContext(usual=usual)
    return decide([f"C{i}" for i in range(cases)], probability, cost, [None] * cases, terms, around)


def of_kind(result: PolicyResult, kind: int) -> list[Reason]:
    return [reason for i, reason in enumerate(result.reason) if i % 3 == kind]


@pytest.mark.parametrize(
    ("counts", "usual"),
    [([], None), ([10, 10, 10, 10], None), ([10, 10, 10, 10, 0, 0], None), ([5, 10, 20, 30, 1000], 20.0)],
)
def test_what_is_usual(counts: list[int], usual: float | None) -> None:
    assert usual_cases(counts) == usual


@pytest.mark.parametrize(
    ("cases", "usual", "plan"), [(1000, 100.0, None), (1000, None, PLAN), (300, 100.0, PLAN), (0, 0.0, PLAN)]
)
def test_no_surge(cases: int, usual: float | None, plan: SurgeTerms | None) -> None:
    assert surge_of(plan, cases, usual, 10) is None


@pytest.mark.parametrize(
    ("own", "capacity", "places"), [(20, "10%", 20), ("1%", "10%", 10), (None, "10%", 10), (None, 7, 7)]
)
def test_people_do_not_multiply_with_the_cases(own: int | str | None, capacity: int | str, places: int) -> None:
    surge = surge_of(SurgeTerms(capacity=own), 1000, 100.0, capacity)
    assert surge is not None
    assert surge.places == places


def test_a_surge_by_its_plan() -> None:
    result = night()
    assert result.surge is not None
    assert result.places == result.surge.places == 20
    assert set(of_kind(result, 0)) == {Reason.CHEAPEST, Reason.RANDOM_SHARE}
    assert set(of_kind(result, 1)) == {Reason.SMALL_DOUBT, Reason.RANDOM_SHARE}
    # failures, the random share and the sample took every place
    assert set(of_kind(result, 2)) == {Reason.WAITING, Reason.RANDOM_SHARE}
    assert [option >= 0 for option in result.option] == [reason in AUTOMATED for reason in result.reason]
    surge, kind = result.surge, of_kind(result, 1)
    assert (surge.small, surge.sampled) == (kind.count(Reason.SMALL_DOUBT), kind.count(Reason.RANDOM_SHARE))
    assert surge.waiting == result.reason.count(Reason.WAITING) > 200
    assert result.beyond == (result.option < 0).sum() - 20
    assert result.shadow_price == 0.0


def test_the_most_worth_have_the_places_and_the_rest_waits() -> None:
    result = night(exploration=0.0, plan=SurgeTerms(capacity=20, sample=0.0))
    assert result.reason.count(Reason.DOUBT) == 20
    assert {i % 3 for i, reason in enumerate(result.reason) if reason == Reason.DOUBT} == {2}
    assert result.reason.count(Reason.WAITING) == 646
    assert Reason.NO_PLACE_LEFT not in result.reason


def test_the_sample_has_a_chance_of_its_own_and_it_is_logged() -> None:
    result = night(cases=6000)
    assert sorted(set(result.propensity.tolist())) == [0.05, 0.2]
    assert {i % 3 for i in np.flatnonzero(result.propensity == 0.2)} == {1}
    drawn = of_kind(result, 1).count(Reason.RANDOM_SHARE)
    assert abs(drawn - 400) < 4 * np.sqrt(2000 * 0.2 * 0.8)
    rest = of_kind(result, 0).count(Reason.RANDOM_SHARE) + of_kind(result, 2).count(Reason.RANDOM_SHARE)
    assert abs(rest - 200) < 4 * np.sqrt(4000 * 0.05 * 0.95)


def test_a_usual_night_knows_nothing_of_the_plan() -> None:
    usual = night(usual=1000.0)
    assert usual.surge is None
    assert (usual.places, set(usual.propensity.tolist())) == (100, {0.05})
    assert not {Reason.WAITING, Reason.SMALL_DOUBT} & set(usual.reason)
    assert usual.reason == night(plan=None).reason


def test_a_promise_covers_the_small_doubts_of_a_surge() -> None:
    rng = np.random.default_rng(2)
    bad = rng.integers(0, 3, 3000) * 0.2
    label = (rng.random(3000) < bad).astype(int)
    cost = np.broadcast_to(COST, (3000, 2, 2))
    past = evidence_of(np.column_stack([1 - bad, bad]), cost, label, (False, False), 1.0)
    strict = night(promise=PromiseTerms(0.05, 0.9), tonight=DecisionContext(evidence=past, usual=100.0))
    assert strict.promise is not None
    assert strict.promise.kept
    assert set(of_kind(strict, 1)) == {Reason.PROMISE, Reason.RANDOM_SHARE}
    assert Reason.CHEAPEST in of_kind(strict, 0)
    loose = night(promise=PromiseTerms(0.15, 0.9), tonight=DecisionContext(evidence=past, usual=100.0))
    assert Reason.SMALL_DOUBT in of_kind(loose, 1)
    # a doubt that waits for a person needs no promise
    assert set(of_kind(strict, 2)) == set(of_kind(loose, 2)) == {Reason.WAITING, Reason.RANDOM_SHARE}
