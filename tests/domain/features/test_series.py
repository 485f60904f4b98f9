"""Features of sensor rows: beside numpy's own answers, and blind to what comes after a case."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline_project.domain.core.schema import ARRIVALS, CaseSchema, FieldType
from pipeline_project.domain.features.series import (
    SeriesFigure,
    SeriesPlan,
    SeriesRows,
    SeriesSpan,
    series_features,
    spectrum,
)
from pipeline_project.domain.features.series_rows import SeriesColumns, from_strings

HOUR = 3_600_000_000
PLAN = SeriesPlan("sensor", ("heat",), (SeriesSpan(10, None, "10 rows"),), tuple(SeriesFigure), 5)


def rows(seed: int = 0, keys: int = 3, length: int = 40, step: int = 1_000) -> SeriesRows:
    random = np.random.default_rng(seed)
    key = np.repeat(np.arange(keys), length)
    at = np.tile(np.arange(1, length + 1) * step, keys)
    heat = random.normal(size=keys * length) + key * 5 + at / step * 0.1
    heat[random.random(len(heat)) < 0.03] = np.nan
    order = random.permutation(len(key))
    return SeriesRows(key[order], at[order], {"heat": heat[order]})


def of_key(table: SeriesRows, key: int, until: int) -> np.ndarray:
    mine = (table.key == key) & (table.at <= until)
    return table.values["heat"][mine][np.argsort(table.at[mine])]


def test_each_figure_is_what_numpy_says() -> None:
    table = rows()
    asking = (np.array([0, 1, 2, 2, 7]), np.array([40_000, 25_000, 3_000, 33_000, 5_000]))
    made = series_features(table, asking, PLAN, own=True)
    assert list(made) == [name for name, _ in PLAN.features()]
    for i, (key, until) in enumerate(zip(*asking, strict=True)):
        whole = of_key(table, key, until)
        last = whole[-10:]
        assert made["sensor_rows"][i] == len(whole)
        if not len(whole):
            assert all(np.isnan(column[i]) for name, column in made.items() if name != "sensor_rows")
            continue
        there = np.isfinite(last)
        expected = {
            "last": last[there][-1], "mean": np.nanmean(last), "spread": np.nanstd(last), "max": np.nanmax(last),
            "min": np.nanmin(last), "slope": np.polyfit(np.arange(len(last))[there], last[there], 1)[0],
            "change": np.nanmean(last) - np.nanmean(whole[:5]),
        }  # fmt: skip
        for figure, value in expected.items():
            assert made[f"sensor_heat_{figure}_10_rows"][i] == pytest.approx(value), figure


def test_rows_after_a_case_change_nothing() -> None:
    table = rows(1)
    asking = (np.array([0, 1, 2]), np.array([20_000, 12_000, 31_000]))
    before = series_features(table, asking, PLAN, own=True)
    random = np.random.default_rng(2)
    until = asking[1][table.key]
    changed = np.where(table.at > until, 1e6, table.values["heat"])
    kept = (table.at <= until) | (random.random(len(until)) < 0.5)
    after = series_features(
        SeriesRows(table.key[kept], table.at[kept], {"heat": changed[kept]}), asking, PLAN, own=True
    )
    for name, column in before.items():
        np.testing.assert_array_equal(after[name], column, err_msg=name)
    strictly = series_features(table, asking, PLAN, own=False)
    assert (strictly["sensor_rows"] == before["sensor_rows"] - 1).all()


def test_a_span_of_hours_counts_hours() -> None:
    table = rows(3, step=HOUR)
    span = SeriesSpan(None, 6 * HOUR, "6 hours")
    plan = SeriesPlan("sensor", ("heat",), (span,), (SeriesFigure.MEAN, SeriesFigure.SLOPE), 5)
    made = series_features(table, (np.array([1]), np.array([20 * HOUR])), plan, own=False)
    six = of_key(table, 1, 19 * HOUR)[-6:]
    there = np.isfinite(six)
    assert made["sensor_heat_mean_6_hours"][0] == pytest.approx(np.nanmean(six))
    assert made["sensor_heat_slope_6_hours"][0] == pytest.approx(np.polyfit(np.arange(6)[there], six[there], 1)[0])


def test_the_spectrum_tells_slow_swings_from_fast_ones_and_neither_from_a_line() -> None:
    x = np.arange(60.0)
    slow, fast = np.sin(2 * np.pi * x / 30), np.sin(2 * np.pi * x / 2.5)
    parts = np.array(spectrum(np.column_stack([slow + x, fast - x, 3 * x, np.ones(60)])))
    assert parts[0, 0] > 0.98
    assert parts[2, 1] > 0.98
    assert np.isnan(parts[:, 2:]).all()
    np.testing.assert_allclose(parts[:, :2].sum(axis=0), 1)
    short = np.full((60, 1), np.nan)
    short[:7] = 1.0
    assert np.isnan(spectrum(short)).all()


def test_rows_are_read_as_the_cases_are_and_what_cannot_be_read_is_counted() -> None:
    cells = [
        {"unit": "E1", "cycle": "1,5", "heat": "20,25"},
        {"unit": "E1", "cycle": "2", "heat": "hot"},
        {"unit": "", "cycle": "3", "heat": "1"},
        {"unit": "E1", "cycle": "soon", "heat": "1"},
    ]
    told = {"night": "n", "file": "f", "file_sha256": "0", "line": 2, "row_sha256": "0", "problem": None}
    table = ARRIVALS.empty_table().from_pylist([{**told, "raw": json.dumps(row)} for row in cells], schema=ARRIVALS)
    schema = CaseSchema((), "UTC", missing=frozenset({""}), decimal=",")
    measured = from_strings(table, SeriesColumns("unit", "cycle", FieldType.NUMBER, ("heat",)), schema)
    assert measured.unusable == 2
    assert measured.at.tolist() == [1_500, 2_000]
    np.testing.assert_array_equal(measured.values["heat"], [20.25, np.nan])
    table, asked = measured.coded(np.array(["E1", None, "E2"], dtype=object))
    assert asked.tolist() == [table.key[0], -1, 1]
