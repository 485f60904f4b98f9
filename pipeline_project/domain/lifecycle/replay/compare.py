"""A candidate beside what decided: flips, money, load, errors and slices of the same cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline_project.domain.core.errors import ReplayRefused
from pipeline_project.domain.core.model_terms import GateTerms
from pipeline_project.domain.core.reasons import ASK_PERSON, Reason, Trait
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.features.table import strings
from pipeline_project.domain.lifecycle.replay.decide import PastNights, Policy, ReplayedDecisions
from pipeline_project.domain.lifecycle.replay.findings import Flip, ReplayResult, Side
from pipeline_project.domain.lifecycle.replay.money import (
    Estimate,
    chances_of_truth,
    doubly_robust,
    over_the_draw,
    without_the_draw,
)
from pipeline_project.domain.lifecycle.replay.slices import ece_of, error_of_automated, rates_of, slices_of
from pipeline_project.domain.lifecycle.replay.values import Judged, Values, asks, judged
from pipeline_project.domain.measures.intervals import customers_of, mean_intervals
from pipeline_project.domain.measures.maturity import MATURE_SHARE, settled_nights, truth_learned

_SAMPLE = 24
#: Reasons of decisions made without people although a person was wanted.
_TURNED_AWAY = Reason.having(Trait.TURNED_AWAY)


@dataclass(frozen=True)
class ReplayTerms:
    """How a workflow's replays are judged.

    Attributes:
        subject: the field that says whose case it is, or None.
        segments: category fields by whose values calibration is judged.
        sliced: category fields by whose values everything is judged.
        learned_after: options after which the truth is learned; empty means after each.
        mature_share: see `OutcomeTiming`.
        effective: smallest effective sample that gives a figure of money.
        enough: fewest cases of a segment whose calibration is told.
    """

    workflow: str
    subject: str | None
    segments: tuple[str, ...] = ()
    sliced: tuple[str, ...] = ()
    learned_after: tuple[str, ...] = ()
    mature_share: float = MATURE_SHARE
    effective: int = GateTerms.effective
    enough: int = GateTerms.slice_cases
    seed: int = 7


@dataclass(frozen=True)
class ReplayComparison:
    """A result, and what it rests on row by row as `PastNights.cases`.

    Attributes:
        rows: night, case_id, before, after, reason, label, money (candidate minus base; NaN where it is not known).
    """

    result: ReplayResult
    rows: pd.DataFrame


def compare(
    past: PastNights,
    base: ReplayedDecisions,
    candidate: ReplayedDecisions,
    policies: tuple[Policy, Policy],
    outcomes: pd.DataFrame,
    terms: ReplayTerms,
    span: tuple[str, str],
) -> ReplayComparison:
    """Candidate beside base.

    Args:
        policies: the base's and the candidate's. Both sides are valued in the candidate's costs: a file with other
            costs says what decisions really cost.
        outcomes: case_id and label as they are known today, one row a case.
        span: first and last night asked for.

    Raises:
        ReplayRefused: the two know different labels.
    """
    before, after = policies
    if before.matrix.labels != after.matrix.labels:
        raise ReplayRefused("the policy file has other labels than the workflow; a replay compares options and costs")
    truth = _Truth.of(past, base, candidate, outcomes, after.matrix.labels, terms)
    frame, values = truth.frame, Values.of(past, policies)
    usable = truth.ripe & values.finite
    counted = [
        [u if left else chosen for u, chosen, left in zip(truth.undrawn[side], d.option, truth.chance < 1, strict=True)]
        for side, d in enumerate((base, candidate))
    ]
    waiting = asks(counted[0]) & values.unanswered
    sides = (
        judged(base, values, 0, counted[0], truth.label, truth.weight, waiting),
        judged(candidate, values, 1, counted[1], truth.label, truth.weight, waiting),
    )
    estimate = _estimate(sides, truth, values, usable, terms)
    frame["money"] = _realised(base, candidate, values, truth)
    customers, case_estimates = customers_of(past.cases, terms.subject), _spread(estimate, usable)
    flips = frame[frame["before"] != frame["after"]]
    result = ReplayResult(
        workflow=terms.workflow,
        first=span[0],
        last=span[1],
        nights=past.nights,
        immature=tuple(night for night in past.nights if night not in truth.settled),
        base=_side(sides[0], before, past, terms),
        candidate=_side(sides[1], after, past, terms),
        cases=len(frame),
        known=int(truth.known.sum()),
        money=None if estimate.refused else mean_intervals(case_estimates, [usable], customers, terms.seed)[0],
        refused=estimate.refused,
        effective=estimate.effective,
        places=candidate.places,
        flips=_counts(flips),
        sample=_sample(flips, terms.seed),
        slices=slices_of(past, (sides[0], sides[1]), case_estimates, usable, customers, after.amount, terms),
        seconds=0.0,
    )
    return ReplayComparison(result, frame)


def _estimate(
    sides: tuple[Judged, Judged], truth: _Truth, values: Values, usable: np.ndarray, terms: ReplayTerms
) -> Estimate:
    """What the candidate saves beside the base, over the usable cases."""
    return doubly_robust(
        _difference(sides, truth, values)[usable],
        _stand_ins(sides[0].decided, sides[1].decided, truth)[usable],
        np.where(truth.told, truth.label, -1)[usable],
        truth.chance[usable],
        terms.effective,
        truth.share,
    )


@dataclass(frozen=True)
class _Truth:
    """What is known today of the cases, row by row.

    Attributes:
        frame: night, case_id, before, after, reason, label.
        chance: as `chances_of_truth`.
        settled: the nights whose outcomes are in; `ripe` says which cases are of them.
        label: index of the true label, -1 where it is not known.
        known: the label is known, in a settled night.
        told: known because of what decided, or because the case was drawn: what reached us otherwise proves nothing.
        undrawn: per side, what each case gets where it is not drawn.
        share: of the outcomes that will be learned, those that are in by now.
    """

    frame: pd.DataFrame
    chance: np.ndarray
    settled: frozenset[str]
    ripe: np.ndarray
    label: np.ndarray
    known: np.ndarray
    told: np.ndarray
    undrawn: tuple[list[str], list[str]]
    share: float

    @classmethod
    def of(
        cls,
        past: PastNights,
        base: ReplayedDecisions,
        candidate: ReplayedDecisions,
        outcomes: pd.DataFrame,
        labels: tuple[str, ...],
        terms: ReplayTerms,
    ) -> _Truth:
        frame = _frame(past, base, candidate, outcomes)
        nights = frame["night"].tolist()
        undrawn = tuple(without_the_draw(d.option, d.reason, d.alone, d.benefit, nights) for d in (base, candidate))
        chance = chances_of_truth(undrawn[0], base.drawn, terms.learned_after)
        # what was drawn went to a person, so what was decided says of which cases the truth was to be learned
        asked_for = truth_learned(base.option, terms.learned_after)
        settled = settled_nights(frame["night"][asked_for], frame["label"][asked_for].notna(), terms.mature_share)
        ripe = frame["night"].isin(settled).to_numpy(dtype=bool)
        label = np.array([labels.index(x) if x in labels else -1 for x in frame["label"]], dtype=int)
        labelled, sure = ripe & (label >= 0), ripe & asked_for
        # the last outcomes of a settled night come late, whatever they say
        share = float(labelled[sure].mean()) if labelled[sure].any() else 1.0
        learned = labelled & asked_for
        return cls(frame, chance, frozenset(settled), ripe, label, labelled, learned, (undrawn[0], undrawn[1]), share)

    @property
    def weight(self) -> np.ndarray:
        """For how many cases each one that told stands; zero for the others."""
        there = self.told & (self.chance > 0)
        return np.where(there, 1 / np.where(there, self.chance * self.share, 1.0), 0.0)


def _frame(
    past: PastNights, base: ReplayedDecisions, candidate: ReplayedDecisions, outcomes: pd.DataFrame
) -> pd.DataFrame:
    label_of = dict(zip(outcomes["case_id"], outcomes["label"], strict=True))
    ids = strings(past.cases.column(CASE_ID))
    return pd.DataFrame(
        {
            "night": past.standing["night"].to_numpy(dtype=object),
            "case_id": ids,
            "before": base.option,
            "after": candidate.option,
            "reason": candidate.reason,
            "label": pd.Series([label_of.get(case) for case in ids], dtype=object),
        }
    )


def _difference(sides: tuple[Judged, Judged], truth: _Truth, values: Values) -> np.ndarray:
    """Candidate minus base for each label that may be true, shape (cases, labels).

    Of a case whose truth is left to chance it is the mean over being drawn or not, because the drawn ones stand for
    the others.
    """
    plain, mean = [], []
    for side, judged_side in enumerate(sides):
        decided = judged_side.decided
        plain.append(values.of_options(decided.option, side))
        alone = values.of_options(truth.undrawn[side], side)
        mean.append(over_the_draw(alone, values.asked(side), decided.drawn))
    by_chance = (truth.chance < 1)[:, None]
    return np.asarray(np.where(by_chance, mean[1] - mean[0], plain[1] - plain[0]))


def _realised(base: ReplayedDecisions, candidate: ReplayedDecisions, values: Values, truth: _Truth) -> np.ndarray:
    """Candidate minus base of each case, given the truth; NaN where it is not known."""
    rows, label = np.arange(len(truth.label)), np.maximum(truth.label, 0)
    difference = values.of_options(candidate.option, 1) - values.of_options(base.option, 0)
    computable = (truth.label >= 0) & values.finite & ~values.unknown(base.option, candidate.option)
    return np.where(computable, difference[rows, label], np.nan)


def _stand_ins(base: ReplayedDecisions, candidate: ReplayedDecisions, truth: _Truth) -> np.ndarray:
    """Probabilities where the truth is not known: the mean of what both say, else how often each label occurred."""
    often = np.bincount(truth.label[truth.known], minlength=base.probabilities.shape[1]) + 1.0
    usual = np.broadcast_to(often / often.sum(), base.probabilities.shape)
    one, other = base.probabilities, candidate.probabilities
    both = np.where(np.isnan(one), other, np.where(np.isnan(other), one, (one + other) / 2))
    return np.where(np.isnan(both), usual, both)


def _side(judged_side: Judged, policy: Policy, past: PastNights, terms: ReplayTerms) -> Side:
    decided, weight = judged_side.decided, judged_side.weight
    asked = [name == ASK_PERSON for name in decided.option]
    wanted = sum(a or reason in _TURNED_AWAY for a, reason in zip(asked, decided.reason, strict=True))
    error, alone = error_of_automated(judged_side, np.ones(len(weight), dtype=bool))
    paid = np.isfinite(judged_side.cost)
    overall, by_segment, luck = ece_of(judged_side, past, terms.segments, terms.enough, terms.seed)
    scored, rates = rates_of(judged_side, policy.matrix.labels)
    return Side(
        model_version=", ".join(decided.models) or None,
        policy_hash=policy.hash,
        per_case=float(np.average(judged_side.cost[paid], weights=weight[paid])) if paid.any() else float("nan"),
        asked=sum(asked),
        wanted=wanted,
        error=error,
        decided_alone=alone,
        ece=overall,
        ece_by_segment=by_segment,
        ece_luck=luck,
        scored=scored,
        rates=rates,
    )


def _spread(estimate: Estimate, usable: np.ndarray) -> np.ndarray:
    """The estimate's share of each case, zero where it has none."""
    case_estimates = np.zeros(len(usable))
    case_estimates[usable] = estimate.each
    return case_estimates


def _counts(flips: pd.DataFrame) -> dict[str, int]:
    ways = (flips["before"] + " -> " + flips["after"]).value_counts(sort=True)
    return {str(way): int(n) for way, n in sorted(ways.items(), key=lambda item: (-item[1], str(item[0])))}


def _sample(flips: pd.DataFrame, seed: int) -> tuple[Flip, ...]:
    """Some flipped cases, drawn once and for all by the seed, in order of nights."""
    drawn = flips.sort_values("case_id").sample(min(_SAMPLE, len(flips)), random_state=seed)
    return tuple(
        Flip(
            night=row["night"],
            case_id=row["case_id"],
            before=row["before"],
            after=row["after"],
            label=row["label"] if isinstance(row["label"], str) else None,
            money=None if np.isnan(row["money"]) else float(row["money"]),
        )
        for row in drawn.sort_values(["night", "case_id"]).to_dict("records")
    )
