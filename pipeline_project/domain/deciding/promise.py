"""A promised error of decisions made without people: learn-then-test with exact binomial bounds.

A rule "decide alone what has a risk up to this threshold" is certified on past cases whose truth is known. The rules
of a night form a ladder, from the strictest to the loosest, that is laid out by tonight's cases and the *number* of
past cases alone; what came true of the past cases has no say in it. They are tested in that order, each with the
exact bound of Clopper and Pearson, until one fails. Then the chance that a rule above the promised error is certified
is at most `1 - confidence` (fixed-sequence testing; Angelopoulos et al., "Learn then Test", 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline_project.domain.core.model_terms import PromiseTerms
from pipeline_project.domain.measures.intervals import upper_share
from pipeline_project.domain.measures.realised_cost import dearer

#: Rules on the ladder at most.
RUNGS = 40
#: The ladder begins where about this many times the fewest cases that could prove anything are expected, so that a
#: mistake or two among them does not end it before it began.
ROOM = 2.0
#: No case has a risk up to this: the threshold of a promise that is not in force.
NOTHING = -1.0


@dataclass(frozen=True)
class Evidence:
    """Past cases that the model that decides tonight scored without having learned from them; aligned arrays.

    Attributes:
        risk: probability that the cheapest open option was not the cheapest for the true label.
        benefit: what a person's answer would have saved, in the workflow's currency.
        wrong: whether it was not.
    """

    risk: np.ndarray
    benefit: np.ndarray
    wrong: np.ndarray

    def __len__(self) -> int:
        return len(self.risk)


NO_EVIDENCE = Evidence(np.empty(0), np.empty(0), np.empty(0, dtype=bool))


@dataclass(frozen=True)
class Rung:
    """A rule that may be certified: alone, what has at most this risk and saves at most this much with a person.

    Attributes:
        alone: cases of tonight that it would decide alone.
    """

    threshold: float
    benefit: float
    alone: int


@dataclass(frozen=True)
class Promise:
    """What is promised of tonight's decisions made without people.

    Attributes:
        threshold: risk up to which a case may be decided alone; -1 when none may.
        kept: whether the promise is in force; where it is not, people decide.
        evidence: past cases that the rule was tested on.
        wrong: of them, those where the cheapest open option was not the cheapest for the true label.
        bound: upper bound of the error at the promised confidence; 1 where there is no evidence.
        why: in words, for the night's report.
    """

    error: float
    confidence: float
    threshold: float
    kept: bool
    evidence: int
    wrong: int
    bound: float
    why: str
    lapsed: tuple[str, ...] = field(default=())


def fewest(terms: PromiseTerms) -> int:
    """Cases without a single mistake that just prove the promise."""
    return math.ceil(math.log(1 - terms.confidence) / math.log(1 - terms.error))


def mistakes(cost: np.ndarray, cheapest: np.ndarray) -> np.ndarray:
    """Under which labels another option would have been cheaper than the one chosen.

    Args:
        cost: shape (cases, options, labels).
        cheapest: index of the option chosen per case, not negative.

    Returns:
        Shape (cases, labels), bool.
    """
    chosen = np.take_along_axis(cost, cheapest[:, None, None], axis=1)[:, 0, :]
    return dearer(chosen, cost.min(axis=1))


def risk_of(probability: np.ndarray, cost: np.ndarray, cheapest: np.ndarray) -> np.ndarray:
    """Probability that the option chosen is not the cheapest for the true label.

    Args:
        probability: calibrated, shape (cases, labels).
        cost: shape (cases, options, labels).
        cheapest: shape (cases,); -1 where unknown.

    Returns:
        Shape (cases,), 0 to 1; NaN where the cheapest is unknown.
    """
    risk = np.einsum("cl,cl->c", probability, mistakes(cost, np.maximum(cheapest, 0)))
    return np.where(cheapest >= 0, risk, np.nan)


def evidence_of(
    probability: np.ndarray, cost: np.ndarray, label: np.ndarray, denies: Sequence[bool], review_cost: float
) -> Evidence:
    """What past cases say of the rules, under tonight's costs.

    Args:
        probability: as the model said then, shape (cases, labels); a row of NaN where it said nothing.
        cost: shape (cases, options, labels), in the workflow's currency.
        label: index of the true label per case.
        denies: per option, whether only a person may choose it.
        review_cost: of one answer.

    Returns:
        Evidence on the cases whose probabilities and costs are known.
    """
    usable = np.isfinite(probability).all(axis=1) & np.isfinite(cost).all(axis=(1, 2))
    probability, cost, label = probability[usable], cost[usable], label[usable]
    if not len(label):
        return NO_EVIDENCE
    expected = np.where(np.array(denies), np.inf, np.einsum("cl,col->co", probability, cost))
    cheapest = expected.argmin(axis=1)
    person = review_cost + np.einsum("cl,cl->c", probability, cost.min(axis=1))
    wrong = mistakes(cost, cheapest)[np.arange(len(label)), label]
    return Evidence(risk_of(probability, cost, cheapest), expected.min(axis=1) - person, wrong)


def thresholds(risk: np.ndarray) -> np.ndarray:
    """Risks of tonight's cases that the ladder's rungs stand on, rising.

    Args:
        risk: of the cases that a model may decide, without NaN.
    """
    if not len(risk):
        return np.empty(0)
    levels = np.linspace(1 / RUNGS, 1.0, RUNGS)
    return np.unique(np.quantile(risk, levels, method="inverted_cdf"))


def certify(rungs: Sequence[Rung], cases: int, evidence: Evidence, terms: PromiseTerms) -> Promise:
    """The loosest rule that keeps the promise, tested from the strictest.

    Args:
        rungs: by rising threshold; made without a look at `evidence`.
        cases: of tonight, that a model may decide; what `Rung.alone` is a part of.
        evidence: past cases.
        terms: the promise.
    """
    needed = fewest(terms)
    if len(evidence) < needed:
        why = f"{len(evidence):,} past cases with a known truth; {needed:,} without a mistake prove {terms.error:.2%}"
        return _none(terms, len(evidence), 0, 1.0, why)
    expected = [len(evidence) * rung.alone / cases if cases else 0.0 for rung in rungs]
    start = next((i for i, n in enumerate(expected) if n >= ROOM * needed), len(rungs) - 1)
    loosest: Promise | None = None
    failed: tuple[int, int, float] | None = None
    for rung in rungs[start:] if rungs else ():
        # the cases that this rule would have decided alone
        alone = (evidence.risk <= rung.threshold) & (evidence.benefit <= rung.benefit)
        seen, wrong = int(alone.sum()), int(evidence.wrong[alone].sum())
        bound = upper_share(wrong, seen, 1 - terms.confidence)
        if bound > terms.error:
            failed = (seen, wrong, bound)
            break
        why = f"{wrong:,} mistakes in {seen:,} past cases: at most {bound:.2%} with {terms.confidence:.0%} confidence"
        loosest = Promise(terms.error, terms.confidence, rung.threshold, True, seen, wrong, bound, why)
    if loosest is not None:
        return loosest
    seen, wrong, bound = failed or (0, 0, 1.0)
    why = f"{wrong:,} mistakes in {seen:,} past cases of the least risk: up to {bound:.2%}, more than {terms.error:.2%}"
    return _none(terms, seen, wrong, bound, why)


def promise_holds(signals: bool | Sequence[str]) -> bool:
    """Whether the night is still like the nights of the evidence.

    Args:
        signals: the drift signals that are breached, or whether any is.
    """
    return not signals


def lapsed(terms: PromiseTerms, signals: Sequence[str], evidence: int) -> Promise:
    """The promise of a night on which drift broke its premise."""
    why = f"tonight's cases are unlike those that the promise rests on: {', '.join(sorted(signals))}"
    return _none(terms, evidence, 0, 1.0, why, tuple(sorted(signals)))


def _none(
    terms: PromiseTerms, evidence: int, wrong: int, bound: float, why: str, signals: tuple[str, ...] = ()
) -> Promise:
    return Promise(terms.error, terms.confidence, NOTHING, False, evidence, wrong, bound, why, signals)
