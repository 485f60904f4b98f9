"""Challengers, replays, drift, and the watch over whoever decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.lifecycle.drift.recorded import RecordedSignal, TrainingRequest
from pipeline_project.domain.lifecycle.drift.signals import PastNight, Signal
from pipeline_project.domain.lifecycle.proposing import ModelProposal
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.domain.lifecycle.rollout.checking import BreachResponse, RolloutCheck
from pipeline_project.domain.lifecycle.rollout.stages import NightModels, Watched


class Promotions(Protocol):
    """Challengers that ask to decide."""

    def propose(self, proposals: Sequence[tuple[ModelProposal, ModelVersion]]) -> list[int]:
        """Keeps proposals with their models, all or none; returns their numbers."""
        ...


class Replays(Protocol):
    """What replays found."""

    @property
    def desk(self) -> str:
        """The review desk's address, where a case is explained."""
        ...

    def keep(
        self, result: ReplayResult, candidate: str, spec_hash: str, started_by: str, page: Callable[[int], str]
    ) -> tuple[int, str]:
        """Keeps a result and its page, both or none; returns the replay's number and where the page lies."""
        ...

    def address_of(self, workflow: str, number: int) -> str:
        """The page's address at the server of the reports."""
        ...


class Quality(Protocol):
    """Sketches of nights, the signals made of them, and the trainings they ask for."""

    def put_sketch(self, workflow: str, night: PastNight) -> None:
        """Keeps what a night was like, in place of what was kept of it before."""
        ...

    def sketches(self, workflow: str, first: str, before: str) -> list[PastNight]:
        """The sketches of first <= night < before, in order."""
        ...

    def sketches_of(self, workflow: str, version: str, before: str, limit: int) -> list[PastNight]:
        """The sketches of the first nights before `before` on which a model decided, in order."""
        ...

    def record_signals(self, workflow: str, night: str, run_id: str, signals: Sequence[Signal]) -> int:
        """Adds a night's signals as facts, each once for a run; returns how many are new."""
        ...

    def night_signals(self, workflow: str, night: str) -> list[RecordedSignal]:
        """A night's signals by name, of the run that recorded them last."""
        ...

    def breached(self, workflow: str, night: str) -> list[str]:
        """The names of a night's breached signals; empty for a night that was not judged."""
        ...

    def history(self, workflow: str) -> dict[str, list[str]]:
        """Every judged night with the names of its breached signals."""
        ...

    def ask_training(self, workflow: str, night: str, why: str, cooldown_nights: int, run_id: str) -> bool:
        """Asks for a training after a night, unless one was asked for within the cooldown before or after it."""
        ...

    def requests(self, workflow: str) -> list[TrainingRequest]:
        """The trainings that were asked for, by night."""
        ...


class RolloutMonitoring(Protocol):
    """Who scores a night, what the watch saw of it, and what follows from that."""

    def complete_rollout(self, workflow: str, night: str) -> None:
        """Ends a rollout whose last step was over before a night: its version is champion from then on; once."""
        ...

    def night_models(self, workflow: str, night: str) -> NightModels:
        """Who scores a night; the same for every run of it."""
        ...

    def watched(self, workflow: str, night: str) -> tuple[Watched, ...]:
        """The versions that decide on a night, the champion first, with what was promised of each."""
        ...

    def record_checks(self, workflow: str, night: str, checks: Sequence[RolloutCheck]) -> None:
        """Keeps what was seen by a night; the same once more is one row."""
        ...

    def withdraw(self, workflow: str, version: str, at_night: str, reason: str) -> bool:
        """Ends a version's rollout: from `at_night` on it does nothing; False where it had ended."""
        ...

    def breach_answered(self, workflow: str, watched: Watched) -> bool:
        """Whether a breach of a version, in this time as champion, was answered."""
        ...

    def answer_breach(
        self, workflow: str, watched: Watched, night: str, terms: RolloutTerms, reason: str
    ) -> BreachResponse | None:
        """Turns back from the night after `night` on, as the terms say, and holds large actions; None if answered."""
        ...


class PolicyState(Protocol):
    """Whether a workflow's policy decides at all."""

    def close(self, workflow: str, night: str, reason: str, by: str) -> None:
        """From the night after on every case goes to people, until a person opens the policy again."""
        ...
