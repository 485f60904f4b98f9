"""Decisions meet the truth: which of them have an outcome by now, and which of their nights are too young to judge."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.measures.label_delay import Maturity, immature_nights
from pipeline_project.domain.measures.realised_cost import with_answers

#: From which share of its outcomes on a night is mature, unless a spec says otherwise.
MATURE_SHARE = 0.9
#: The columns of decisions that are looked at.
DECIDED = [CASE_ID, "night", "option", "reason", "would_be", "cheapest", "probabilities", "model_version"]


def matured_decisions(
    decisions: pa.Table, cases: pa.Table, outcomes: pd.DataFrame, further: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, pa.Table]:
    """Earlier decisions with the label that is known of them, and the cases they are about, in the same order.

    Args:
        decisions: as `decisions.DECISIONS`, of any nights.
        cases: the cases of the same nights.
        outcomes: case_id, label: what is known.
        further: by case, the option that stands where a case was decided further, by a person above all; what was
            asked and is not among them is unanswered.
    """
    joined = decisions.select(DECIDED).to_pandas().merge(outcomes[[CASE_ID, "label"]], on=CASE_ID, how="inner")
    row_of = pd.Series(range(len(cases)), index=cases[CASE_ID].to_pylist())
    row_of = row_of[~row_of.index.duplicated()]
    joined = joined[joined[CASE_ID].isin(row_of.index)].reset_index(drop=True)
    return with_answers(joined, further or {}), cases.take(pa.array(row_of.loc[joined[CASE_ID]].to_numpy(), pa.int64()))


@dataclass(frozen=True)
class Immature:
    """The part of decisions with a known outcome whose night is immature, so that quick outcomes are too many.

    Attributes:
        cases: decisions with a known outcome in immature nights, out of `known`.
        nights: immature nights among those that were decided, with or without a known outcome.
        mature_share: from which share of its outcomes on a night is mature.
    """

    cases: int
    known: int
    nights: int
    mature_share: float

    @property
    def sentence(self) -> str:
        """For people; empty when nothing is immature."""
        if not self.cases:
            return ""
        nights = f"{self.nights:,} immature night{'s' * (self.nights != 1)}"
        lie = "lies" if self.cases == 1 else "lie"
        return (
            f"Of {self.known:,} decisions with a known outcome {self.cases:,} {lie} in {nights}, of whose outcomes "
            f"less than {self.mature_share:.0%} are known: what comes late is missing there, and these figures may "
            "still move."
        )


@dataclass(frozen=True)
class Matured:
    """Decisions whose outcome is known by a moment; what report, results and alerts judge.

    Attributes:
        decisions: case_id, night, label, option, answer, cheapest, probabilities (a list in the order of the labels, or
            None); see `matured_decisions`.
        cost: aligned with `decisions`, shape (cases, options, labels), in the workflow's currency; see `case_costs`.
        customers: aligned with `decisions`, whose case each is; see `intervals.customers_of`.
        waiting: decisions of the same nights whose outcome is not known yet.
        immature: how many of them lie in nights of which too few outcomes are known yet.
    """

    decisions: pd.DataFrame
    cost: np.ndarray
    customers: np.ndarray
    waiting: int = 0
    immature: Immature = Immature(0, 0, 0, 0.0)


def immature_part(
    decisions: pa.Table, matured: pd.DataFrame, nights: Iterable[Maturity], mature_share: float
) -> Immature:
    """How much of what is known of decisions lies in immature nights.

    Args:
        decisions: night and case_id of every decision, with and without a known outcome.
        matured: as `matured_decisions` gives it.
        nights: of the whole workflow, as seen from one moment; nights without a decision are passed over.
        mature_share: `outcome.mature_share` of the spec.
    """
    immature = immature_nights(nights) & set(decisions[NIGHT].to_pylist())
    return Immature(int(matured[NIGHT].isin(immature).sum()), len(matured), len(immature), mature_share)


def truth_learned(options: Sequence[str] | np.ndarray, learned_after: Collection[str]) -> np.ndarray:
    """Of which decisions the truth is learned whatever chance does, shape (cases,); a person who is asked finds it.

    Args:
        options: what was decided.
        learned_after: `outcome.learned_after` of the spec; empty means after each option.
    """
    if not learned_after:
        return np.ones(len(options), dtype=bool)
    return np.array([name == ASK_PERSON or name in learned_after for name in options], dtype=bool)


def settled_nights(
    nights: Sequence[str] | np.ndarray | pd.Series, is_known: Sequence[bool] | np.ndarray | pd.Series, share: float
) -> list[str]:
    """The nights whose outcomes are in, in order: of whose cases at least this share is known.

    What training, replay, gates, promises and the watch wait for. A night is called mature earlier, when those
    outcomes are in that it will ever have; see `label_delay.maturity`.

    Args:
        nights: of each case whose truth is learned, shape (cases,).
        is_known: whether its outcome is, shape (cases,).
        share: `outcome.mature_share` of the spec.
    """
    of = pd.Series(np.asarray(is_known, dtype=float)).groupby(np.asarray(nights, dtype=object)).mean()
    return [str(night) for night, part in of.sort_index().items() if part >= share]
