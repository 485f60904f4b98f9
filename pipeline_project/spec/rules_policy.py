"""Rules about what bounds the policy: a promise needs something to rest on, a budget something to bound."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_project.spec.base import SpecFinding
from pipeline_project.spec.draft import Draft, Rule


def _promise(draft: Draft) -> Iterator[SpecFinding]:
    if draft.policy.promise and draft.outcome.learned_after and not draft.review.exploration:
        yield SpecFinding(
            ("policy", "promise"),
            "the truth is learned after some options only, so nothing but the random share can prove a promise; "
            "raise `review.exploration` above 0",
        )


def _budget(draft: Draft) -> Iterator[SpecFinding]:
    if draft.policy.exploration_budget is not None and not draft.review.exploration:
        yield SpecFinding(
            ("policy", "exploration_budget"), "there is no random share to pay for; raise `review.exploration`"
        )


POLICY_RULES: tuple[Rule, ...] = (_promise, _budget)
