"""The outcomes that count on a night: those of the nights that were settled on it."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.measures.maturity import settled_nights


def matured_on(cases: pa.Table | None, before: pd.DataFrame, after: pd.DataFrame, share: float) -> dict[str, int]:
    """Cases by label, of the nights that were settled during one night: each night counts once.

    What is known of a night before is no sample of it (refunds that go wrong are known first), so it is left out.

    Args:
        cases: night and case_id of the nights that may still be waiting; None before the first.
        before, after: case_id and label of the outcomes known when the night began, and when it ended.
        share: of a night's cases whose outcome must be known.
    """
    if cases is None:
        return {}
    frame = pd.DataFrame({name: cases[name].to_pylist() for name in (NIGHT, CASE_ID)})
    settled, earlier = (
        set(settled_nights(frame[NIGHT], frame[CASE_ID].isin(set(truth[CASE_ID])), share)) for truth in (after, before)
    )
    theirs = set(frame.loc[frame[NIGHT].isin(settled - earlier), CASE_ID])
    counts = after.loc[after[CASE_ID].isin(theirs), "label"].value_counts()
    return {str(label): int(n) for label, n in counts.sort_index().items()}
