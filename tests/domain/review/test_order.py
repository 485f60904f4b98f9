"""What comes first in the queue, and the sentence that says why."""

from __future__ import annotations

from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.review.order import WEIGHTS, Worth, due_level, due_worth, priority, reason

COST = 4.5


def worth(why: str = Reason.DOUBT, benefit: float | None = 3.0, information: float = 0.2, level: int = 0) -> Worth:
    return Worth(why, benefit, information, level)


def test_every_part_moves_a_task_forward() -> None:
    plain = priority(worth(), COST)
    assert priority(worth(benefit=4.0), COST) == plain + 1.0
    assert priority(worth(information=1.0), COST) > plain
    assert priority(worth(Reason.RANDOM_SHARE), COST) == plain + WEIGHTS.random_share * COST
    for level in range(1, len(WEIGHTS.due_hours) + 1):
        assert priority(worth(level=level), COST) == plain + due_worth(level, COST)


def test_levels_rise_as_the_due_time_comes_near() -> None:
    assert [due_level(hours) for hours in (72, 48, 30, 24, 8, 3, 2, 0.1, 0, -5)] == [0, 1, 1, 2, 3, 3, 4, 4, 5, 5]
    values = [due_worth(level, COST) for level in range(len(WEIGHTS.due_hours) + 1)]
    assert values == sorted(values) and len(set(values)) == len(values)
    assert len(WEIGHTS.due_hours) == len(WEIGHTS.due_worth)


def test_an_unknown_benefit_is_no_benefit_and_free_answers_have_an_order() -> None:
    assert priority(worth(benefit=None, information=1.0), COST) == WEIGHTS.information * COST
    assert priority(worth(benefit=-2.0, information=0.0), COST) == 0.0
    assert priority(worth(level=1), 0.0) > priority(worth(), 0.0)


def test_the_sentence_names_what_counts() -> None:
    assert reason(worth(), "EUR") == "An answer saves about 3.00 EUR."
    assert reason(worth(benefit=None, information=1.0), "EUR") == "No model could say what an answer saves."
    assert reason(worth(benefit=0.0), "EUR") == "Nothing presses."
    assert reason(worth(Reason.RANDOM_SHARE, 1234.5, 0.6, 4), "EUR") == (
        "An answer saves about 1,234.50 EUR; due within 2 hours; drawn at random, to judge the policy; the model is "
        "unsure, so it learns from the answer."
    )
    assert "past its due time" in reason(worth(level=5), "EUR")
