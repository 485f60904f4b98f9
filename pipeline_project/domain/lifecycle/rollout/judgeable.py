"""Which decisions may be judged, and in which order: only those whose truth is learned whatever was decided.

Two streams, each in an order that later knowledge only adds to, because a test that may be looked at at any time needs
the past to stay as it was:

- the random share, whose truth people find: in the order in which it became known;
- where the truth is learned after every option, whole nights once they are mature, in the order of nights up to the
  first immature one: what comes early may be other than what comes late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.costs import CostMatrix, case_costs
from pipeline_project.domain.core.reasons import ASK_PERSON, Reason, Trait
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, number_columns
from pipeline_project.domain.measures.realised_cost import dearer

#: Columns of decisions that are looked at.
LOOKED_AT = [NIGHT, CASE_ID, "option", "reason", "cheapest", "benefit", "model_version"]
_DOUBT = Reason.having(Trait.DOUBT)


@dataclass(frozen=True)
class Truth:
    """Cases whose outcome is known, in the order in which they join, with what each option would have cost.

    Attributes:
        rows: night, case_id, and the columns of their decisions.
        true_cost: shape (cases, options), the cost of each option given the truth.
        cost: shape (cases, options, labels).
    """

    rows: pd.DataFrame
    true_cost: np.ndarray
    cost: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Streams:
    """The two streams; see the module."""

    sample: Truth
    matured: Truth


def streams(
    decisions: pa.Table,
    cases: pa.Table,
    outcomes: pd.DataFrame,
    matrix: CostMatrix,
    mature: Collection[str],
    everything_learned: bool,
) -> Streams:
    """What may be judged of decided nights.

    Args:
        decisions: with `LOOKED_AT`, of nights decided so far.
        cases: of the same nights, with the fields that the costs read.
        outcomes: case_id, label, known_at, as known when it is looked.
        mature: the nights whose outcomes are in.
        everything_learned: whether the truth is learned after every option.
    """
    frame = decisions.select(LOOKED_AT).to_pandas()
    frame["alone"] = would_be_automated(frame)
    nights = sorted(set(frame[NIGHT]))
    until = next((night for night in nights if night not in mature), None)
    judgeable = frame.merge(outcomes[[CASE_ID, "label", "known_at"]], on=CASE_ID, how="inner")
    # what was decided, or turned out, in options or labels that are gone has no cost today
    judgeable = judgeable[judgeable["label"].isin(matrix.labels) & judgeable["cheapest"].isin([*matrix.options, None])]
    drawn = judgeable["reason"] == Reason.RANDOM_SHARE
    sample = judgeable[drawn].sort_values(["known_at", CASE_ID])
    settled = ~drawn if until is None else ~drawn & (judgeable[NIGHT] < until)
    matured = judgeable[settled & everything_learned].sort_values([NIGHT, CASE_ID])
    return Streams(_truth(sample, cases, matrix), _truth(matured, cases, matrix))


def would_be_automated(frame: pd.DataFrame) -> np.ndarray:
    """Whether the machine decided each case alone or, of the random share, would have done so.

    A drawn case would have been asked about where a person's answer pays, unless the night's places were used up by
    cases for which it pays more.
    """
    alone = ~frame["option"].eq(ASK_PERSON).to_numpy() & frame["cheapest"].notna().to_numpy()
    alone &= frame["option"].eq(frame["cheapest"]).to_numpy()
    drawn = (frame["reason"].eq(Reason.RANDOM_SHARE) & frame["cheapest"].notna()).to_numpy()
    alone[drawn] = frame["benefit"].to_numpy(np.float64)[drawn] <= _last_price(frame)[drawn]
    return alone


def _last_price(frame: pd.DataFrame) -> np.ndarray:
    """What a person's answer had to pay for a place on each case's night: nothing while there were places left.

    Returns:
        Shape (cases,); infinite where the places were used up by cases without doubt.
    """
    nights = frame[NIGHT]
    full = frame["reason"].eq(Reason.NO_PLACE_LEFT).groupby(nights).any()
    doubted = frame["reason"].isin(_DOUBT)
    price = frame.loc[doubted, "benefit"].astype(np.float64).groupby(nights[doubted]).min()
    of_night = price.reindex(full.index[full]).where(full.index[full].isin(price.index), np.inf)
    return nights.map(of_night.reindex(full.index, fill_value=0.0)).to_numpy(np.float64)


def _truth(judgeable: pd.DataFrame, cases: pa.Table, matrix: CostMatrix) -> Truth:
    row_of = {case: i for i, case in enumerate(cases[CASE_ID].to_pylist())}
    judgeable = judgeable[judgeable[CASE_ID].isin(row_of)].reset_index(drop=True)
    judged_cases = cases.take(pa.array([row_of[case] for case in judgeable[CASE_ID]], pa.int64()))
    cost = case_costs(matrix, number_columns(judged_cases), len(judged_cases))
    label = _positions(judgeable["label"], matrix.labels)
    computed = np.isfinite(cost).all(axis=(1, 2))
    judgeable, cost, label = judgeable[computed].reset_index(drop=True), cost[computed], label[computed]
    return Truth(judgeable, cost[np.arange(len(label)), :, label], cost)


def errors_of(truth: Truth, options: Sequence[str], version: str) -> np.ndarray:
    """Of the decisions that a version made without people, or would have: whether another option was cheaper."""
    mine = (truth.rows["model_version"].eq(version) & truth.rows["alone"]).to_numpy(dtype=bool)
    chosen = _positions(truth.rows["cheapest"][mine], options)
    return wrong(truth.true_cost[mine], chosen)


def _positions(names: Iterable[str], order: Sequence[str]) -> np.ndarray:
    of = {name: i for i, name in enumerate(order)}
    return np.array([of[name] for name in names], dtype=int)


def wrong(true_cost: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Whether another option would have been cheaper, given the truth.

    Args:
        true_cost: shape (cases, options).
        chosen: index of each case's option.
    """
    return dearer(true_cost[np.arange(len(chosen)), chosen], true_cost.min(axis=1, initial=np.inf))
