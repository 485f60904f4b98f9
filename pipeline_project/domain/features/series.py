"""Several rows a case, as of sensors: statistics, slopes, spectra, and change since a baseline, as known then.

A row has a key (the machine), a moment (a time, or a count such as a cycle) and values. A case sees the rows of its key
up to its own moment: of times those before its own, of counts its own row as well, which is what it was measured by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pipeline_project.domain.features.aggregates import slope
from pipeline_project.domain.features.looking_back import MOST_ROWS, Spans, laid_out

_HOUR = 3_600_000_000
#: A spectrum of fewer rows says nothing.
_FEWEST = 8
_BANDS = ("slow", "middle", "fast")


class SeriesFigure(StrEnum):
    """What is made of the values of the last rows.

    Attributes:
        about: a line of docs/workflows.md.
        phrase: what a reason calls it.
    """

    about: str
    phrase: str

    def __new__(cls, name: str, about: str, phrase: str) -> SeriesFigure:
        figure = str.__new__(cls, name)
        figure._value_, figure.about, figure.phrase = name, about, phrase
        return figure

    LAST = "last", "the latest value", "latest {value}"
    MEAN = "mean", "the mean", "mean {value}"
    SPREAD = "spread", "the standard deviation", "spread of {value}"
    LARGEST = "max", "the largest value", "largest {value}"
    SMALLEST = "min", "the smallest value", "smallest {value}"
    SLOPE = (
        "slope",
        "the slope of a straight line, by row, or by hour where the span is one of time",
        "slope of {value}",
    )
    CHANGE = "change", "the mean, less the mean of the baseline", "change of {value} since the baseline"
    SPECTRUM = (
        "spectrum",
        "what part of the swings about the straight line is slow, middle and fast (thirds of the frequencies); rows "
        "are taken to be equally far apart",
        "part of {band} swings of {value}",
    )


@dataclass(frozen=True)
class SeriesSpan:
    """How far back: so many rows, or so long.

    Attributes:
        rows: how many, or None.
        length: in microseconds, or None.
        text: as it is written, `30 rows`.
    """

    rows: int | None
    length: int | None
    text: str

    @property
    def short(self) -> str:
        """In a feature's name: `30_rows`."""
        return self.text.replace(" ", "_")


@dataclass(frozen=True)
class SeriesPlan:
    """The features of one series.

    Attributes:
        name: in the spec.
        values: columns of the rows.
        spans: each gives every figure of every value.
        figures: of `SeriesFigure`.
        baseline: the first rows of a key, which changes are measured against.
    """

    name: str
    values: tuple[str, ...]
    spans: tuple[SeriesSpan, ...]
    figures: tuple[SeriesFigure, ...]
    baseline: int

    def features(self) -> Iterator[tuple[str, str]]:
        """Name and words of every feature, in order."""
        yield f"{self.name}_rows", f"rows of {self.name} so far".replace("_", " ")
        for span in self.spans:
            for value in self.values:
                for figure in self.figures:
                    bands = _BANDS if figure is SeriesFigure.SPECTRUM else ("",)
                    for band in bands:
                        phrase = f"{figure.phrase.format(value=value, band=band)} in the last {span.text}"
                        yield self.column(value, figure, span, band), phrase.replace("_", " ")

    def column(self, value: str, figure: SeriesFigure, span: SeriesSpan, band: str = "") -> str:
        return "_".join(filter(None, (self.name, value, figure.value, band, span.short)))


@dataclass(frozen=True)
class SeriesRows:
    """The rows of a series, in any order.

    Attributes:
        key: code of each row's key, -1 for none, int64, shape (rows,).
        at: its moment: microseconds, or a count; int64.
        values: by column, float64, NaN where missing.
    """

    key: np.ndarray
    at: np.ndarray
    values: Mapping[str, np.ndarray]


def series_features(
    rows: SeriesRows, asking: tuple[np.ndarray, np.ndarray], plan: SeriesPlan, own: bool
) -> dict[str, np.ndarray]:
    """Every feature of `SeriesPlan.features`, float64 of shape (cases,), NaN where nothing can be said.

    Args:
        asking: code of each case's key, and its moment.
        own: a row at the case's very moment counts as well.
    """
    before = Spans.before((rows.key, rows.at), asking, None, own)
    count = (before.ends - before.starts).astype(np.float64)
    columns = {f"{plan.name}_rows": np.where(asking[0] >= 0, count, np.nan)}
    based = before.narrowed(before.starts, np.minimum(before.starts + plan.baseline, before.ends))
    means = {}
    if SeriesFigure.CHANGE in plan.figures:
        means = {value: _means(based, rows.values[value], len(count)) for value in plan.values}
    for span in plan.spans:
        back = _last(rows, asking, before, span, own)
        for value in plan.values:
            made = _figures(rows, value, back, plan.figures, span.length is not None, len(count))
            if SeriesFigure.CHANGE in plan.figures:
                made[SeriesFigure.CHANGE, ""] -= means[value]
            columns |= {plan.column(value, figure, span, band): column for (figure, band), column in made.items()}
    return {name: columns[name] for name, _ in plan.features()}


def _last(rows: SeriesRows, asking: tuple[np.ndarray, np.ndarray], before: Spans, span: SeriesSpan, own: bool) -> Spans:
    if span.rows is not None:
        return before.narrowed(np.maximum(before.ends - span.rows, before.starts), before.ends)
    return Spans.before((rows.key, rows.at), asking, span.length, own)


def _means(back: Spans, values: np.ndarray, cases: int) -> np.ndarray:
    means = np.full(cases, np.nan)
    for of, laid in back.latest():
        means[of] = _mean(laid_out(values, laid))
    return means


def _figures(
    rows: SeriesRows, value: str, back: Spans, figures: Sequence[SeriesFigure], by_time: bool, cases: int
) -> dict[tuple[SeriesFigure, str], np.ndarray]:
    made: dict[tuple[SeriesFigure, str], np.ndarray] = {}
    for figure in figures:
        bands = _BANDS if figure is SeriesFigure.SPECTRUM else ("",)
        made |= {(figure, band): np.full(cases, np.nan) for band in bands}
    for of, laid in back.latest():
        values = laid_out(rows.values[value], laid)
        at = -np.arange(len(laid), dtype=np.float64)[:, None] * np.ones(laid.shape[1])
        if by_time:
            at = (rows.at[np.maximum(laid, 0)] - rows.at[laid[0]]) / _HOUR
        for figure in figures:
            if figure is SeriesFigure.SPECTRUM:
                for band, part in zip(_BANDS, spectrum(values), strict=True):
                    made[figure, band][of] = part
            else:
                made[figure, ""][of] = _OF[figure](values, at)
    return made


def _mean(values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    count = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, np.where(there, values, 0).sum(axis=0) / count, np.nan)


def _spread(values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    apart = np.where(there, values - _mean(values), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(there.any(axis=0), np.sqrt((apart * apart).sum(axis=0) / there.sum(axis=0)), np.nan)


def _latest(values: np.ndarray) -> np.ndarray:
    """The first value of each column that is there."""
    place = np.isfinite(values).argmax(axis=0)
    return values[place, np.arange(values.shape[1])]


_OF: Mapping[SeriesFigure, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    SeriesFigure.LAST: lambda values, at: _latest(values),
    SeriesFigure.MEAN: lambda values, at: _mean(values),
    SeriesFigure.SPREAD: lambda values, at: _spread(values),
    SeriesFigure.LARGEST: lambda values, at: np.fmax.reduce(values, axis=0),
    SeriesFigure.SMALLEST: lambda values, at: np.fmin.reduce(values, axis=0),
    SeriesFigure.SLOPE: slope,
    SeriesFigure.CHANGE: lambda values, at: _mean(values),
}


def spectrum(values: np.ndarray) -> list[np.ndarray]:
    """What part of the swings of each column of (k, m) about its straight line lies in each third of the frequencies;
    NaN where a column has fewer than eight values, a value missing in between, or no swings."""
    depth = np.isfinite(values).sum(axis=0)
    parts = [np.full(values.shape[1], np.nan) for _ in _BANDS]
    for length in np.unique(depth[depth >= _FEWEST]).tolist():
        columns = np.flatnonzero((depth == length) & np.isfinite(values[:length]).all(axis=0))
        if not len(columns):
            continue
        x = np.arange(length, dtype=np.float64)[:, None] * np.ones(len(columns))
        held = values[:length, columns]
        level = held - _mean(held)
        straight = np.nan_to_num(slope(held, x)) * (x - (length - 1) / 2)
        power = np.abs(np.fft.rfft(level - straight, axis=0)[1:]) ** 2
        # of a straight line nothing but rounding is left
        scale = (held * held).sum(axis=0) * length * 1e-20
        total = power.sum(axis=0)
        cuts = np.array_split(power, len(_BANDS), axis=0)
        for part, cut in zip(parts, cuts, strict=True):
            with np.errstate(invalid="ignore", divide="ignore"):
                part[columns] = np.where(total > scale, cut.sum(axis=0) / total, np.nan)
    return parts


#: The longest span of rows: more are not laid out.
LONGEST_ROWS = MOST_ROWS
