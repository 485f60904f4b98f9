"""A promise needs something to rest on."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from pipeline_project.domain.core.model_terms import PolicyBounds
from pipeline_project.spec.base import SpecFinding
from pipeline_project.spec.draft import Draft
from pipeline_project.spec.rules_policy import POLICY_RULES


class Part:
    """Any section of a spec."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


def found(policy: dict[str, object], learned_after: tuple[str, ...], exploration: float) -> list[SpecFinding]:
    parts = {
        "policy": TypeAdapter(PolicyBounds).validate_python(policy),
        "outcome": Part(learned_after=learned_after),
        "review": Part(exploration=exploration, capacity=10),
    }
    return [finding for rule in POLICY_RULES for finding in rule(Draft(parts))]


@pytest.mark.parametrize(
    ("policy", "learned_after", "exploration", "where"),
    [
        ({}, ("refund",), 0.0, []),
        ({"promise": {"error": 0.01}}, (), 0.0, []),
        ({"promise": {"error": 0.01}}, ("refund",), 0.01, []),
        ({"promise": {"error": 0.01}}, ("refund",), 0.0, [("policy", "promise")]),
        ({"exploration_budget": 0}, (), 0.01, []),
        ({"exploration_budget": 5}, (), 0.0, [("policy", "exploration_budget")]),
    ],
)
def test_what_a_policy_rests_on(
    policy: dict[str, object], learned_after: tuple[str, ...], exploration: float, where: list[tuple[str, str]]
) -> None:
    assert [finding.where for finding in found(policy, learned_after, exploration)] == where
