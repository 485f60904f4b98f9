"""Decisions meet the truth: which of them have an outcome by now, and which of their nights are too young to judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.measures.label_delay import Maturity, immature_nights
from pipeline_project.domain.measures.realised_cost import with_answers

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
    known = decisions.select(DECIDED).to_pandas().merge(outcomes[[CASE_ID, "label"]], on=CASE_ID, how="inner")
    row_of = pd.Series(range(len(cases)), index=cases[CASE_ID].to_pylist())
    row_of = row_of[~row_of.index.duplicated()]
    known = known[known[CASE_ID].isin(row_of.index)].reset_index(drop=True)
    return with_answers(known, further or {}), cases.take(pa.array(row_of.loc[known[CASE_ID]].to_numpy(), pa.int64()))


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
