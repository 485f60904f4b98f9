"""Gates: what a challenger must show before a person is asked to sign. What cannot be evaluated has not passed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline_project.domain.core.model_terms import GateTerms
from pipeline_project.domain.lifecycle.replay.findings import LabelRate, ReplayResult, SliceResult

#: Whether a gate passed, a sentence with the figures, also when it could not be evaluated, and the figures by name.
Shown = tuple[bool, str, Mapping[str, float]]


@dataclass(frozen=True)
class GateVerdict:
    """What one gate said.

    Attributes:
        detail: a sentence with the figures, also when it could not be evaluated.
    """

    name: str
    passed: bool
    detail: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gate:
    """One thing that a challenger must show.

    Attributes:
        asks: what, in words.
        judge: whether a replay of the challenger beside the champion shows it, a sentence, and figures by name; None
            for the gate that looks at the challenger's files, replay or none.
    """

    asks: str
    judge: Callable[[ReplayResult, GateTerms], Shown] | None


#: The gates by name, in the order in which they are judged; `gate` adds one.
GATES: dict[str, Gate] = {
    "artifact": Gate(
        "the files are those registered and signed, run nothing when read, and are not older than the champion", None
    )
}


def gate(name: str, asks: str) -> Callable[[Callable[[ReplayResult, GateTerms], Shown]], Gate]:
    """Makes a gate of a function that judges a replay, and adds it to `GATES`."""

    def add(judge: Callable[[ReplayResult, GateTerms], Shown]) -> Gate:
        if name in GATES:
            raise ValueError(f"there is a gate {name!r} already")
        GATES[name] = Gate(asks, judge)
        return GATES[name]

    return add


def judge_gates(result: ReplayResult | None, terms: GateTerms, artifact: str | None) -> list[GateVerdict]:
    """Every gate's verdict, in the order of `GATES`.

    Args:
        result: the replay of the challenger beside the champion; None where none could be made.
        artifact: what is wrong with the challenger's files, or None.
    """
    files: Shown = (artifact is None, artifact or "digest, signature and formats are as registered", {})
    none: Shown = (False, "there is no replay of the challenger, so this gate cannot be evaluated", {})
    return [
        GateVerdict(name, *(files if one.judge is None else none if result is None else one.judge(result, terms)))
        for name, one in GATES.items()
    ]


def passed(verdicts: Sequence[GateVerdict]) -> bool:
    """Whether every gate there is was judged and passed."""
    return {v.name for v in verdicts if v.passed} == set(GATES)


@gate("evidence", "enough past nights whose outcomes are in were replayed")
def _evidence(result: ReplayResult, terms: GateTerms) -> Shown:
    mature = len(result.nights) - len(result.immature)
    message = f"{mature} settled nights with {result.known:,} known outcomes; {terms.fewest_nights} nights are needed"
    return mature >= terms.fewest_nights and result.known > 0, message, {"nights": mature}


@gate("money", "the challenger costs less than the champion on the same nights, beyond the interval")
def _money(result: ReplayResult, terms: GateTerms) -> Shown:
    if result.money is None:
        return False, f"no interval: {result.refused or 'the estimate was refused'}", {}
    money = result.money
    message = (
        f"{money.value:+.4f} per case against the champion (95 %: {money.low:+.4f} to {money.high:+.4f}); "
        f"must lie below {terms.money:+.4f}; effective sample {result.effective:,.0f} of {terms.effective} needed"
    )
    figures = {"value": money.value, "low": money.low, "high": money.high, "effective": result.effective}
    # a comparison with NaN is False, so what could not be computed does not pass
    return money.high < terms.money and result.effective >= terms.effective, message, figures


@gate("calibration", "probabilities mean what they say, overall and in every segment")
def _calibration(result: ReplayResult, terms: GateTerms) -> Shown:
    side = result.candidate
    if not math.isfinite(side.ece):
        return False, "no probabilities with known outcomes, so it cannot be evaluated", {}
    errors = {"all cases": side.ece, **side.ece_by_segment}
    # of a hundred cases even a model that is exactly right shows an error of a tenth
    allowed = {name: max(terms.ece, side.ece_luck.get(name, 0.0)) for name in errors}
    beyond = {name: errors[name] - allowed[name] for name in errors}
    worst = max(beyond, key=lambda name: beyond[name] if math.isfinite(beyond[name]) else math.inf)
    message = (
        f"calibration error {side.ece:.4f}, at worst {errors[worst]:.4f} ({worst}), where {allowed[worst]:.4f} is "
        f"allowed: {terms.ece}, or what luck makes of so few cases"
    )
    return beyond[worst] <= 0, message, {"ece": side.ece, "worst": errors[worst]}


@gate("rates", "every label is expected about as often as it occurs")
def _rates(result: ReplayResult, terms: GateTerms) -> Shown:
    """A rare label that a model never expects is invisible to a calibration error over all of them."""
    side = result.candidate
    if not side.scored or not side.rates:
        return False, "no probabilities with known outcomes, so it cannot be evaluated", {}
    off = {name: _off(rate, side.scored, terms.rates) for name, rate in side.rates.items()}
    wrong = [name for name, by in off.items() if by > 0]
    worst = sorted(wrong, key=lambda name: -off[name]) or [max(off, key=lambda name: off[name])]
    details = "; ".join(
        f"{name} expected {side.rates[name].expected:.2%}, occurred {side.rates[name].observed:.2%}"
        for name in worst[:5]
    )
    summary = f"{len(wrong)} of {len(off)} labels off by more than {terms.rates:.0%}" if wrong else "none is off; worst"
    return not wrong, f"{summary}: {details}", {"labels": len(off), "off": len(wrong)}


def _off(rate: LabelRate, cases: int, allowed: float) -> float:
    """By how much a label's rate is wrong beyond what is allowed and beyond luck; not positive when it is not."""
    gap = abs(rate.expected - rate.observed)
    luck = 3 * math.sqrt(max(rate.expected, rate.observed) / cases)
    beyond = gap - max(allowed * rate.observed, luck)
    return beyond if math.isfinite(beyond) else math.inf


@gate("slices", "no slice of the cases is harmed beyond its interval")
def _slices(result: ReplayResult, terms: GateTerms) -> Shown:
    judged = [slice_ for slice_ in result.slices if slice_.cases >= terms.slice_cases]
    if not judged:
        return False, f"no slice has {terms.slice_cases} cases, so it cannot be evaluated", {}
    harmed = [slice_ for slice_ in judged if _harmed(slice_, terms)]
    worst = max(judged, key=lambda slice_: slice_.money.value)
    details = "; ".join(
        f"{slice_.name}: {slice_.money.value:+.2f} per case ({slice_.money.low:+.2f} to {slice_.money.high:+.2f})"
        for slice_ in (harmed or [worst])[:5]
    )
    summary = f"{len(harmed)} of {len(judged)} slices harmed" if harmed else f"none of {len(judged)} harmed; worst"
    return not harmed, f"{summary}: {details}", {"judged": len(judged), "harmed": len(harmed)}


def _harmed(slice_: SliceResult, terms: GateTerms) -> bool:
    """Costlier than before beyond luck, and by more than may be borne; an estimate that is no number counts as harm."""
    if not all(math.isfinite(x) for x in (slice_.money.value, slice_.money.low)):
        return True
    allowed = terms.slice_harm * slice_.amount if math.isfinite(slice_.amount) else 0.0
    return slice_.money.low > 0 and slice_.money.value > allowed


@gate("load", "what is asked of people fits their places")
def _load(result: ReplayResult, terms: GateTerms) -> Shown:
    allowed = terms.load * result.places
    asked = result.candidate.asked
    message = (
        f"{asked:,} cases to people (the champion {result.base.asked:,}), {allowed:,.0f} of {result.places:,} places "
        f"are allowed; {result.candidate.wanted:,} wanted one"
    )
    # failures and the random share go to people also where there are no places, whichever model decides
    return asked <= max(allowed, result.base.asked), message, {"asked": asked}


@gate("flips", "no more cases are decided otherwise than the budget allows")
def _flips(result: ReplayResult, terms: GateTerms) -> Shown:
    if not result.cases:
        return False, "no case was replayed, so it cannot be evaluated", {}
    share = result.flipped / result.cases
    message = f"{result.flipped:,} of {result.cases:,} cases decided otherwise ({share:.1%}); at most {terms.flips:.0%}"
    return share <= terms.flips, message, {"share": share}
