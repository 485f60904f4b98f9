"""How scores and costs become decisions: the option with the lowest expected cost, a person being one of them.

A night is decided as a whole, because the places at the reviewers' desk are shared: they go to the failures first
(nobody else may decide those), then to the random share, then to the cases where a person's answer saves most.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pipeline_project.domain.costs import PolicyTerms, expected_costs

ASK_PERSON = "ask_person"


class Reason(StrEnum):
    """Why a case was decided as it was; the first two are options, the rest ask a person."""

    CHEAPEST = "cheapest"
    NO_PLACE_LEFT = "no_place_left"
    DOUBT = "doubt"
    DENIAL = "denial"
    RANDOM_SHARE = "random_share"
    COST_UNKNOWN = "cost_unknown"
    NO_MODEL = "no_model"
    MODEL_UNAVAILABLE = "model_unavailable"
    FAILED_PHOTO = "failed_photo"
    OUT_OF_DISTRIBUTION = "out_of_distribution"


@dataclass(frozen=True)
class PolicyResult:
    """The policy's word on one night; every array is aligned with the cases given.

    Attributes:
        option: index of the option chosen, -1 for asking a person.
        reason: why, a `Reason`.
        expected: shape (cases, options), in the workflow's currency; NaN without probabilities or costs.
        cheapest: index of the cheapest option open to the machine, -1 if unknown.
        cheapest_cost, person_cost: expected cost of that option and of asking a person.
        benefit: what a person's answer saves, `cheapest_cost - person_cost`; NaN if unknown.
        propensity: probability with which the case could have been drawn for the random share.
        places: answers that people can give this night.
        shadow_price: what one more place would have saved, beyond those that failures and the random share take: the
            benefit of the first case turned away, zero when every case that wanted a place got one.
    """

    option: np.ndarray
    reason: list[Reason]
    expected: np.ndarray
    cheapest: np.ndarray
    cheapest_cost: np.ndarray
    person_cost: np.ndarray
    benefit: np.ndarray
    propensity: np.ndarray
    places: int
    shadow_price: float


def random_draw(seed: str, case_id: str) -> float:
    """A uniform number in [0, 1) that depends on the workflow and the case alone, so that a re-run draws the same."""
    digest = hashlib.sha256(f"exploration/{seed}/{case_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def decide(
    case_ids: Sequence[str],
    probability: np.ndarray,
    cost: np.ndarray,
    problems: Sequence[str | None],
    terms: PolicyTerms,
) -> PolicyResult:
    """The cheapest option for each case, under the capacity of the people.

    Args:
        case_ids: unique.
        probability: calibrated, shape (cases, labels); a row of NaN where there is a problem.
        cost: shape (cases, options, labels), in the workflow's currency.
        problems: per case, why no model may decide it (a `Reason`), or None.
        terms: what bounds the policy.

    Raises:
        ValueError: the shapes do not agree, or every option denies.
    """
    cases, options = len(case_ids), cost.shape[1]
    if probability.shape != (cases, cost.shape[2]) or len(cost) != cases or len(problems) != cases:
        raise ValueError(f"{cases} cases, probabilities {probability.shape} and costs {cost.shape} do not agree")
    if len(terms.denies) != options or all(terms.denies):
        raise ValueError("the policy needs at least one option that does not deny")

    expected = expected_costs(probability, cost)
    known = np.isfinite(expected).all(axis=1)
    for_machine = np.where(np.array(terms.denies), np.inf, np.where(known[:, None], expected, 0.0))
    cheapest = np.where(known, for_machine.argmin(axis=1), -1)
    cheapest_cost = np.where(known, for_machine.min(axis=1), np.nan)
    person_cost = terms.review_cost + np.einsum("cl,cl->c", probability, cost.min(axis=1))
    benefit = cheapest_cost - person_cost
    denial = known & np.array(terms.denies)[np.where(known[:, None], expected, 0.0).argmin(axis=1)]

    must = _failures(problems, known)
    draws = np.array([random_draw(terms.seed, case) for case in case_ids])
    by_chance = (draws < terms.exploration) & np.array([reason is None for reason in must], dtype=bool)
    places = terms.places(cases)
    taken = sum(reason is not None for reason in must) + int(by_chance.sum())
    wanting = [i for i in range(cases) if must[i] is None and not by_chance[i] and benefit[i] > 0]
    wanting.sort(key=lambda i: (-benefit[i], draws[i]))
    left = max(0, places - taken)
    asked, turned_away = set(wanting[:left]), set(wanting[left:])

    reason: list[Reason] = []
    for i in range(cases):
        failure = must[i]
        if failure is not None:
            reason.append(failure)
        elif by_chance[i]:
            reason.append(Reason.RANDOM_SHARE)
        elif i in asked:
            reason.append(Reason.DENIAL if denial[i] else Reason.DOUBT)
        else:
            reason.append(Reason.NO_PLACE_LEFT if i in turned_away else Reason.CHEAPEST)
    decided = np.array([r in (Reason.CHEAPEST, Reason.NO_PLACE_LEFT) for r in reason], dtype=bool)
    return PolicyResult(
        option=np.where(decided, cheapest, -1),
        reason=reason,
        expected=expected,
        cheapest=cheapest,
        cheapest_cost=cheapest_cost,
        person_cost=person_cost,
        benefit=benefit,
        propensity=np.full(cases, terms.exploration),
        places=places,
        shadow_price=float(benefit[wanting[left]]) if len(wanting) > left else 0.0,
    )


def _failures(problems: Sequence[str | None], known: np.ndarray) -> list[Reason | None]:
    """Why a case must go to a person whatever it costs, or None."""
    return [
        Reason(problem) if problem else (None if ok else Reason.COST_UNKNOWN)
        for problem, ok in zip(problems, known, strict=True)
    ]
