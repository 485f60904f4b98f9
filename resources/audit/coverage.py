"""Which tables the chain vouches for, and how."""

from __future__ import annotations

from collections.abc import Mapping

#: Tables all of whose rows must stand in the chain, with the condition for those that must (SQL, None: all).
#: Rows of other tables of facts are compared as far as the chain holds them; a row it does not hold is no finding.
COVERED: Mapping[str, str | None] = {
    "decisions": None,
    # what was read from files is in the lake as it arrived; what people found out is only here
    "outcomes": "source IN ('review', 'cluster_review')",
    "releases": None,
    # a verdict that let something through joins the chain with what it let through; the others count for nothing
    "night_verdicts": "NOT passed",
    "night_clearances": None,
    "review_answers": None,
    "review_proposals": None,
    "review_approvals": None,
    "review_notices": None,
    "reveals": None,
    "cluster_members": None,
    "cluster_verdicts": None,
    "repeats": None,
    "repeat_answers": None,
    "rollouts": None,
    "rollout_ends": None,
    "policy_states": None,
    "live_checks": None,
    "live_breaches": None,
    "recalls": None,
    "recalls_again": None,
    "recalled_decisions": None,
}

#: Tables whose rows change, with the columns that never do: what an action is, though not how far it has come.
LASTING: Mapping[str, frozenset[str]] = {
    "actions": frozenset({"workflow", "night", "case_id", "epoch", "kind", "key", "fingerprint", "money", "undoes"}),
}
