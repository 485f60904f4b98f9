"""A challenger's way: beside the champion, then a growing share of the cases, then all of them."""

from __future__ import annotations

import pytest

from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.deciding.policy import random_draw
from pipeline_project.domain.lifecycle.rollout.stages import Stage, StageKind, chosen, stage_on

TERMS = RolloutTerms(shadow_nights=2, steps=(0.05, 0.2), step_nights=2)
NIGHTS = [f"2025-03-{day:02d}" for day in range(1, 29)]
CASES = [f"case-{i}" for i in range(20_000)]


@pytest.mark.parametrize(
    ("decided", "stage"),
    [
        (0, Stage(StageKind.SHADOW)), (1, Stage(StageKind.SHADOW)),
        (2, Stage(StageKind.CANARY, 0.05)), (3, Stage(StageKind.CANARY, 0.05)),
        (4, Stage(StageKind.CANARY, 0.2)), (5, Stage(StageKind.CANARY, 0.2)),
        (6, Stage(StageKind.CHAMPION, 1)), (20, Stage(StageKind.CHAMPION, 1)),
    ],
)  # fmt: skip
def test_the_schedule_counts_decided_nights(decided: int, stage: Stage) -> None:
    assert stage_on("2025-03-28", "2025-03-01", NIGHTS[:decided], TERMS) == stage


def test_only_nights_of_the_rollout_before_the_night_count_and_each_once() -> None:
    decided = ["2025-02-27", "2025-02-28", "2025-03-01", "2025-03-01", "2025-03-05", "2025-03-06"]
    assert stage_on("2025-03-05", "2025-03-01", decided, TERMS).kind == StageKind.SHADOW
    assert stage_on("2025-03-05", "2025-03-01", [*reversed(decided)], TERMS).kind == StageKind.SHADOW
    assert stage_on("2025-03-06", "2025-03-01", decided, TERMS).kind == StageKind.CANARY
    assert stage_on("2025-02-28", "2025-03-01", decided, TERMS).kind == StageKind.NONE


def test_without_shadow_and_steps_it_is_champion_at_once() -> None:
    at_once = RolloutTerms(shadow_nights=0, steps=())
    assert stage_on("2025-03-01", "2025-03-01", [], at_once) == Stage(StageKind.CHAMPION, 1)


def _of(workflow: str, version: str, share: float) -> set[str]:
    mask = chosen(workflow, version, CASES, share)
    return {case for case, taken in zip(CASES, mask, strict=True) if taken}


def test_who_is_in_the_small_share_stays_in_the_large_one() -> None:
    small, large = _of("returns", "7", 0.05), _of("returns", "7", 0.2)
    assert small < large
    assert len(small) / len(CASES) == pytest.approx(0.05, abs=0.006)
    assert len(large) / len(CASES) == pytest.approx(0.2, abs=0.01)
    assert _of("returns", "7", 1.0) == set(CASES)
    assert _of("returns", "7", 0.0) == set()


def test_the_share_has_nothing_to_do_with_the_random_share_nor_with_another_version() -> None:
    mine = _of("returns", "7", 0.2)
    drawn = {case for case in CASES if random_draw("returns", case) < 0.2}
    for others in (drawn, _of("returns", "8", 0.2), _of("claims", "7", 0.2)):
        assert len(mine & others) / len(CASES) == pytest.approx(0.04, abs=0.006)
