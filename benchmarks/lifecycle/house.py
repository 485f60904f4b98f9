"""A champion, a good challenger, and the nights on which challengers are judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from benchmarks.lifecycle.world import PLAN, Cases, make_cases, night
from pipeline_project.domain.models.trained import TrainedModel
from pipeline_project.domain.models.training import train

#: The champion learned from few outcomes, challengers from many nights; then come the nights of the replay.
CHAMPION_OUTCOMES, TRAINING_NIGHTS, REPLAY_NIGHTS = 360, 56, 28
#: Nights between training and replay whose outcomes were not known when a challenger was trained.
GAP = 3
#: Decisions within which a bad model that came through must be noticed.
LIVE_DECISIONS = 500


@dataclass(frozen=True)
class House:
    """
    Attributes:
        each: cases of a night.
    """

    cases: Cases
    each: int

    @classmethod
    def made(cls, each: int = 120, seed: int = 7) -> House:
        live = -(-LIVE_DECISIONS // each) + 3
        return cls(make_cases(TRAINING_NIGHTS + GAP + REPLAY_NIGHTS + live, each, seed), each)

    @cached_property
    def training(self) -> Cases:
        return self.cases.between(0, TRAINING_NIGHTS - 1)

    @cached_property
    def replayed(self) -> Cases:
        first = TRAINING_NIGHTS + GAP
        return self.cases.between(first, first + REPLAY_NIGHTS - 1)

    @cached_property
    def live(self) -> Cases:
        return self.cases.between(TRAINING_NIGHTS + GAP + REPLAY_NIGHTS, 10**4)

    @property
    def knows_until(self) -> str:
        """The first night of which an honest challenger has seen nothing."""
        return night(TRAINING_NIGHTS + GAP)

    @cached_property
    def champion(self) -> TrainedModel:
        return train(self.cases.between(0, -(-CHAMPION_OUTCOMES // self.each) - 1).training(), PLAN)

    @cached_property
    def good(self) -> TrainedModel:
        return train(self.training.training(), PLAN)
