"""What must hold between the parts of a spec, as functions that name every mistake with its place.

A rule reads the parts it needs from a draft. A part that is itself broken is absent from the draft; the rule then
stops where it is, so that a mistake in one part neither hides nor invents one in another.
"""

from __future__ import annotations

from itertools import islice

from pipeline_project.spec.base import SpecFinding
from pipeline_project.spec.draft import Absent, Draft, Rule
from pipeline_project.spec.rules_acting import ACTING_RULES
from pipeline_project.spec.rules_cases import CASE_RULES
from pipeline_project.spec.rules_decisions import DECISION_RULES
from pipeline_project.spec.rules_features import FEATURE_RULES
from pipeline_project.spec.rules_lookups import LOOKUP_RULES
from pipeline_project.spec.rules_nights import NIGHT_RULES
from pipeline_project.spec.rules_policy import POLICY_RULES

RULES: tuple[Rule, ...] = (
    *CASE_RULES,
    *LOOKUP_RULES,
    *FEATURE_RULES,
    *NIGHT_RULES,
    *DECISION_RULES,
    *POLICY_RULES,
    *ACTING_RULES,
)


#: A rule names so many mistakes at most: each may cost a search through all names, and nobody reads more.
MOST_OF_A_RULE = 50


def findings(draft: Draft) -> list[SpecFinding]:
    """Everything that does not hold between the parts of a draft, in the order of the rules."""
    mistakes: list[SpecFinding] = []
    for rule in RULES:
        try:
            mistakes.extend(islice(rule(draft), MOST_OF_A_RULE))
        except Absent:
            continue
    return mistakes
