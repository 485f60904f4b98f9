"""The signals of a night against what its champion learned from, and when they ask for a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.core.model_terms import DriftTerms
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.lifecycle.drift.counts import ROOM_NAMES, Counts, merge_counts
from pipeline_project.domain.lifecycle.drift.distance import (
    Distance,
    between_night_variance,
    between_night_variance_of,
    compared,
    distance,
)
from pipeline_project.domain.lifecycle.drift.sketch import (
    CLUSTERS,
    CONFIDENCE,
    EMBEDDING,
    FIELD,
    Sketch,
    merge,
    part_names,
)

#: Chance that a night without any change has a breached signal, over all its signals together.
FALSE_ALARM = 0.01
#: A signal this many times above its threshold is an error rather than a warning.
GRAVE = 3.0
#: Nights that a reference must have.
FEWEST_NIGHTS = 2

OUTCOMES, ESTIMATED_ERROR = "outcomes", "estimated_error"


class Severity(StrEnum):
    NONE = "none"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True)
class Signal:
    """One thing that may have changed.

    Attributes:
        name: `field/<name>`, `embedding/<kind>`, `clusters`, `confidence`, `outcomes` or `estimated_error`.
        value: a Jensen-Shannon distance (0 to 1, noise taken off), or for `estimated_error` the error expected beyond
            what the champion showed when it was trained, as a share of cases.
        noise: the value that chance alone would give, on average; it is taken off already.
        threshold: above which it is breached, unless chance explains it.
        psi: population stability index of the same; None for `estimated_error`.
        cases: of the night that it rests on.
    """

    name: str
    value: float
    noise: float
    threshold: float
    breached: bool
    severity: Severity
    cases: int
    psi: float | None = None


@dataclass(frozen=True)
class PastNight:
    """A night as it was sketched.

    Attributes:
        model_version: the champion of that night; None while there was none.
    """

    night: str
    model_version: str | None
    sketch: Sketch


@dataclass(frozen=True)
class Promised:
    """What the champion showed when it was trained.

    Attributes:
        error: share of wrong labels on cases it was not fitted on; None if nobody knows.
        slack: share of cases by which the expected error may be larger.
    """

    error: float | None
    slack: float


@dataclass(frozen=True)
class Beside:
    """A night and what it is compared with.

    Attributes:
        reference: the last nights that the champion learned from, for fields, vectors, clusters and outcomes.
        own: the champion's own first nights, for confidence: how sure it was when it began.
        recent: the nights just before this one, whose matured outcomes are looked at together with tonight's.
    """

    tonight: Sketch
    reference: Sequence[PastNight]
    own: Sequence[PastNight]
    recent: Sequence[PastNight]
    promised: Promised
    terms: DriftTerms


@dataclass(frozen=True)
class Measured:
    """What was measured of one signal, before it is asked whether chance explains it.

    Attributes:
        value, noise, threshold, cases, psi: as of `Signal`.
        chance: the probability of so large a value when nothing has changed.
        grave: so many times above the threshold it is an error rather than a warning.
    """

    value: float
    noise: float
    threshold: float
    cases: int
    chance: float
    grave: float = GRAVE
    psi: float | None = None


@dataclass(frozen=True)
class DriftKind:
    """A kind of signal.

    Attributes:
        check: the night's check that tells it.
        means: what that check says when it passes.
        measure: the signals of a night by name, `<kind>` or `<kind>/<name>`; what has no reference of two nights is
            left out, and None is what was looked at and could not be told.
    """

    check: str
    means: str
    measure: Callable[[Beside], Mapping[str, Measured | None]]


#: The kinds of signals, in the order of a night's checks; `drift_kind` adds one.
DRIFT_KINDS: dict[str, DriftKind] = {}


def drift_kind(
    name: str, check: str, means: str
) -> Callable[[Callable[[Beside], Mapping[str, Measured | None]]], DriftKind]:
    """Makes a kind of signal of a function that measures it, and adds it to `DRIFT_KINDS`."""

    def add(measure: Callable[[Beside], Mapping[str, Measured | None]]) -> DriftKind:
        if name in DRIFT_KINDS:
            raise ValueError(f"there is a kind of signal {name!r} already")
        DRIFT_KINDS[name] = DriftKind(check, means, measure)
        return DRIFT_KINDS[name]

    return add


def check_of(signal: str) -> str:
    """The check that a signal belongs to."""
    return DRIFT_KINDS[signal.split("/")[0]].check


def signals_of(night: Beside) -> list[Signal]:
    """The signals of a night, distances first, by name."""
    measured = {name: one for kind in DRIFT_KINDS.values() for name, one in kind.measure(night).items()}
    available = {name: one for name, one in measured.items() if one is not None}
    order = sorted(available, key=lambda name: (available[name].psi is None, name))
    return [_signal(name, available[name], len(measured)) for name in order]


def _signal(name: str, measure: Measured, looked_at: int) -> Signal:
    breached = measure.value > measure.threshold and measure.chance * looked_at < FALSE_ALARM
    severity = Severity.NONE
    if breached:
        severity = Severity.ERROR if measure.value > measure.grave * measure.threshold else Severity.WARN
    return Signal(name, measure.value, measure.noise, measure.threshold, breached, severity, measure.cases, measure.psi)


def breached_names(signals: Sequence[Signal]) -> list[str]:
    return [signal.name for signal in signals if signal.breached]


def asked_nights(history: Mapping[str, Collection[str]], terms: DriftTerms) -> dict[str, str]:
    """The nights that ask for a training, each with why; the same history gives the same nights.

    Args:
        history: night to the names of its breached signals; nights without any may be left out.
    """
    asked: dict[str, str] = {}
    last: str | None = None
    for night in sorted(night for night, names in history.items() if names):
        if last is not None and night <= shifted(last, terms.cooldown_nights):
            continue
        # breaches that were asked about once are not asked about again
        first = max(shifted(night, 1 - terms.of_nights), shifted(last, 1) if last else "")
        nights = sorted(breach for breach, names in history.items() if names and first <= breach <= night)
        if len(nights) < terms.breaches:
            continue
        names = sorted({name for breach in nights for name in history[breach]})
        asked[night] = f"drift on {len(nights)} of {terms.of_nights} nights: {', '.join(names)}"
        last = night
    return asked


def closes_policy(asked: str | None, terms: DriftTerms) -> bool:
    """Whether what asked for a training also sends every case to people until a person opens the policy again."""
    return asked is not None and terms.closes_policy


@drift_kind(FIELD, "fields_drift", "the fields are as in the nights that the champion learned from")
def _fields(night: Beside) -> Mapping[str, Measured]:
    return _parts(FIELD, night, night.reference)


@drift_kind(EMBEDDING, "embeddings_drift", "words and photos are as in the nights that the champion learned from")
def _embeddings(night: Beside) -> Mapping[str, Measured]:
    return _parts(EMBEDDING, night, night.reference)


@drift_kind(CLUSTERS, "clusters_drift", "the mix of clusters is as in the nights that the champion learned from")
def _clusters(night: Beside) -> Mapping[str, Measured]:
    return _parts(CLUSTERS, night, night.reference)


@drift_kind(CONFIDENCE, "confidence_drift", "the champion is as sure as on its first nights")
def _confidence(night: Beside) -> Mapping[str, Measured]:
    return _parts(CONFIDENCE, night, night.own)


@drift_kind(
    OUTCOMES, "outcomes_drift", "mature outcomes occur as often as in the nights that the champion learned from"
)
def _outcomes(night: Beside) -> Mapping[str, Measured]:
    """The rate of outcomes among those that have matured lately, against those that had in the reference."""
    lately = merge(night.tonight, *(past.sketch for past in night.recent)).outcomes
    before = merge(*(past.sketch for past in night.reference)).outcomes
    if not lately or not before:
        return {}
    labels = sorted({*lately, *before})
    old, new = (_in_order(side, labels) for side in (before, lately))
    nights = [_in_order(past.sketch.outcomes, labels) for past in night.reference if past.sketch.outcomes]
    return {
        OUTCOMES: _measured(
            compared(old, new, between_night_variance_of([(old, counts) for counts in nights])), night.terms
        )
    }


@drift_kind(
    ESTIMATED_ERROR,
    "estimated_error",
    "the champion expects no more errors than it showed when it was trained",
)
def _estimated_error(night: Beside) -> Mapping[str, Measured | None]:
    """The error that tonight's probabilities expect, beyond what was promised: known before any outcome is."""
    tonight, promised = night.tonight, night.promised
    expected = tonight.expected_error
    if expected is None or promised.error is None:
        return {ESTIMATED_ERROR: None}
    noise = math.sqrt(tonight.doubt_spread / 1_000_000) / tonight.scored
    value = expected - promised.error
    chance = 0.5 * math.erfc(value / noise / math.sqrt(2)) if noise else float(value <= 0)
    return {ESTIMATED_ERROR: Measured(value, noise, promised.slack, tonight.scored, chance, grave=1.0)}


def _parts(kind: str, night: Beside, reference: Sequence[PastNight]) -> dict[str, Measured]:
    """What the sketches hold of a kind, against the same of the reference."""
    measures = {}
    for name in part_names(night.tonight):
        distances = _distances(name, night.tonight, reference) if name.split("/")[0] == kind else []
        if distances:
            measures[name] = _measured(_farthest(distances), night.terms)
    return measures


def _measured(gap: Distance, terms: DriftTerms) -> Measured:
    return Measured(gap.value, gap.noise, terms.threshold, gap.cases, gap.chance, psi=gap.psi)


def _distances(name: str, tonight: Sketch, reference: Sequence[PastNight]) -> list[Distance]:
    """One distance, or for vectors one for each direction."""
    vectors = name.startswith(f"{EMBEDDING}/")
    parts = [part for part in sorted(tonight.parts) if part == name or (vectors and part.startswith(f"{name}/"))]
    distances = []
    for part in parts:
        nights = [past.sketch.parts[part] for past in reference if part in past.sketch.parts]
        if len(nights) >= FEWEST_NIGHTS:
            distances.append(_distance(nights, tonight.parts[part], _of_names(part, nights[0], tonight.parts[part])))
    return distances


def _distance(nights: Sequence[Counts], tonight: Counts, names: bool) -> Distance:
    return distance(merge_counts(nights), tonight, between_night_variance(nights, names), names)


def _of_names(part: str, *counts: Counts) -> bool:
    """Whether keys are hashes of names: their room says so."""
    return part == CLUSTERS or (part.startswith(f"{FIELD}/") and all(side.room == ROOM_NAMES for side in counts))


def _farthest(distances: Sequence[Distance]) -> Distance:
    """The one that chance explains least, as one of so many that were looked at."""
    least = min(distances, key=lambda gap: (gap.chance, -gap.value))
    return Distance(
        least.value,
        least.raw,
        least.noise,
        least.psi,
        min(1.0, least.chance * len(distances)),
        least.groups,
        least.cases,
    )


def _in_order(outcomes: Mapping[str, int], labels: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([outcomes.get(label, 0) for label in labels], dtype=float)
