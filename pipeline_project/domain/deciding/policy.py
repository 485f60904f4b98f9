"""How scores and costs become decisions: the option with the lowest expected cost, a person being one of them.

A night is decided as a whole, because the places at the reviewers' desk are shared: they go to the failures first
(nobody else may decide those), then to the random share, then to what a promised error does not let a machine decide,
then to the cases where a person's answer saves most. Each case takes one place, so that taking them by what they save
is the optimum of the whole night, and the first one turned away tells the price of a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline_project.domain.core.costs import PolicyTerms, expected_costs
from pipeline_project.domain.core.lots import lot
from pipeline_project.domain.core.model_terms import PromiseTerms
from pipeline_project.domain.core.reasons import AUTOMATED, REASONS, Reason
from pipeline_project.domain.deciding import promise as promises
from pipeline_project.domain.deciding.context import DecisionContext
from pipeline_project.domain.deciding.exploration import Exploration, extra_cost, scaled_rate
from pipeline_project.domain.deciding.promise import Promise, Rung
from pipeline_project.domain.deciding.surge import Surge, rates, surge_of

# a million reasons are handled as numbers: `_CODE` of each, `_REASON` back
_CODE = {reason: code for code, reason in enumerate(Reason)}
_REASON = np.empty(len(Reason), dtype=object)
_REASON[:] = list(Reason)


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
        shadow_price: what one more place would have saved, beyond those that failures, the random share and the
            promise take: the benefit of the first case turned away, zero when every case that wanted a place got one.
        exploration: what the random share costs.
        beyond: cases that go to people beyond the places; they queue.
        promise: what is promised of the decisions made alone, None where the spec promises nothing.
        surge: the plan that held, None on a usual night.
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
    exploration: Exploration
    beyond: int
    promise: Promise | None = None
    surge: Surge | None = None


@dataclass(frozen=True)
class _Weighed:
    """What each option costs each case, see `PolicyResult`; `known` says whether it is known at all."""

    expected: np.ndarray
    known: np.ndarray
    cheapest: np.ndarray
    cheapest_cost: np.ndarray
    person_cost: np.ndarray
    benefit: np.ndarray
    denial: np.ndarray


def random_draw(seed: str, case_id: str) -> float:
    """A uniform number in [0, 1) that depends on the workflow and the case alone, so that a re-run draws the same."""
    return lot(f"exploration/{seed}/{case_id}")


def decide(
    case_ids: Sequence[str],
    probability: np.ndarray,
    cost: np.ndarray,
    problems: Sequence[str | None],
    terms: PolicyTerms,
    tonight: DecisionContext | None = None,
) -> PolicyResult:
    """The cheapest option for each case, under the capacity of the people.

    Args:
        case_ids: unique.
        probability: calibrated, shape (cases, labels); a row of NaN where there is a problem.
        cost: shape (cases, options, labels), in the workflow's currency.
        problems: per case, why no model may decide it (a `Reason`), or None.
        tonight: what promise and surge rest on; without it (a night tried out, not decided) neither is looked at.

    Raises:
        ValueError: the shapes do not agree, or every option denies.
    """
    cases = len(case_ids)
    _agree(cases, probability, cost, problems, terms)
    weighed = _weigh(probability, cost, terms)
    benefit = weighed.benefit
    reason = np.full(cases, _CODE[Reason.CHEAPEST], dtype=np.int8)
    failed = _mark_failures(reason, problems, weighed.known)
    surge = None if tonight is None else surge_of(terms.surge, cases, tonight.usual, terms.capacity)
    places = terms.places(cases) if surge is None else surge.places
    small = ~failed & (benefit > 0) & (benefit < surge.wait_below) if surge else np.zeros(cases, dtype=bool)
    share = _random_share(case_ids, extra_cost(benefit, ~failed), failed, small, surge, terms)
    reason[share.drawn] = _CODE[Reason.RANDOM_SHARE]
    free = ~failed & ~share.drawn
    left = places - int(failed.sum()) - int(share.drawn.sum())
    wanting = np.flatnonzero(free & (benefit > 0) & ~small)
    wanting = wanting[np.lexsort((share.draws[wanting], -benefit[wanting]))]
    promise, barred = None, np.zeros(cases, dtype=bool)
    if terms.promise is not None and tonight is not None:
        risk = np.where(tonight.covers(cases), promises.risk_of(probability, cost, weighed.cheapest), np.inf)
        promise, barred = _promised(terms.promise, tonight, _Line(risk, benefit, free, wanting, left, surge))
    reason[small & free] = _CODE[Reason.SMALL_DOUBT]
    turned_away = _seat(reason, wanting, barred, left, weighed.denial, surge)

    alone = np.isin(reason, [_CODE[one] for one in AUTOMATED])
    return PolicyResult(
        option=np.where(alone, weighed.cheapest, -1),
        reason=_REASON[reason].tolist(),
        expected=weighed.expected,
        cheapest=weighed.cheapest,
        cheapest_cost=weighed.cheapest_cost,
        person_cost=weighed.person_cost,
        benefit=benefit,
        propensity=share.propensity,
        places=places,
        # a doubt that waits is not lost: one more place would only have brought its answer forward
        shadow_price=float(benefit[turned_away[0]]) if len(turned_away) and surge is None else 0.0,
        exploration=share.exploration,
        beyond=max(0, int((~alone).sum()) - places),
        promise=promise,
        surge=surge and _counted(surge, reason, small & share.drawn),
    )


def _agree(
    cases: int, probability: np.ndarray, cost: np.ndarray, problems: Sequence[str | None], terms: PolicyTerms
) -> None:
    if probability.shape != (cases, cost.shape[2]) or len(cost) != cases or len(problems) != cases:
        raise ValueError(f"{cases} cases, probabilities {probability.shape} and costs {cost.shape} do not agree")
    if len(terms.denies) != cost.shape[1] or all(terms.denies):
        raise ValueError("the policy needs at least one option that does not deny")


@dataclass(frozen=True)
class _RandomShare:
    """Who is drawn for the random share: each case's chance of it and its draw, see `random_draw`."""

    propensity: np.ndarray
    draws: np.ndarray
    drawn: np.ndarray
    exploration: Exploration


def _random_share(
    case_ids: Sequence[str],
    extra: np.ndarray,
    failed: np.ndarray,
    small: np.ndarray,
    surge: Surge | None,
    terms: PolicyTerms,
) -> _RandomShare:
    """`extra` is what each case costs where it is drawn; `small` are the doubts that a surge decides alone."""
    rate = scaled_rate(terms.exploration, extra, terms.exploration_budget)
    propensity = rates(rate, small, surge)
    draws = np.fromiter((random_draw(terms.seed, case) for case in case_ids), float, len(case_ids))
    drawn = (draws < propensity) & ~failed
    exploration = Exploration(
        declared=terms.exploration,
        rate=rate,
        budget=terms.exploration_budget,
        expected=float((propensity * extra).sum()),
        realised=float(extra[drawn].sum()),
        drawn=int(drawn.sum()),
    )
    return _RandomShare(propensity, draws, drawn, exploration)


def _seat(
    reason: np.ndarray, wanting: np.ndarray, barred: np.ndarray, left: int, denial: np.ndarray, surge: Surge | None
) -> np.ndarray:
    """Gives the places that are left to those who want one, and writes down why; returns who gets none."""
    # what the promise bars goes to people anyway and takes its places first
    in_line = wanting[~barred[wanting]]
    seats = max(0, left - int(barred.sum()))
    asked, turned_away = in_line[:seats], in_line[seats:]
    reason[turned_away] = _CODE[Reason.WAITING if surge else Reason.NO_PLACE_LEFT]
    reason[barred] = _CODE[Reason.PROMISE]
    # a barred case that would have had a place without the promise is a doubt like any other
    first = wanting[: max(0, left)]
    in_doubt = np.concatenate([asked, first[barred[first]]])
    reason[in_doubt] = np.where(denial[in_doubt], _CODE[Reason.DENIAL], _CODE[Reason.DOUBT])
    return np.asarray(turned_away)


def _weigh(probability: np.ndarray, cost: np.ndarray, terms: PolicyTerms) -> _Weighed:
    denies = np.array(terms.denies)
    expected = expected_costs(probability, cost)
    priced = np.isfinite(expected).all(axis=1)
    filled = np.where(priced[:, None], expected, 0.0)
    for_machine = np.where(denies, np.inf, filled)
    cheapest_cost = np.where(priced, for_machine.min(axis=1), np.nan)
    person_cost = terms.review_cost + np.einsum("cl,cl->c", probability, cost.min(axis=1))
    return _Weighed(
        expected=expected,
        known=priced,
        cheapest=np.where(priced, for_machine.argmin(axis=1), -1),
        cheapest_cost=cheapest_cost,
        person_cost=person_cost,
        benefit=cheapest_cost - person_cost,
        denial=priced & denies[filled.argmin(axis=1)],
    )


def _mark_failures(reason: np.ndarray, problems: Sequence[str | None], priced: np.ndarray) -> np.ndarray:
    """Writes down why a case must go to a person whatever it costs; returns for which cases."""
    problem = np.fromiter((p or "" for p in problems), dtype=object, count=len(problems))
    failed = problem != ""
    for named in set(problem[failed].tolist()):
        if named not in REASONS:
            raise ValueError(f"{named!r} is no reason; there are {', '.join(REASONS)}")
        reason[problem == named] = _CODE[REASONS[named]]
    reason[~failed & ~priced] = _CODE[Reason.COST_UNKNOWN]
    return np.asarray(failed.astype(bool) | ~priced)


def _counted(surge: Surge, reason: np.ndarray, sampled: np.ndarray) -> Surge:
    return replace(
        surge,
        sampled=int(sampled.sum()),
        small=int((reason == _CODE[Reason.SMALL_DOUBT]).sum()),
        waiting=int((reason == _CODE[Reason.WAITING]).sum()),
    )


@dataclass(frozen=True)
class _Line:
    """The cases of a night between the failures and the machine, as far as a promise looks at them.

    Attributes:
        risk: infinite where the promise has no evidence on the model; NaN where nothing is known.
        free: neither failed nor drawn at random.
        wanting: indexes of those that want a place, the most beneficial first.
        left: places for them; negative where failures and the random share took more than there are.
    """

    risk: np.ndarray
    benefit: np.ndarray
    free: np.ndarray
    wanting: np.ndarray
    left: int
    surge: Surge | None

    def barred(self, threshold: float) -> np.ndarray:
        """What a machine may not decide, and would otherwise."""
        over = self.free & ~(self.risk <= threshold)
        if self.surge is not None:
            # a doubt that is worth waiting for goes to people in any case
            over[self.wanting] = False
        return over

    def rung(self, threshold: float) -> Rung:
        """The rule that tonight comes to when this threshold is promised."""
        alone = self.free & (self.risk <= threshold)
        if self.surge is not None:
            alone[self.wanting] = False
            return Rung(threshold, max(0.0, float(np.nextafter(self.surge.wait_below, -np.inf))), int(alone.sum()))
        in_line = self.wanting[alone[self.wanting]]
        left = self.left - int(self.barred(threshold).sum())
        seated = in_line[: max(0, left)]
        turned_away = in_line[len(seated) :]
        most = np.inf if left <= 0 else float(self.benefit[turned_away[0]]) if len(turned_away) else 0.0
        return Rung(threshold, most, int(alone.sum()) - len(seated))


def _promised(terms: PromiseTerms, tonight: DecisionContext, line: _Line) -> tuple[Promise, np.ndarray]:
    """The promise, and what it bars."""
    if promises.promise_holds(tonight.signals):
        rungs = [line.rung(float(t)) for t in promises.thresholds(line.risk[line.free & np.isfinite(line.risk)])]
        promise = promises.certify(rungs, int(line.free.sum()), tonight.evidence, terms)
    else:
        promise = promises.lapsed(terms, tonight.signals, len(tonight.evidence))
    return promise, line.barred(promise.threshold)
