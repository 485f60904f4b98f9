"""The night as a whole: what `decide` does in one pass is the optimum of the integer programme."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from pipeline_project.domain.core.costs import PolicyTerms
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.deciding.policy import PolicyResult, decide, random_draw

Night = tuple[np.ndarray, np.ndarray, list[str | None], PolicyTerms]


@st.composite
def nights(draw: st.DrawFn) -> Night:
    """Random costs, probabilities, failures, capacity and share; a coarse grid makes ties likely."""
    cases, options, labels = draw(st.integers(0, 25)), draw(st.integers(1, 4)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cost = rng.integers(0, 9, (cases, options, labels)).astype(float)
    cost[rng.random(cost.shape) < draw(st.sampled_from([0.0, 0.02]))] = np.nan
    probability = rng.dirichlet(np.ones(labels), cases)
    if draw(st.booleans()):
        probability = np.eye(labels)[rng.integers(0, labels, cases)]
    failed = rng.random(cases) < draw(st.sampled_from([0.0, 0.3]))
    problems = [str(rng.choice(["failed_photo", "no_model"])) if one else None for one in failed]
    denies = (False, *(bool(b) for b in rng.random(options - 1) < 0.4))
    capacity: int | str = draw(st.one_of(st.integers(0, 12), st.sampled_from(["0%", "20%", "100%"])))
    return (
        probability,
        cost,
        problems,
        PolicyTerms(denies, float(rng.random() * 3), capacity, 0.2 * draw(st.integers(0, 1)), "w"),
    )


def plain(
    cases: list[str], probability: np.ndarray, cost: np.ndarray, problems: list[str | None], terms: PolicyTerms
) -> list[tuple[int, str]]:
    """Option and reason of every case, one after the other, as one would write it down."""
    reasons: dict[int, str] = {}
    cheapest: dict[int, tuple[float, int]] = {}
    benefit: dict[int, float] = {}
    denial: set[int] = set()
    for i in range(len(cases)):
        expected = [
            float(np.einsum("cl,col->co", probability[i : i + 1], cost[i : i + 1])[0, o]) for o in range(cost.shape[1])
        ]
        if problems[i] or not all(map(math.isfinite, expected)):
            reasons[i] = problems[i] or "cost_unknown"
            continue
        cheapest[i] = min((value, o) for o, value in enumerate(expected) if not terms.denies[o])
        person = terms.review_cost + float(
            np.einsum("cl,cl->c", probability[i : i + 1], cost[i : i + 1].min(axis=1))[0]
        )
        benefit[i] = cheapest[i][0] - person
        if terms.denies[expected.index(min(expected))]:
            denial.add(i)
        if random_draw(terms.seed, cases[i]) < terms.exploration:
            reasons[i] = "random_share"
    left = terms.places(len(cases)) - len(reasons)
    rest = sorted(
        (i for i in benefit if i not in reasons), key=lambda i: (-benefit[i], random_draw(terms.seed, cases[i]))
    )
    for i in rest:
        wanted = benefit[i] > 0
        reasons[i] = (
            ("denial" if i in denial else "doubt") if wanted and left > 0 else "no_place_left" if wanted else "cheapest"
        )
        left -= wanted
    alone = ("cheapest", "no_place_left")
    return [(cheapest[i][1] if reasons[i] in alone else -1, reasons[i]) for i in range(len(cases))]


def ids(count: int) -> list[str]:
    return [f"case-{i}" for i in range(count)]


@settings(deadline=None, max_examples=300)
@given(nights())
def test_all_at_once_is_one_after_the_other(drawn: Night) -> None:
    probability, cost, problems, terms = drawn
    result = decide(ids(len(cost)), probability, cost, problems, terms)
    found = list(zip(result.option.tolist(), [str(reason) for reason in result.reason], strict=True))
    assert found == plain(ids(len(cost)), probability, cost, problems, terms)
    assert all(isinstance(reason, Reason) for reason in result.reason)


def of_people(result: PolicyResult) -> tuple[np.ndarray, int]:
    """What answers save in the cases that compete for places, and the places there are for them."""
    others = (Reason.RANDOM_SHARE, Reason.COST_UNKNOWN, Reason.FAILED_PHOTO, Reason.NO_MODEL)
    competing = np.array([reason not in others for reason in result.reason], dtype=bool)
    return result.benefit[competing], max(0, result.places - int((~competing).sum()))


def saved(result: PolicyResult) -> float:
    asked = [reason in (Reason.DOUBT, Reason.DENIAL) for reason in result.reason]
    return float(result.benefit[np.array(asked, dtype=bool)].sum())


@settings(deadline=None, max_examples=150)
@given(nights())
def test_no_other_choice_of_people_saves_more(drawn: Night) -> None:
    probability, cost, problems, terms = drawn
    result = decide(ids(len(cost)), probability, cost, problems, terms)
    benefit, places = of_people(result)
    if not len(benefit):
        assert saved(result) == 0.0
        return
    capacity = LinearConstraint(np.ones((1, len(benefit))), ub=places)
    best = milp(-benefit, constraints=capacity, integrality=np.ones(len(benefit)), bounds=Bounds(0, 1))
    assert best.success
    assert saved(result) == pytest.approx(-best.fun, abs=1e-6)


@settings(deadline=None, max_examples=150)
@given(nights())
def test_the_shadow_price_is_the_dual_of_the_capacity(drawn: Night) -> None:
    probability, cost, problems, terms = drawn
    result = decide(ids(len(cost)), probability, cost, problems, terms)
    benefit, places = of_people(result)
    if not len(benefit):
        assert result.shadow_price == 0.0
        return

    def dual(capacity: float) -> float:
        solved = linprog(-benefit, A_ub=np.ones((1, len(benefit))), b_ub=[capacity], bounds=(0, 1), method="highs")
        return -float(solved.ineqlin.marginals[0])

    # with whole places the dual is any number between the last seated and the first turned away; half a place more
    # makes it unique, and it is the price of the next place
    assert dual(places + 0.5) == pytest.approx(result.shadow_price, abs=1e-7)
    assert result.shadow_price - 1e-7 <= dual(places) or len(benefit) <= places


def test_a_larger_night_takes_places_from_the_least_worth() -> None:
    rng = np.random.default_rng(5)
    probability, cost = rng.dirichlet(np.ones(2), 400), rng.random((400, 3, 2)) * 20
    terms = PolicyTerms((False, False, False), 0.1, 30, 0.05, "w")
    result = decide(ids(400), probability, cost, [None] * 400, terms)
    seated = result.benefit[[reason == Reason.DOUBT for reason in result.reason]]
    assert seated.min() >= result.shadow_price > 0
    wider = decide(ids(400), probability, cost, [None] * 400, dataclasses.replace(terms, capacity=31))
    assert saved(wider) - saved(result) == pytest.approx(result.shadow_price)
