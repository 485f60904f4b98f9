"""The watch: false alarms are rare however often somebody looks, and a broken promise is seen soon."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_project.domain.lifecycle.rollout.watching import BETS, EProcess, MeanAbove, confidence_sequence


@pytest.mark.parametrize("promised", [0.02, 0.05, 0.1, 0.2])
def test_a_promise_that_is_kept_is_seldom_doubted_however_often_one_looks(promised: float) -> None:
    alpha, alarms, runs = 0.05, 0, 400
    for seed in range(runs):
        watch = EProcess(promised, alpha)
        watch.update(np.random.default_rng(seed).random(2000) < promised)
        alarms += watch.breached
    assert alarms / runs <= alpha


@pytest.mark.parametrize(("promised", "found"), [(0.05, 0.8), (0.1, 0.99), (0.2, 0.99)])
def test_twice_the_promised_error_is_seen_within_500_decisions(promised: float, found: float) -> None:
    seen = 0
    for seed in range(200):
        watch = EProcess(promised, 0.01)
        watch.update(np.random.default_rng(seed).random(500) < 2 * promised)
        seen += watch.breached
    assert seen / 200 >= found


def test_the_stake_is_fair_at_the_promised_rate() -> None:
    """Exactly: its expectation over every outcome of a few cases is 1 at the promised rate, and less below it."""

    def expected(rate: float) -> float:
        total = 0.0
        for number in range(2**6):
            errors = [bool(number >> i & 1) for i in range(6)]
            total += EProcess(0.3).update(errors) * rate ** sum(errors) * (1 - rate) ** (6 - sum(errors))
        return total

    assert expected(0.3) == pytest.approx(1)
    assert expected(0.2) < 1 < expected(0.4)


def test_looking_in_parts_is_looking_at_once() -> None:
    errors = np.random.default_rng(5).random(300) < 0.2
    whole, parts = EProcess(0.1), EProcess(0.1)
    whole.update(errors)
    for part in np.array_split(errors, 17):
        parts.update(part)
    assert (parts.seen, parts.errors) == (300, int(errors.sum()))
    assert parts.value == pytest.approx(whole.value)
    assert parts.highest == pytest.approx(whole.highest)


def test_a_breach_stays_one_when_later_cases_are_right() -> None:
    watch = EProcess(0.05, 0.01)
    watch.update([True] * 20)
    assert watch.breached
    watch.update([False] * 5000)
    assert watch.value < 1 / 0.01
    assert watch.breached


def test_nothing_seen_is_no_stake_and_many_errors_do_not_overflow() -> None:
    watch = EProcess(0.05)
    assert watch.update([]) == watch.highest == 1
    assert not watch.breached
    watch.update([True] * 5000)
    assert np.isfinite(watch.value)
    assert watch.breached


@pytest.mark.parametrize("promised", [0.0, 1.0, -0.1])
def test_a_promise_is_a_share(promised: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        EProcess(promised)


def test_differences_that_are_none_on_average_are_seldom_taken_for_some() -> None:
    alarms = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        bet = MeanAbove(0.05)
        # skewed: small losses most of the time, a large gain now and then
        bet.update(np.where(draw.random(1500) < 0.1, 0.9, -0.1))
        alarms += bet.breached
    assert alarms / 400 <= 0.05


def test_a_difference_is_found_and_its_opposite_is_not() -> None:
    found = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 800, p=[0.05, 0.8, 0.15])
    worse, better = MeanAbove(0.01), MeanAbove(0.01)
    worse.update(found)
    better.update(-found)
    assert worse.breached
    assert not better.breached
    assert worse.seen == 800


def test_a_difference_beyond_the_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        MeanAbove(0.05).update(np.array([1.5]))


def test_bets_never_lose_everything_on_one_case() -> None:
    assert (BETS > 0).all()
    assert (BETS < 1).all()


def test_the_rate_lies_within_the_sequence_at_every_moment() -> None:
    missed = 0
    for seed in range(200):
        errors = (np.random.default_rng(seed).random(1200) < 0.1).cumsum()
        bounds = [confidence_sequence(n, int(errors[n - 1]), 0.1) for n in range(10, 1200, 20)]
        missed += any(not low <= 0.1 <= high for low, high in bounds)
    assert missed / 200 <= 0.1


def test_the_sequence_narrows_and_holds_what_was_seen() -> None:
    widths = []
    for seen in (10, 100, 1000, 10_000):
        low, high = confidence_sequence(seen, seen // 10, 0.05)
        assert low < 0.1 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert confidence_sequence(0, 0, 0.05) == (0.0, 1.0)
    assert confidence_sequence(50, 0, 0.05)[0] == 0.0
    assert confidence_sequence(50, 50, 0.05)[1] == 1.0
    with pytest.raises(ValueError, match="errors of"):
        confidence_sequence(3, 4, 0.05)
