"""The signals of nights, and when they ask for a training: once, and the same whatever order nights come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.core.model_terms import DriftTerms
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.lifecycle.drift.counts import count_names, count_numbers, count_places
from pipeline_project.domain.lifecycle.drift.signals import (
    DRIFT_KINDS,
    ESTIMATED_ERROR,
    OUTCOMES,
    Beside,
    PastNight,
    Promised,
    Severity,
    asked_nights,
    breached_names,
    check_of,
    closes_policy,
    signals_of,
)
from pipeline_project.domain.lifecycle.drift.sketch import Sketch

TERMS = DriftTerms(reference_nights=14, threshold=0.1, breaches=3, of_nights=5, cooldown_nights=10)
FIRST = "2026-01-01"
PROMISED = Promised(error=0.1, slack=0.02)


def sketch(random, cases: int = 300, shift: float = 0.0, doubt: float = 0.1, outcomes=None) -> Sketch:
    confidence = np.clip(random.normal(1 - doubt, 0.02, cases), 0, 1)
    return Sketch(
        cases=cases,
        parts={
            "field/amount": count_numbers(random.normal(100 + 10 * shift, 10, cases)),
            "field/kind": count_names([("a", cases // 2 + int(shift * 40)), ("b", cases // 2 - int(shift * 40))]),
            "confidence": count_places(confidence),
            **{f"embedding/text/{i}": count_places(random.normal(shift * (i == 3), 1, cases)) for i in range(6)},
        },
        scored=cases,
        doubt=int(((1 - confidence) * 1e6).sum()),
        doubt_spread=int((confidence * (1 - confidence) * 1e6).sum()),
        outcomes=outcomes or {"kept": 270, "returned": 30},
    )


@pytest.fixture(scope="module")
def past() -> list[PastNight]:
    random = np.random.default_rng(1)
    return [PastNight(shifted(FIRST, n), "7", sketch(random)) for n in range(-14, 0)]


def judged(past, tonight, recent=(), promised=PROMISED):
    return {s.name: s for s in signals_of(Beside(tonight, past, past, recent, promised, TERMS))}


def test_nights_without_change_seldom_have_a_breach(past):
    random = np.random.default_rng(2)
    breached = sum(any(s.breached for s in judged(past, sketch(random)).values()) for _ in range(100))
    assert breached <= 5  # promised is 1 % of 100 nights; more than 5 has a chance of 1 in 1,000


def test_a_shift_is_found_in_fields_and_vectors(past):
    found = judged(past, sketch(np.random.default_rng(3), shift=1.0))
    assert {"field/amount", "field/kind", "embedding/text"} <= {n for n, s in found.items() if s.breached}
    assert found["field/amount"].severity is Severity.ERROR
    assert found["field/amount"].psi > 0.2
    assert not found["confidence"].breached


def test_doubt_is_found_before_any_outcome_is(past):
    found = judged(past, sketch(np.random.default_rng(4), doubt=0.2))
    assert found["confidence"].breached
    assert found[ESTIMATED_ERROR].breached
    assert found[ESTIMATED_ERROR].severity is Severity.ERROR
    assert found[ESTIMATED_ERROR].value == pytest.approx(0.1, abs=0.01)
    assert not found["field/amount"].breached


def test_the_expected_error_is_not_judged_without_a_promise(past):
    assert ESTIMATED_ERROR not in judged(past, sketch(np.random.default_rng(4)), promised=Promised(None, 0.02))


def test_the_rate_of_outcomes_is_judged_over_the_last_nights_together(past):
    random = np.random.default_rng(5)
    few = {"kept": 12, "returned": 8}
    alone = judged(past, sketch(random, outcomes=few))
    recent = [PastNight(shifted(FIRST, n), "7", sketch(random, outcomes=few)) for n in range(4)]
    together = judged(past, sketch(random, outcomes=few), recent)
    assert together[OUTCOMES].breached
    assert together[OUTCOMES].cases == 5 * alone[OUTCOMES].cases == 100


def test_rates_of_outcomes_that_always_differ_from_night_to_night_are_no_drift():
    random = np.random.default_rng(7)
    rates = (10, 70, 12, 65, 14, 75, 8, 68)
    restless = [
        PastNight(shifted(FIRST, n), "7", sketch(random, outcomes={"kept": 300 - rate, "returned": rate}))
        for n, rate in enumerate(rates)
    ]
    calm = [PastNight(each.night, "7", sketch(random)) for each in restless]
    tonight = sketch(random, outcomes={"kept": 230, "returned": 70})
    assert not judged(restless, tonight)[OUTCOMES].breached
    assert judged(calm, tonight)[OUTCOMES].breached


def test_what_has_no_reference_is_not_judged(past):
    tonight = sketch(np.random.default_rng(6), shift=1)
    assert set(judged([], tonight)) == {ESTIMATED_ERROR}
    assert set(judged(past[:1], tonight)) == {ESTIMATED_ERROR, OUTCOMES}


def test_an_empty_night_has_no_breach(past):
    assert breached_names(list(judged(past, Sketch()).values())) == []


def test_every_signal_has_a_check():
    names = ["field/a/b", "embedding/text", "clusters", "confidence", "outcomes", ESTIMATED_ERROR]
    assert {check_of(name) for name in names} == {kind.check for kind in DRIFT_KINDS.values()}


def nights(*breached: int) -> dict[str, list[str]]:
    return {shifted(FIRST, n): ["field/amount"] for n in breached}


def test_a_training_is_asked_once_and_again_after_the_cooldown():
    history = nights(0, 2, 4, 5, 6, 7, 8, 13, 14, 15, 16, 17)
    asked = asked_nights(history, TERMS)
    assert sorted(asked) == [shifted(FIRST, 4), shifted(FIRST, 15)]
    assert "field/amount" in asked[shifted(FIRST, 4)]


def test_fewer_breaches_or_wider_apart_ask_nothing():
    assert asked_nights(nights(0, 1), TERMS) == {}
    assert asked_nights(nights(0, 3, 6, 9, 12), TERMS) == {}
    assert asked_nights({night: [] for night in nights(0, 1, 2, 3, 4)}, TERMS) == {}


def test_breaches_that_were_asked_about_are_not_asked_about_again():
    without_cooldown = DriftTerms(breaches=3, of_nights=5, cooldown_nights=0)
    asked = asked_nights(nights(0, 1, 2, 3, 4, 5), without_cooldown)
    assert sorted(asked) == [shifted(FIRST, 2), shifted(FIRST, 5)]


@given(st.sets(st.integers(0, 60)), st.integers(0, 60), st.randoms())
def test_what_a_night_asks_does_not_depend_on_the_order_or_on_later_nights(breached, at, random):
    history = list(nights(*breached).items())
    random.shuffle(history)
    night = shifted(FIRST, at)
    why = asked_nights(dict(history), TERMS).get(night)
    assert why == asked_nights(nights(*breached), TERMS).get(night)
    assert why == asked_nights({n: s for n, s in history if n <= night}, TERMS).get(night)


def test_only_terms_that_say_so_close_the_policy():
    assert not closes_policy("drift", TERMS)
    assert closes_policy("drift", DriftTerms(closes_policy=True))
    assert not closes_policy(None, DriftTerms(closes_policy=True))
