"""How late outcomes come: the label-delay curve of a workflow, and which nights it says are mature.

A young night shows only the outcomes that come quickly, so the delays that were seen are truncated on the right. The
curve is the product-limit estimate for such times (Lynden-Bell 1971), as the weights of the training are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from pipeline_project.domain.core.night_arrays import days_of
from pipeline_project.domain.core.nights import day_of, zone_of_days
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.features.timeline import known_by

#: Nights tell how many outcomes cases have in the end only where at least this share of those is expected to be in.
_TELLING = 0.5
_FEWEST = 10
_ROUNDING = 1e-9
#: Days at which a curve is shown; the longest delay is added.
_MARKS = (0, 1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365)


@dataclass(frozen=True)
class DelayCurve:
    """What share of the outcomes that come at all is known how many days after the case's night.

    The record cannot show a delay longer than its oldest night, so all shares are of what comes within the longest
    delay seen.

    Attributes:
        share: shape (days + 1,), the share known within 0, 1, 2 ... days, never falling, 1 at the end; empty when no
            outcome is known.
        by_label: the same for each label that has outcomes.
        outcomes: how many it rests on.
    """

    share: np.ndarray
    by_label: Mapping[str, np.ndarray] = field(default_factory=dict)
    outcomes: int = 0

    def within(self, days: float, label: str | None = None) -> float:
        """The share known within so many days; NaN when nothing is known of it."""
        share = self.share if label is None else self.by_label.get(label, np.empty(0))
        if not len(share):
            return float("nan")
        return 0.0 if days < 0 else float(share[min(int(days), len(share) - 1)])

    def days_until(self, share: float, label: str | None = None) -> int | None:
        """The first day on which at least this share is known; None when nothing is known."""
        of = self.share if label is None else self.by_label.get(label, np.empty(0))
        return int(np.searchsorted(of, share - _ROUNDING)) if len(of) else None

    def marks(self) -> list[int]:
        """The days at which to show it: close together where much happens, the longest delay last."""
        longest = len(self.share) - 1
        return [day for day in _MARKS if day < longest] + ([longest] if longest >= 0 else [])


@dataclass(frozen=True)
class Maturity:
    """How much of what a night will show is known.

    Attributes:
        night: its key.
        cases, known: cases of the night, and how many of them have a known outcome.
        expected: outcomes it will have in the end, what is known included.
        expected_by_now: outcomes that a night of this size and age has on average; far fewer known means that
            outcomes are missing, not late.
        share: known over expected, 0 to 1; 1 where none is expected any more, but 0 where none is known although many
            should be by now.
        mature: whether the share is as large as asked.
    """

    night: str
    cases: int
    known: int
    expected: float
    expected_by_now: float
    share: float
    mature: bool


def delay_curve(
    nights: Sequence[str] | np.ndarray, known_on: Sequence[date] | np.ndarray, labels: Sequence[str], as_of: date
) -> DelayCurve:
    """The delay curve of outcomes, as far as it can be seen on a day.

    Args:
        nights: keys of the nights of the cases, shape (n,). Days are counted from the day on which each begins.
        known_on: the day on which each outcome became known, shape (n,); one before its night counts as day 0.
        labels: shape (n,).
        as_of: outcomes that became known later are not looked at.
    """
    begun = days_of(nights)
    known_day = np.array(known_on, dtype="datetime64[D]")
    today = np.datetime64(as_of, "D")
    seen = (known_day <= today) & (begun <= today)
    if not seen.any():
        return DelayCurve(np.empty(0))
    delay = np.maximum((known_day - begun)[seen].astype(np.int64), 0)
    age = (today - begun)[seen].astype(np.int64)
    of = np.array(labels, dtype=object)[seen]
    names = sorted(set(of.tolist()))
    return DelayCurve(
        share=_curve(delay, age),
        by_label={name: _curve(delay[of == name], age[of == name]) for name in names},
        outcomes=len(delay),
    )


def _curve(delay: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Too few outcomes cannot be corrected for what is still to come, and count as they are."""
    if len(delay) < _FEWEST:
        return np.cumsum(np.bincount(delay)) / len(delay)
    return known_by(delay, age)


def final_share(cases: Mapping[str, int], known_outcomes: Mapping[str, int], curve: DelayCurve, as_of: date) -> float:
    """The share of all cases that has an outcome in the end, from the nights of which most outcomes should be in.

    0 when nothing is known; 1 at most. Nights of which little can be known yet count only where there are no others.

    Args:
        cases, known_outcomes: by night, how many cases there are and how many of them have a known outcome.
    """
    in_by_now = {night: curve.within(_age(night, as_of)) if curve.outcomes else 0.0 for night in cases}
    telling = [night for night, share in in_by_now.items() if share >= _TELLING] or list(cases)
    seen = sum(known_outcomes.get(night, 0) for night in telling)
    sized = sum(cases[night] * in_by_now[night] for night in telling)
    return min(1.0, seen / sized) if sized > 0 else 0.0


def maturity(
    night: str, as_of: date, curve: DelayCurve, cases: int, known_outcomes: int, final: float, mature_share: float
) -> Maturity:
    """How mature one night is.

    Still to come are the cases without an outcome, each with the chance that it has one later although it has none
    now; so a night is not held for immature for ever because fewer of its cases than usual have an outcome at all.

    Args:
        as_of: the day on which one looks.
        cases, known_outcomes: cases of the night, and those with a known outcome.
        final: `final_share` of the workflow.
        mature_share: `outcome.mature_share` of the spec.
    """
    in_by_now = curve.within(_age(night, as_of)) if curve.outcomes else 0.0
    silent = 1 - final * in_by_now
    later = final * (1 - in_by_now) / silent if silent > 0 else 0.0
    if not curve.outcomes:
        later = 1.0
    expected = known_outcomes + max(cases - known_outcomes, 0) * later
    share = known_outcomes / expected if expected > 0 else 1.0
    if not known_outcomes and cases * final * in_by_now >= _FEWEST:
        # Not one of so many is no chance: the outcomes of this night never landed, and nothing can be read off it.
        share = 0.0
    return Maturity(
        night, cases, known_outcomes, expected, cases * final * in_by_now, share, share >= mature_share - _ROUNDING
    )


def maturities(
    cases: Mapping[str, int], known_outcomes: Mapping[str, int], curve: DelayCurve, as_of: date, mature_share: float
) -> list[Maturity]:
    """`maturity` of every night, in order. Without any known outcome every night that has cases is immature."""
    final = final_share(cases, known_outcomes, curve, as_of)
    return [
        maturity(night, as_of, curve, cases[night], known_outcomes.get(night, 0), final, mature_share)
        for night in sorted(cases)
    ]


def seen_from(
    cases: pd.DataFrame, outcomes: pd.DataFrame, as_of: datetime, mature_share: float, time_zone: str
) -> tuple[DelayCurve, list[Maturity]]:
    """The delay curve, and how mature each night is, from cases and what is known of them.

    Args:
        cases: night and case_id, each case once a night.
        outcomes: case_id, label, known_at (aware); of several for one case the first counts for the delay.
        as_of: outcomes that became known at this moment or later are not looked at.
        time_zone: IANA zone in which nights begin.
    """
    first_known = outcomes[outcomes["known_at"] < as_of].sort_values("known_at", kind="stable").drop_duplicates(CASE_ID)
    with_outcome = cases.drop_duplicates(CASE_ID).merge(first_known, on=CASE_ID)
    # of the day that has begun only a part can be seen, so ages are counted to the day before
    zone = zone_of_days(str(cases[NIGHT].iloc[0]), time_zone) if len(cases) else time_zone
    today = as_of.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
    known_on = with_outcome["known_at"].dt.tz_convert(zone).dt.tz_localize(None).to_numpy(dtype="datetime64[D]")
    curve = delay_curve(with_outcome[NIGHT].tolist(), known_on, with_outcome["label"].tolist(), today)
    return curve, maturities(Counter(cases[NIGHT]), Counter(with_outcome[NIGHT]), curve, today, mature_share)


def immature_nights(nights: Iterable[Maturity]) -> frozenset[str]:
    """The nights whose outcomes are not in yet."""
    return frozenset(night.night for night in nights if not night.mature)


def _age(night: str, as_of: date) -> int:
    return (as_of - day_of(night)).days
