"""The outcomes that count on a night: those of the nights that became mature on it."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.lifecycle.proposing import mature_nights


def matured_on(cases: pa.Table | None, before: pd.DataFrame, after: pd.DataFrame, share: float) -> dict[str, int]:
    """Cases by label, of the nights whose outcomes became mature during one night: each night counts once.

    What is known of an immature night is no sample of it (refunds that go wrong are known first), so it is left out.

    Args:
        cases: night and case_id of the nights that may still be waiting; None before the first.
        before, after: case_id and label of the outcomes known when the night began, and when it ended.
        share: of a night's cases whose outcome must be known.
    """
    ripe = set(mature_nights(cases, set(after[CASE_ID]), share))
    new = ripe - set(mature_nights(cases, set(before[CASE_ID]), share))
    if cases is None or not new:
        return {}
    frame = pd.DataFrame({name: cases[name].to_pylist() for name in (NIGHT, CASE_ID)})
    theirs = set(frame.loc[frame[NIGHT].isin(new), CASE_ID])
    counts = after.loc[after[CASE_ID].isin(theirs), "label"].value_counts()
    return {str(label): int(n) for label, n in counts.sort_index().items()}
