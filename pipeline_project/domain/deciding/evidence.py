"""Which past decisions a promise may rest on: those of tonight's model that stand for all of their night's cases."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from pipeline_project.domain.core.reasons import ASK_PERSON, Reason
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.deciding.policy import random_draw
from pipeline_project.domain.measures.maturity import settled_nights

#: The columns of decisions that are looked at.
LOOKED_AT = [NIGHT, CASE_ID, "option", "reason", "propensity", "probabilities", "model_version"]


def standing_for_all(
    decisions: pd.DataFrame, model: str | None, since: str | None, learned_after: Collection[str], seed: str
) -> pd.DataFrame:
    """The decisions whose truth says something about every case of their night.

    Where the truth is learned whatever was decided, these are all. Where it is learned after some options only, they
    are the random share, and every case of the nights on which people were asked all of them. A surge samples small
    doubts more often than the rest; of these, only those below the night's smallest propensity are kept, so that what
    is left is drawn evenly.

    Args:
        decisions: columns as `LOOKED_AT`.
        model: the version that decides tonight; None keeps nothing.
        since: the night as of which it was trained: it may have learned from the ones before.
        learned_after: options after which the truth is learned; empty means after each of them.
        seed: of the workflow's random draws.
    """
    scored = (decisions["model_version"] == model) & decisions["probabilities"].notna()
    rows = decisions[scored & (decisions[NIGHT] >= (since or ""))].drop_duplicates(CASE_ID)
    if not learned_after or rows.empty:
        return rows.reset_index(drop=True)
    acted = decisions.loc[decisions["option"] != ASK_PERSON, NIGHT]
    rate = rows.groupby(NIGHT)["propensity"].transform("min").to_numpy(dtype=float)
    draws = np.array([random_draw(seed, case) for case in rows[CASE_ID]])
    evenly = (rows["reason"] == Reason.RANDOM_SHARE) & (draws < rate)
    return rows[evenly | ~rows[NIGHT].isin(acted)].reset_index(drop=True)


def with_truth(rows: pd.DataFrame, outcomes: pd.DataFrame, mature_share: float) -> pd.DataFrame:
    """The rows whose label is known, of the nights where that holds of at least this share of them.

    What is known early is not like what is known late, so a young night would flatter the model.

    Args:
        rows: as `standing_for_all` returns them.
        outcomes: case_id, label: what is known at the night's start.
        mature_share: of the spec.
    """
    joined = rows.merge(outcomes[[CASE_ID, "label"]].drop_duplicates(CASE_ID), on=CASE_ID, how="left")
    there = joined["label"].notna()
    ripe = settled_nights(joined[NIGHT].to_numpy(), there.to_numpy(), mature_share)
    return joined[there & joined[NIGHT].isin(ripe)].reset_index(drop=True)
