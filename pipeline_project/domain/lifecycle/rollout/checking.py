"""One night's look at a version: what was promised of it against what is known of its decisions by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline_project.domain.lifecycle.rollout.comparing import WAYS, RolloutComparison
from pipeline_project.domain.lifecycle.rollout.judgeable import Streams, errors_of
from pipeline_project.domain.lifecycle.rollout.stages import Watched
from pipeline_project.domain.lifecycle.rollout.watching import EProcess, confidence_sequence

#: A promise below this is held to this: no number of decisions without an error could keep one of 0.
LEAST_PROMISE = 1e-3


@dataclass(frozen=True)
class RolloutCheck:
    """What was seen of a version by a night, as it stands in the ledger.

    Attributes:
        kind: promise, or money and error of a challenger beside the champion.
        seen, errors: decisions that may be judged, and those that were wrong.
        e_value: the bet against the promise at its highest: at `1 / alpha` it is broken.
        low, high: between what the error rate lies, at any time, with confidence `1 - alpha`; of a comparison, what the
            challenger costs more per case, twice the same.
    """

    version: str
    kind: Literal["promise", "money", "error"]
    seen: int
    errors: int
    promised_error: float | None
    e_value: float
    low: float
    high: float
    breached: bool


@dataclass(frozen=True)
class BreachResponse:
    """What followed from a breach.

    Attributes:
        answer: review_all, or last_champion.
        from_night: from which night on.
        to: the version that decides then; None where people do.
        held: actions that were held.
    """

    answer: str
    from_night: str
    to: str | None
    held: int


def check_promise(truth: Streams, options: Sequence[str], watched: Watched, alpha: float) -> RolloutCheck:
    """Holds a version's decisions against its promise; what was promised nothing of is counted and never breached.

    The two streams are bet on apart and share `alpha`: they come in orders that have nothing to do with each other.
    """
    mistakes = [errors_of(part, options, watched.version) for part in (truth.sample, truth.matured)]
    seen, errors = sum(len(stream) for stream in mistakes), int(sum(stream.sum() for stream in mistakes))
    low, high = confidence_sequence(seen, errors, alpha)
    highest = 0.0
    if watched.promised is not None and watched.promised < 1:
        for stream in mistakes:
            bet = EProcess(max(watched.promised, LEAST_PROMISE), alpha)
            bet.update(stream)
            highest = max(highest, bet.highest / len(mistakes))
    return RolloutCheck(
        watched.version, "promise", seen, errors, watched.promised, highest, low, high, highest >= 1 / alpha
    )


def checks_of_comparison(version: str, compared: RolloutComparison, alpha: float) -> list[RolloutCheck]:
    """A comparison with the champion as two checks, in money and in errors; `alpha` is shared by every way to lose."""
    more = 0.0 if compared.pairs == 0 else compared.worse_by
    kinds: tuple[tuple[Literal["money", "error"], float], ...] = (
        ("money", compared.e_money / WAYS),
        ("error", compared.e_error / WAYS),
    )
    return [
        RolloutCheck(version, kind, compared.pairs, 0, None, stake, more, more, stake >= 1 / alpha)
        for kind, stake in kinds
    ]
