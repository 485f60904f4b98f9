"""Nights of many rows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline_project.domain.core.nights import Cadence, cadence_of, day_of, number_of, on_day, window_of

_EPOCH = date(1970, 1, 1).toordinal()
_SECONDS_OF_A_DAY = 86_400

Floats = npt.NDArray[np.float64]


def window_numbers(nights: Sequence[str] | np.ndarray) -> Floats:
    """The number of each night's window, for differences in windows; NaN where there is no night.

    Whole numbers, exact as floats. Shape (n,).
    """
    return _by_night(nights, number_of)


def days_begun(nights: Sequence[str] | np.ndarray) -> Floats:
    """Days since 1970 at which each night begins, shape (n,): whole for days and weeks, whose zone does not matter
    here, with a part for hours; NaN where there is no night."""
    return _by_night(nights, _days_begun)


def days_of(nights: Sequence[str] | np.ndarray) -> np.ndarray:
    """The day on which each night begins (`nights.day_of`), datetime64[D], shape (n,)."""
    return np.floor(days_begun(nights)).astype(np.int64).astype("datetime64[D]")


def nights_of(times: pd.Series, time_zone: str, cadence: Cadence) -> np.ndarray:
    """The key of the night to which each time belongs, None where there is none.

    Args:
        times: aware, shape (n,).

    Returns:
        Strings, shape (n,), dtype object.
    """
    if cadence is Cadence.HOUR:
        hours = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[h]")
        return _none_where(np.isnat(hours), np.char.add(np.datetime_as_string(hours), "Z"))
    days = times.dt.tz_convert(time_zone).dt.tz_localize(None).to_numpy("datetime64[D]")
    if cadence is Cadence.DAY:
        return _none_where(np.isnat(days), np.datetime_as_string(days))
    of, different = pd.factorize(days)
    weeks = np.array([on_day(pd.Timestamp(day).date(), time_zone, cadence) for day in different] + [None], dtype=object)
    return weeks[of]


def _none_where(missing: np.ndarray, keys: np.ndarray) -> np.ndarray:
    written = keys.astype(object)
    written[missing] = None
    return written


def _days_begun(night: str) -> float:
    if cadence_of(night) is Cadence.HOUR:
        return window_of(night, "UTC").start.timestamp() / _SECONDS_OF_A_DAY
    return day_of(night).toordinal() - _EPOCH


def _by_night(nights: Sequence[str] | np.ndarray, figure: Callable[[str], float]) -> Floats:
    """A figure of each night, computed once for those that are there many times."""
    of, different = pd.factorize(np.asarray(nights, dtype=object))
    figures = np.array([figure(str(night)) for night in different] + [np.nan], dtype=np.float64)
    return figures[of]
