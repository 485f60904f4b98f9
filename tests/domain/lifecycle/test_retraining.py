from __future__ import annotations

import pytest

from pipeline_project.domain.lifecycle.retraining_due import RetrainRule, is_due

MONTHLY = RetrainRule("month", None, 200, "2024-03-15")
WEEKLY = RetrainRule("week", 500, 200, "2024-03-15")
NEVER = RetrainRule("never", None, 200, "2024-03-15")


@pytest.mark.parametrize(
    ("rule", "night", "last", "new", "why"),
    [
        (MONTHLY, "2024-03-01", None, 9999, None),
        (MONTHLY, "2024-03-15", None, 0, "the first night that is decided"),
        (NEVER, "2024-03-15", None, 0, "the first night that is decided"),
        (MONTHLY, "2024-03-31", "2024-03-15", 9999, None),
        (MONTHLY, "2024-04-01", "2024-03-15", 0, "the first night of the month"),
        (MONTHLY, "2024-04-02", None, 199, None),
        (MONTHLY, "2024-04-02", None, 200, "no model yet, and 200 outcomes are known"),
        (WEEKLY, "2024-03-18", "2024-03-15", 0, "the first night of the week"),
        (WEEKLY, "2024-03-19", "2024-03-18", 499, None),
        (WEEKLY, "2024-03-19", "2024-03-18", 500, "500 new outcomes since 2024-03-18"),
        (NEVER, "2024-04-01", "2024-03-15", 9999, None),
    ],
)
def test_when_training_is_due(rule: RetrainRule, night: str, last: str | None, new: int, why: str | None) -> None:
    assert is_due(rule, night, last_trained=last, new_outcomes=new) == why
