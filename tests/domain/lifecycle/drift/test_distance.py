"""A distance is what is left when chance is taken off: it does not alarm on nothing, and finds what is there."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_project.domain.lifecycle.drift.counts import Counts, count_names, count_numbers, merge_counts
from pipeline_project.domain.lifecycle.drift.distance import MOST_GROUPS, between_night_variance, compared, distance

NIGHTS = 600


def breached(reference: Counts, night: Counts, names: bool = False, restless: float = 1.0) -> bool:
    found = distance(reference, night, restless, names)
    return found.value > 0.1 and found.chance < 0.01


@pytest.mark.parametrize("cases", [30, 100, 400, 3_000])
def test_nights_without_change_alarm_no_more_often_than_promised(cases):
    random = np.random.default_rng(cases)
    reference = count_numbers(random.lognormal(3, 1, 20_000))
    alarms = sum(breached(reference, count_numbers(random.lognormal(3, 1, cases))) for _ in range(NIGHTS))
    # promised is 1 %; 600 nights leave room for 3 times the standard error above it
    assert alarms / NIGHTS < 0.01 + 3 * (0.01 * 0.99 / NIGHTS) ** 0.5


@pytest.mark.parametrize("cases", [30, 400])
def test_names_without_change_do_not_alarm_either(cases):
    random = np.random.default_rng(cases)
    shares = random.dirichlet(np.full(60, 0.5))

    def night(n: int) -> Counts:
        return count_names((f"name {i}", int(often)) for i, often in enumerate(random.multinomial(n, shares)) if often)

    reference = night(20_000)
    alarms = sum(breached(reference, night(cases), names=True) for _ in range(NIGHTS))
    assert alarms / NIGHTS < 0.01 + 3 * (0.01 * 0.99 / NIGHTS) ** 0.5


@pytest.mark.parametrize(("cases", "found"), [(100, 0.75), (400, 0.99)])
def test_a_planted_shift_of_half_a_deviation_is_found(cases, found):
    random = np.random.default_rng(5)
    reference = count_numbers(random.normal(100, 10, 20_000))
    alarms = sum(breached(reference, count_numbers(random.normal(105, 10, cases))) for _ in range(200))
    assert alarms / 200 >= found


def test_a_name_never_seen_before_is_a_difference():
    reference = count_names([("a", 5_000), ("b", 5_000)])
    assert breached(reference, count_names([("a", 150), ("b", 150), ("new", 60)]), names=True)


def test_values_that_go_missing_are_a_difference():
    random = np.random.default_rng(2)
    values = random.normal(0, 1, 500)
    reference = count_numbers(random.normal(0, 1, 10_000))
    values[:60] = np.nan
    assert breached(reference, count_numbers(values))


def test_a_small_true_difference_in_a_large_night_stays_below_the_threshold():
    random = np.random.default_rng(4)
    reference, night = count_numbers(random.normal(0, 1, 200_000)), count_numbers(random.normal(0.05, 1, 200_000))
    found = distance(reference, night)
    assert found.chance < 1e-6
    assert 0 < found.value < 0.1


def test_taking_noise_off_leaves_the_true_distance_whatever_the_size():
    random = np.random.default_rng(6)
    reference = count_numbers(random.normal(0, 1, 100_000))
    values = {
        n: float(np.mean([distance(reference, count_numbers(random.normal(1, 1, n))).value for _ in range(50)]))
        for n in (300, 3_000, 30_000)
    }
    assert max(values.values()) - min(values.values()) < 0.02


def test_distances_are_bounded_and_same_is_zero():
    apart = compared(np.array([100.0, 0.0]), np.array([0.0, 100.0]))
    assert apart.raw == pytest.approx(1.0)
    assert 0.9 < apart.value < 1
    same = compared(np.array([100.0, 50.0]), np.array([100.0, 50.0]))
    assert (same.value, same.raw, same.chance) == (0.0, 0.0, pytest.approx(1.0))
    assert same.psi == pytest.approx(0.0)


def test_an_empty_side_differs_from_nothing():
    nothing = count_numbers(np.array([]))
    found = distance(count_numbers(np.arange(100.0)), nothing)
    assert (found.value, found.chance, found.cases) == (0.0, 1.0, 0)


def test_the_distance_is_the_same_whatever_level_the_sketches_have():
    random = np.random.default_rng(8)
    coarse = count_numbers(random.normal(0, 1, 50_000))
    fine = count_numbers(random.normal(0, 1, 50))
    assert fine.level < coarse.level
    assert distance(coarse, fine) == distance(coarse, fine.at(coarse.level))
    assert distance(coarse, fine).groups <= MOST_GROUPS


def test_weekdays_are_no_drift():
    random = np.random.default_rng(9)

    def night(day: int) -> Counts:
        return count_numbers(random.normal(100 + 6 * (day % 7 in (5, 6)), 10, 300))

    past = [night(day) for day in range(28)]
    reference, restless = merge_counts(past), between_night_variance(past)
    assert restless > 1.2
    alarms = [breached(reference, night(day), restless=restless) for day in range(28, 84)]
    unaware = [breached(reference, night(day)) for day in range(28, 84)]
    assert sum(alarms) < sum(unaware)


def test_nights_that_differ_by_chance_only_are_not_restless():
    random = np.random.default_rng(10)
    nights = [count_numbers(random.normal(0, 1, 300)) for _ in range(28)]
    assert between_night_variance(nights) < 1.3
    assert between_night_variance(nights[:2]) == 1.0
