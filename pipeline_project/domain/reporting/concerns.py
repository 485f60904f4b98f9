"""What a decided night says that somebody should hear although nothing failed: refusals that would pass unseen.

Each concern is one alert of its workflow. It is raised when a night shows it and closed when a later night does not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline_project.domain.core.reasons import AUTOMATED, Reason
from pipeline_project.domain.measures.maturity import Matured
from pipeline_project.domain.measures.realised_cost import dearer, realised_of

NO_CHAMPION = "no_champion"
PROMISE_KEEPS_ALL = "promise_keeps_all"
CAPACITY_BINDS = "capacity_binds"
MACHINE_WORSE = "machine_worse_than_asked"
#: Every kind that a night is looked at for.
KINDS = (NO_CHAMPION, PROMISE_KEEPS_ALL, CAPACITY_BINDS, MACHINE_WORSE)
#: Alerts that say why no model decides: beside one of them that none does would be the same thing twice.
TELLS_WHY_NONE_DECIDES = frozenset({"too_few_outcomes", "training_refused", "model_refused"})
#: Fewer cases with a known outcome on either side tell nothing.
FEWEST = 30
#: One-sided: so many standard errors below the other are no luck.
_SURE = 2.33


@dataclass(frozen=True)
class Concern:
    """Something to hear of.

    Attributes:
        message: the reason, in words, without a value of any case.
        next_command: what to do, as a command.
    """

    kind: str
    message: str
    next_command: str


def key_of(kind: str) -> str:
    """The alert's key: one alert of a kind stands open at a time."""
    return f"concern/{kind}"


def concerns_of(
    workflow: str,
    night: str,
    reasons: Sequence[str],
    matured: Matured | None = None,
    options: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> list[Concern]:
    """What a night shows.

    Args:
        reasons: of the night's decisions.
        matured: earlier decisions with a known outcome.
    """
    if not reasons:
        return []
    count = Counter(reasons)
    candidates = [
        _no_champion(workflow, night, count),
        _promise(workflow, night, count),
        _capacity(workflow, night, count),
        _worse(workflow, matured, options, labels),
    ]
    return [concern for concern in candidates if concern is not None]


def _no_champion(workflow: str, night: str, count: Mapping[str, int]) -> Concern | None:
    cases = sum(count.values())
    if count[Reason.NO_MODEL] < cases:
        return None
    return Concern(
        NO_CHAMPION,
        f"no model decides: on {night} all {cases:,} cases went to people. The model waits for enough outcomes, was "
        "refused, or was turned back; the training and its verdict say which",
        f"pipeline models {workflow}",
    )


def _promise(workflow: str, night: str, count: Mapping[str, int]) -> Concern | None:
    alone = sum(count[reason] for reason in AUTOMATED)
    if alone or not count[Reason.PROMISE]:
        return None
    return Concern(
        PROMISE_KEEPS_ALL,
        f"the promise kept every case of {night} with people ({count[Reason.PROMISE]:,} for no other reason): too few "
        "decisions of this model have a known outcome, or too many of those were wrong. Wait for outcomes, or raise "
        "policy.promise.error",
        f"pipeline results {workflow}",
    )


def _capacity(workflow: str, night: str, count: Mapping[str, int]) -> Concern | None:
    cases, turned = sum(count.values()), count[Reason.NO_PLACE_LEFT]
    if 2 * turned <= cases:
        return None
    return Concern(
        CAPACITY_BINDS,
        f"on {night} {turned:,} of {cases:,} cases were worth a person's answer and found no place: they were decided "
        "against better advice. Raise review.capacity, or review.cost if an answer costs more than it says",
        f"pipeline results {workflow}",
    )


def _worse(workflow: str, matured: Matured | None, options: Sequence[str], labels: Sequence[str]) -> Concern | None:
    if matured is None or not len(matured.decisions):
        return None
    alone, asked, who = _right(matured, options, labels)
    if min(len(alone), len(asked)) < FEWEST or not _lower(alone, asked):
        return None
    return Concern(
        MACHINE_WORSE,
        f"what is decided without people is less often right ({alone.mean():.1%} of {len(alone):,}) than {who} "
        f"({asked.mean():.1%} of {len(asked):,}): people are asked about the wrong cases, or about too few. Compare "
        "the model's calibration, and raise review.capacity or add a promise",
        f"pipeline results {workflow}",
    )


def _right(matured: Matured, options: Sequence[str], labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray, str]:
    """Whether what was decided alone was right, and whether the asked ones were: by their answers where enough people
    have answered, else by what the machine would have chosen."""
    realised = realised_of(matured.decisions, matured.cost, options, labels, review=0.0)
    alone, answered = realised.right[~realised.asked], realised.right[realised.asked & realised.counted]
    if len(answered) >= FEWEST:
        return alone, answered, "what people answered"
    column = {name: i for i, name in enumerate(options)}
    chosen = matured.decisions["cheapest"].map(column).iloc[realised.rows].to_numpy(dtype=float)
    comparable = realised.asked & np.isfinite(chosen)
    true_cost, choices = realised.true_cost[comparable], chosen[comparable].astype(int)
    wrong = dearer(true_cost[np.arange(len(choices)), choices], true_cost.min(axis=1, initial=np.inf))
    return alone, ~wrong, "what would have been decided of the asked ones"


def _lower(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether a share lies below another by more than luck (two proportions, pooled)."""
    pooled = float(np.concatenate([one, other]).mean())
    error = math.sqrt(pooled * (1 - pooled) * (1 / len(one) + 1 / len(other)))
    return bool(other.mean() - one.mean() > _SURE * error) if error else False
