"""How a signed challenger comes to decide: in shadow first, then a growing share of the cases, then all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pipeline_project.domain.core.lots import lot
from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.model_version import ModelVersion


class StageKind(StrEnum):
    """Where a challenger stands on a night."""

    NONE = "none"
    SHADOW = "shadow"
    CANARY = "canary"
    CHAMPION = "champion"


@dataclass(frozen=True)
class Stage:
    """What a challenger does on a night.

    Attributes:
        share: of the cases that it decides.
    """

    kind: StageKind
    share: float = 0.0


@dataclass(frozen=True)
class NightModels:
    """Who scores a night; resolved once, and stamped on every row.

    Attributes:
        champion: None while there is none.
        challenger: the version that is being rolled out, or None.
        closed: why every case goes to people, or None.
        since: the first night of the rollout, or None.
        to_complete: whether the champion's rollout is over and not ended yet, which `complete_rollout` does.
    """

    champion: ModelVersion | None
    challenger: ModelVersion | None = None
    stage: Stage = Stage(StageKind.NONE)
    closed: str | None = None
    since: str | None = None
    to_complete: bool = False


@dataclass(frozen=True)
class Watched:
    """A version whose decisions are held against what was promised of it.

    Attributes:
        since: the first night whose decisions count: of its rollout, or from which it decides again.
        promised: the largest share of wrong decisions; None where nothing was promised.
        rolling: whether it is still on its way, so that it can be withdrawn without anybody else's turn.
        base: the version it is compared with while it is on its way.
    """

    version: str
    since: str
    promised: float | None
    rolling: bool = False
    base: str | None = None


def stage_on(night: str, from_night: str, decided: Sequence[str], terms: RolloutTerms) -> Stage:
    """Where a rollout stands on a night.

    Nights are counted as they are decided, not by the calendar, and each night's stage depends on the nights before it
    alone: a night that is run again, or nights run out of turn, come to the same.

    Args:
        from_night: the first night of the rollout.
        decided: nights that were decided, in any order.
    """
    if night < from_night:
        return Stage(StageKind.NONE)
    passed = sum(from_night <= earlier < night for earlier in set(decided))
    if passed < terms.shadow_nights:
        return Stage(StageKind.SHADOW)
    step = (passed - terms.shadow_nights) // terms.step_nights
    if step < len(terms.steps):
        return Stage(StageKind.CANARY, terms.steps[step])
    return Stage(StageKind.CHAMPION, 1.0)


def chosen(workflow: str, version: str, case_ids: Sequence[str], share: float) -> np.ndarray:
    """Which cases a challenger decides: by a hash of workflow, version and case, so that a re-run chooses the same.

    A case chosen at a small share is chosen at every larger one.

    Returns:
        Mask, shape (cases,).
    """
    seed = f"canary/{workflow}/{version}"
    return np.array([lot(f"{seed}/{case}") < share for case in case_ids], dtype=bool)
