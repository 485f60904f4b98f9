"""What was known of a case's entities when it was decided: counts, sums, shares, trends over a span of time before it.

A night is computed once, from the nights of the longest span, and kept: training, scoring and replay all read what was
kept. A case looks back on cases that came in on its own night or an earlier one and whose time lies before its own;
where cases have no time, on those of earlier nights. Outcomes count that were known before its night began.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.night_arrays import days_begun
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, Field
from pipeline_project.domain.features.aggregations import Aggregation, Figure
from pipeline_project.domain.features.history import codes, thousandths
from pipeline_project.domain.features.linked import linked_rows
from pipeline_project.domain.features.looking_back import Lists, LookBack, Spans, laid_out
from pipeline_project.domain.features.table import floats, strings

#: The column that says by which terms a night's aggregates were made.
TERMS = "terms"
_DAY = 86_400_000_000
_NOTHING = -1


def aggregates_schema(names: Sequence[str]) -> pa.Schema:
    """The `aggregates` of a night: its cases, by which terms they were made, and every feature."""
    keys = [pa.field(name, pa.string(), nullable=False) for name in (NIGHT, CASE_ID, TERMS)]
    return pa.schema([*keys, *(pa.field(name, pa.float64()) for name in names)])


@dataclass(frozen=True)
class CaseRows:
    """Cases that came in until a night, and which of them are its own.

    Attributes:
        table: every case once, earlier nights first; a field of photos holds the keys of their contents.
        at: the time of each in microseconds, shape (rows,).
        asking: positions of the night's own cases.
        label: the outcome of each as it was known before the night began, None where there is none.
    """

    table: pa.Table
    at: np.ndarray
    asking: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, night: str, table: pa.Table, time: Field | None, outcomes: pd.DataFrame) -> CaseRows:
        """
        Args:
            table: cases of this night and of earlier ones, in any order; later ones are left out.
            time: the field that holds a case's time, or None.
            outcomes: case_id, label, known_at of what was known before the night began; of several for one case the
                latest counts.
        """
        nights, ids = strings(table.column(NIGHT)), strings(table.column(CASE_ID))
        frame = pd.DataFrame({"night": nights, "case": ids})
        frame = frame[frame["night"] <= night].sort_values("night", kind="stable")
        # an id that came before, where ids began anew, is another case tonight
        rows = frame.index[~frame.duplicated("case") | (frame["night"] == night)].to_numpy()
        kept = table.take(pa.array(rows, pa.int64()))
        at = np.rint(days_begun(nights[rows]) * _DAY).astype(np.int64)
        if time is not None:
            moments = kept.column(time.name).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
            at = np.where(moments.is_null().to_numpy(), at, moments.fill_null(0).to_numpy())
        latest = outcomes.sort_values("known_at", kind="stable").drop_duplicates("case_id", keep="last")
        label_of = dict(zip(latest["case_id"], latest["label"], strict=True))
        label = np.array([label_of.get(case) for case in ids[rows]], dtype=object)
        return cls(kept, at, np.flatnonzero(nights[rows] == night), label)

    @property
    def ids(self) -> np.ndarray:
        """Of the night's own cases."""
        return strings(self.table.column(CASE_ID))[self.asking]


def aggregates(rows: CaseRows, wanted: Sequence[Aggregation]) -> dict[str, np.ndarray]:
    """Every feature of the night's own cases, float64 of shape (cases,), NaN where nothing can be said."""
    columns: dict[str, np.ndarray] = {}
    of_field: dict[str, _Coded] = {}
    reach: dict[tuple[tuple[str, ...], bool, int], _Reach] = {}
    for one in wanted:
        for name in one.entity:
            if name not in of_field:
                of_field[name] = _coded(rows.table.column(name))
        place = (one.entity, one.linked, one.span)
        if place not in reach:
            coded = [of_field[name] for name in one.entity]
            reach[place] = _linked(rows, coded, one.span) if one.linked else _spans(rows, coded, one.span)
        columns[one.name] = reach[place].of_cases(_figure(rows, one, reach[place]), one.figure)
    return columns


@dataclass(frozen=True)
class _Coded:
    """The values of a field, each as a whole number: a row with several photos has several.

    Attributes:
        row, code: shape (values,).
    """

    row: np.ndarray
    code: np.ndarray


def _coded(column: pa.ChunkedArray) -> _Coded:
    if pa.types.is_list(column.type):
        whole = column.combine_chunks()
        lengths = np.asarray(whole.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
        _, code = codes(None, pa.chunked_array([whole.flatten()]))
        pairs = pd.DataFrame({"row": np.repeat(np.arange(len(lengths)), lengths), "code": code})
        pairs = pairs[pairs["code"] >= 0].drop_duplicates()
        return _Coded(pairs["row"].to_numpy(np.int64), pairs["code"].to_numpy(np.int64))
    _, code = codes(None, column)
    return _Coded(np.flatnonzero(code >= 0), code[code >= 0])


@dataclass(frozen=True)
class _Reach:
    """What the night's cases look back on, some of them in several ways: a case with two photos has two pasts.

    Attributes:
        rows: of the table, each as often as it has values of the entity; what `back` speaks of.
        asker: which of the night's cases each way belongs to.
        asking: positions of the night's cases in the table.
    """

    back: LookBack
    rows: np.ndarray
    asker: np.ndarray
    asking: np.ndarray

    def of_cases(self, figures: np.ndarray, figure: Figure) -> np.ndarray:
        """One figure a case: of several the largest, of days since something the smallest; those that have none are as
        cases of an entity that was never seen."""
        columns = np.full(len(self.asking), np.nan)
        choose = np.fmin if figure is Figure.SINCE else np.fmax
        choose.at(columns, self.asker, figures)
        return columns


def _spans(rows: CaseRows, coded: Sequence[_Coded], span: int) -> _Reach:
    together = _together(coded, len(rows.at))
    asks = np.full(len(rows.at), _NOTHING)
    asks[rows.asking] = np.arange(len(rows.asking))
    own = np.flatnonzero(asks[together.row] >= 0)
    own = own[np.argsort(asks[together.row[own]], kind="stable")]
    back = Spans.before((together.code, rows.at[together.row]), (together.code[own], rows.at[together.row[own]]), span)
    return _Reach(back, together.row, asks[together.row[own]], rows.asking)


def _together(coded: Sequence[_Coded], rows: int) -> _Coded:
    """Values of several fields as one: rows that lack one of them have none."""
    joined = pd.DataFrame({"row": coded[0].row, "code": coded[0].code})
    for other in coded[1:]:
        both = joined.merge(pd.DataFrame({"row": other.row, "other": other.code}), on="row")
        code = pd.MultiIndex.from_frame(both[["code", "other"]]).factorize()[0]
        joined = pd.DataFrame({"row": both["row"], "code": code})
    return _Coded(joined["row"].to_numpy(np.int64), joined["code"].to_numpy(np.int64))


def _linked(rows: CaseRows, coded: Sequence[_Coded], span: int) -> _Reach:
    lists = linked_rows([(one.row, one.code) for one in coded], rows.at, rows.asking, span)
    everybody = np.arange(len(rows.asking))
    has = np.zeros(len(rows.at), dtype=bool)
    for one in coded:
        has[one.row] = True
    of = everybody[has[rows.asking]]
    return _Reach(Lists([lists[case] for case in of]), np.arange(len(rows.at)), of, rows.asking)


def _figure(rows: CaseRows, one: Aggregation, reach: _Reach) -> np.ndarray:
    """A figure of each way, float64 of shape (ways,)."""
    back, now = reach.back, rows.at[reach.asking[reach.asker]]
    there = np.ones(len(reach.rows), dtype=np.int64)
    if one.figure is Figure.COUNT:
        return back.sums(there).astype(np.float64)
    if one.figure is Figure.SINCE:
        return _latest(back, len(now), lambda laid, of: (now[of] - rows.at[reach.rows[laid[0]]]) / _DAY)
    if one.figure is Figure.OUTCOMES:
        label = rows.label[reach.rows]
        learned = np.array([value is not None for value in label], dtype=np.int64)
        return _over(back.sums((label == one.of).astype(np.int64)), back.sums(learned))
    assert one.of is not None
    column = rows.table.column(one.of)
    if one.figure is Figure.VALUES:
        equal = np.array([_written(value) == one.equals for value in column.to_pylist()], dtype=np.int64)
        return _over(back.sums(equal[reach.rows]), back.sums(there))
    if one.figure is Figure.DISTINCT:
        return _different(back, _coded(column), reach, len(now))
    values = floats(column)
    own = values[reach.asking[reach.asker]]
    values = values[reach.rows]
    finite = np.isfinite(values)
    if one.figure in (Figure.SUM, Figure.MEAN, Figure.RATIO):
        total, count = back.sums(thousandths(values)), back.sums(finite.astype(np.int64))
        if one.figure is Figure.SUM:
            return total / 1000
        mean = _over(total, count) / 1000
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = own / mean
        return mean if one.figure is Figure.MEAN else np.where(np.isfinite(ratio), ratio, np.nan)
    days = rows.at[reach.rows] / _DAY
    return _latest(
        back, len(now), lambda laid, of: _ORDERED[one.figure](laid_out(values, laid), laid_out(days, laid), one)
    )


def _written(value: object) -> str | None:
    """A value as a spec writes it: whole numbers without their fraction."""
    if value is None:
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def _latest(back: LookBack, cases: int, figure: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """A figure of the latest rows of each, NaN where there are none."""
    columns = np.full(cases, np.nan)
    for of, laid in back.latest():
        columns[of] = figure(laid, of)
    return columns


def quantile(values: np.ndarray, part: float) -> np.ndarray:
    """Of each column of (k, m), between its values in a straight line; NaN where it has none."""
    ordered = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    place = part * np.maximum(count - 1, 0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    columns = np.arange(values.shape[1])
    below, above = ordered[low, columns], ordered[high, columns]
    return np.asarray(below + (place - low) * (above - below))


def slope(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Of the straight line through each column of (k, m), by `at`; NaN where two values do not lie apart."""
    there = np.isfinite(values)
    count = there.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(there, at - np.where(there, at, 0).sum(axis=0) / count, 0)
        y = np.where(there, values - np.where(there, values, 0).sum(axis=0) / count, 0)
        steep = (x * y).sum(axis=0) / (x * x).sum(axis=0)
    return np.where(np.isfinite(steep), steep, np.nan)


_ORDERED: Mapping[Figure, Callable[[np.ndarray, np.ndarray, Aggregation], np.ndarray]] = {
    Figure.LARGEST: lambda values, days, one: np.fmax.reduce(values, axis=0),
    Figure.SMALLEST: lambda values, days, one: np.fmin.reduce(values, axis=0),
    Figure.QUANTILE: lambda values, days, one: quantile(values, one.part),
    Figure.TREND: lambda values, days, one: slope(values, days),
}


def _different(back: LookBack, coded: _Coded, reach: _Reach, cases: int) -> np.ndarray:
    """How many different values the latest rows have; of photos, each row's first."""
    code = np.full(int(reach.rows.max(initial=-1)) + 1, _NOTHING, dtype=np.int64)
    held = coded.row < len(code)
    code[coded.row[held][::-1]] = coded.code[held][::-1]
    of_way = code[reach.rows]
    columns = np.zeros(cases)
    for of, laid in back.latest():
        ordered = np.sort(np.where(laid >= 0, of_way[np.maximum(laid, 0)], _NOTHING), axis=0)
        changes = (ordered[1:] != ordered[:-1]).sum(axis=0) + 1
        columns[of] = changes - (ordered[0] == _NOTHING)
    return columns
