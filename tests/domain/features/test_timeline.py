from __future__ import annotations

import numpy as np

from pipeline_project.domain.features.timeline import delay_weights, forward_steps, later_share

NIGHTS = np.array(["2024-01-01"] * 4 + ["2024-01-02"] * 3 + ["2024-01-03"] * 2 + ["2024-01-04"], dtype=object)


def test_the_later_share_never_cuts_a_night() -> None:
    assert later_share(NIGHTS, 0.25).sum() == 3
    assert later_share(NIGHTS, 0.3).sum() == 3
    assert later_share(NIGHTS, 0.31).sum() == 6
    assert later_share(NIGHTS, 1.0).sum() == 6, "the first night always stays"
    assert not later_share(NIGHTS[:4], 0.5).any()
    assert not later_share(NIGHTS, 0.0).any()


def test_steps_follow_each_other_and_are_numbered_without_gaps() -> None:
    later = later_share(NIGHTS, 0.6)
    steps = forward_steps(NIGHTS, later, 3)

    assert steps.tolist() == [0] * 4 + [1] * 3 + [2] * 3
    assert set(forward_steps(NIGHTS, NIGHTS == "2024-01-04", 3)) == {0, 1}


def test_weights_give_slow_outcomes_back_their_share() -> None:
    """Returns are known after a day or two, what is kept after thirty: the young nights show mostly returns."""
    random = np.random.default_rng(3)
    age = random.integers(1, 120, 40_000)
    y = random.integers(0, 2, len(age))
    delay = np.where(y == 1, random.integers(1, 10, len(age)), random.integers(10, 40, len(age)))
    seen = delay < age
    weights = delay_weights(y[seen], delay[seen] + 0.5, age[seen].astype(float))

    young = (age[seen] > 20) & (age[seen] < 36)
    assert y[seen][young].mean() > 0.6
    assert abs(np.average(y[seen][young], weights=weights[young]) - 0.5) < 0.03
    assert (weights[age[seen] < 15] == 0).all(), "nights that can know nothing of what is kept"
    assert weights.max() <= 4
    assert np.allclose(weights[age[seen] > 45], 1)


def test_young_nights_stay_when_there_is_little_else() -> None:
    age = np.tile(np.arange(1, 21), 20)
    y = (np.arange(len(age)) % 4 == 0).astype(int)
    delay = np.where(y == 1, 15, 0)
    seen = delay < age

    assert (delay_weights(y[seen], delay[seen], age[seen].astype(float)) > 0).all()
