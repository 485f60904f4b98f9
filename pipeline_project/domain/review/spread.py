"""When one decision may stand for a whole cluster: how many members are looked at blind, and what that proves.

A person decides a cluster. Some members, drawn at random, are then decided by people who do not know that decision.
It spreads to the members that nobody looked at only if at most `limit` of those can be decided wrongly by it, with an
error of at most `alpha`; the bound is exact for finite clusters (hypergeometric).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb

from pipeline_project.domain.core.reasons import Reason, Trait
from pipeline_project.domain.review.new_tasks import ReviewTerms, SpreadTerms

#: More disagreements than this are never planned for: the samples grow faster than what they save.
MOST_ALLOWED = 2

_INDIVIDUAL = Reason.having(Trait.INDIVIDUAL)


@dataclass(frozen=True)
class SpreadPlan:
    """What is promised before anybody looks.

    Attributes:
        members: of the cluster, at most `limit` of those not drawn may be decided wrongly.
        sample: members drawn and decided blind.
        allowed: disagreements among them up to which the decision spreads.
        alpha: chance at most of spreading although the limit is broken.
    """

    members: int
    sample: int
    allowed: int
    alpha: float
    limit: float

    def unseen(self) -> int:
        """Members that the decision would spread to."""
        return self.members - self.sample


@dataclass(frozen=True)
class Member:
    """One open task of a cluster, as far as it matters here.

    Attributes:
        task: its id.
        amount: money at stake, or None.
        subject: the customer's pseudonym, or None.
        why: why the case is here, a `policy.Reason` value.
    """

    task: int
    case_id: str
    amount: float | None
    subject: str | None
    why: str


# -- bounds ------------------------------------------------------------------------------------------------------


def most_disagreeing(members: int, sample: int, disagreements: int, alpha: float) -> int:
    """The exact upper bound on members that disagree: true with probability at least 1 - alpha, whatever the cluster.

    It is the largest number under which so few disagreements in a random sample without replacement have a
    probability above alpha (inverted hypergeometric test, in whole numbers, so without rounding).

    Args:
        sample: members drawn, 0 to `members`.
        disagreements: among those drawn.

    Raises:
        ValueError: the counts do not fit together, or alpha is outside (0, 1).
    """
    _check(members, sample, disagreements, alpha)
    low, high = disagreements, members - (sample - disagreements)
    while low < high:
        middle = (low + high + 1) // 2
        if _at_most(disagreements, members, middle, sample, alpha):
            high = middle - 1
        else:
            low = middle
    return low


def _at_most(count: int, members: int, disagreeing: int, sample: int, alpha: float) -> bool:
    """Whether up to `count` disagreements in a sample have a probability of at most alpha."""
    ways = sum(comb(disagreeing, x) * comb(members - disagreeing, sample - x) for x in range(min(count, sample) + 1))
    return ways <= Fraction(alpha) * comb(members, sample)


def _check(members: int, sample: int, disagreements: int, alpha: float) -> None:
    if not 0 <= disagreements <= sample <= members:
        raise ValueError(f"{disagreements} disagreements among {sample} of {members} members cannot be")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a probability between 0 and 1, not {alpha}")


# -- plans -------------------------------------------------------------------------------------------------------


def budget(error: float, position: int) -> float:
    """The error that the position-th cluster of a night may spend; over any number of clusters they sum to < error.

    Args:
        position: from 1, in the order in which the night's clusters are sampled; sampling one again takes a new one.
    """
    if position < 1:
        raise ValueError("clusters are counted from 1")
    return error / (position * (position + 1))


def sample_size(members: int, allowed: int, limit: float, alpha: float) -> int | None:
    """Fewest members to draw so that up to `allowed` disagreements prove the limit for the rest; None if none can.

    The answer leaves at least one member that is not drawn.
    """
    exact = Fraction(str(limit))
    for sample in range(allowed + 1, members):
        wrong = int(exact * (members - sample))
        too_many = allowed + wrong + 1
        if too_many > members or _at_most(allowed, members, too_many, sample, alpha):
            return sample
    return None


def spread_plan(members: int, limit: float, alpha: float) -> SpreadPlan | None:
    """The plan that saves most answers if a quarter of the limit disagrees, or None where none saves any.

    Whoever is drawn is decided by that very answer, so a sample costs nothing: what counts is how many are not drawn,
    times the chance that the decision spreads. Its own cost is one answer, the cluster's decision.
    """
    best, most = None, 1.0
    for allowed in range(MOST_ALLOWED + 1):
        sample = sample_size(members, allowed, limit, alpha)
        if sample is None:
            continue
        saved = (members - sample) * _chance(allowed, members, round(limit / 4 * members), sample)
        if saved > most:
            best, most = SpreadPlan(members, sample, allowed, alpha, limit), saved
    return best


def _chance(allowed: int, members: int, disagreeing: int, sample: int) -> float:
    ways = sum(comb(disagreeing, x) * comb(members - disagreeing, sample - x) for x in range(allowed + 1))
    return float(Fraction(ways, comb(members, sample)))


@dataclass(frozen=True)
class SampleStanding:
    """How a sample stands.

    Attributes:
        spread: True when the decision may spread, False when the cluster is to be split, None while undecided.
        bound: share of the members not drawn that may be decided wrongly, once the sample is complete; else None.
    """

    spread: bool | None
    bound: float | None


def standing(plan: SpreadPlan, answered: int, disagreements: int, reached: int | None = None) -> SampleStanding:
    """What the answers so far say. A split is known early; a spread waits for the whole sample, as planned.

    Args:
        reached: members not drawn that the decision can still spread to, where some were decided meanwhile; those that
            disagree are then taken to be among them.
    """
    if disagreements > plan.allowed:
        return SampleStanding(spread=False, bound=None)
    if answered < plan.sample:
        return SampleStanding(spread=None, bound=None)
    wrong = most_disagreeing(plan.members, plan.sample, disagreements, plan.alpha) - disagreements
    left = plan.unseen() if reached is None else reached
    share = Fraction(min(wrong, left), left) if left else Fraction(0)
    return SampleStanding(spread=share <= Fraction(str(plan.limit)), bound=float(share))


# -- members -----------------------------------------------------------------------------------------------------


def eligible(members: Iterable[Member], terms: ReviewTerms, earlier: Mapping[str, float] | None = None) -> list[Member]:
    """The members one decision may stand for, by case.

    Not: whoever needs eyes of their own, whose money exceeds the ceiling or is unknown where one is set, and customers
    whose amounts together would need a second person.

    Args:
        earlier: by subject, what people decided before about the same customer, in money.
    """
    spread = terms.clusters
    if spread is None:
        return []
    affordable = [member for member in members if member.why not in _INDIVIDUAL and _affordable(member, spread)]
    if terms.second_above is not None:
        totals = {f"subject/{subject}": amount for subject, amount in (earlier or {}).items()}
        for member in affordable:
            totals[_payer(member)] = totals.get(_payer(member), 0.0) + (member.amount or 0.0)
        limit = terms.second_above
        affordable = [m for m in affordable if m.amount is not None and totals[_payer(m)] <= limit]
    return sorted(affordable, key=lambda member: member.case_id)


def _affordable(member: Member, spread: SpreadTerms) -> bool:
    return spread.ceiling is None or (member.amount is not None and member.amount <= spread.ceiling)


def _payer(member: Member) -> str:
    return f"subject/{member.subject}" if member.subject is not None else f"case/{member.case_id}"


def drawn(workflow: str, review: str, cases: Iterable[str], sample: int) -> list[str]:
    """The members to decide blind, in an order of their own; the same for ever, whoever asks.

    The draw is fixed by the workflow, the review and the case ids alone, so no reviewer can steer it, and a review that
    is written again after a crash draws the same.

    Args:
        review: names the review: its night and its position there.
    """
    return sorted(cases, key=lambda case: _draw(workflow, review, case))[:sample]


def _draw(workflow: str, review: str, case_id: str) -> bytes:
    return hashlib.sha256(f"sample/{workflow}/{review}/{case_id}".encode()).digest()


def members_hash(cases: Sequence[str]) -> str:
    """Names a set of members, whatever their order: sha256, hexadecimal."""
    return hashlib.sha256("\n".join(sorted(cases)).encode()).hexdigest()
