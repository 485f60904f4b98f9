"""Decisions meet the truth: which of them have an outcome by now."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.schema import CASE_ID

#: The columns of decisions that are looked at.
DECIDED = [CASE_ID, "night", "option", "reason", "would_be", "probabilities"]


def matured_decisions(decisions: pa.Table, cases: pa.Table, outcomes: pd.DataFrame) -> tuple[pd.DataFrame, pa.Table]:
    """Earlier decisions with the label that is known of them, and the cases they are about, in the same order.

    Args:
        decisions: as `decisions.DECISIONS`, of any nights.
        cases: the cases of the same nights.
        outcomes: case_id, label: what is known.
    """
    known = decisions.select(DECIDED).to_pandas().merge(outcomes[[CASE_ID, "label"]], on=CASE_ID, how="inner")
    row_of = pd.Series(range(len(cases)), index=cases[CASE_ID].to_pylist())
    row_of = row_of[~row_of.index.duplicated()]
    known = known[known[CASE_ID].isin(row_of.index)].reset_index(drop=True)
    return known, cases.take(pa.array(row_of.loc[known[CASE_ID]].to_numpy(), pa.int64()))
