"""`python -m benchmarks.telemetry --telemetry FOLDER`: how well a plain regressor tells engines' remaining cycles.

The folder holds C-MAPSS files (`train_FD001.txt`, `test_FD001.txt`, `RUL_FD001.txt`). Features are those that the
`series:` of a spec makes, and nothing else: each engine's rows up to a cycle, none after it. Learned from the engines
of the training file, their remaining cycles capped at 125, and measured once on the last cycle of each test engine.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold

from benchmarks.tables import machine, table
from pipeline_project.domain.features.series import (
    SeriesFigure,
    SeriesPlan,
    SeriesRows,
    SeriesSpan,
    series_features,
)

CAP, FIRST_VALUE, SEEDS = 125, 2, range(3)
FIGURES = (
    SeriesFigure.LAST, SeriesFigure.MEAN, SeriesFigure.SPREAD, SeriesFigure.SLOPE, SeriesFigure.CHANGE,
)  # fmt: skip
SPANS = (10, 30)
BASELINE = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    parser.add_argument("--telemetry", type=Path, required=True, help="the folder of the files")
    given = parser.parse_args()
    learn, test = (np.loadtxt(given.telemetry / f"{part}_FD001.txt") for part in ("train", "test"))
    remaining = np.loadtxt(given.telemetry / "RUL_FD001.txt")
    # a value that is the same in every row says nothing
    kept = [column for column in range(FIRST_VALUE, learn.shape[1]) if np.ptp(learn[:, column]) > 0]
    plan = plan_of(kept)
    begun = time.process_time()
    x, y, engine = examples(learn, plan, kept)
    last = np.flatnonzero(np.diff(test[:, 0], append=-1))
    asked = features(test, test[last], plan, kept)
    seconds = time.process_time() - begun
    truth = np.minimum(remaining, CAP)
    print(f"{machine()}. {len(learn):,} rows of {len(set(learn[:, 0]))} engines, {x.shape[1]} features a case, "
          f"{1000 * seconds / (len(x) + len(asked)):.2f} ms a case.\n")  # fmt: skip
    rows = [(name, held_out(kind, x, y, engine), *on_test(kind, x, y, asked, truth)) for name, kind in KINDS.items()]
    columns = ["regressor", "RMSE, engines left out in turn", "RMSE, test engines", "its spread over seeds"]
    print(table("Remaining cycles, capped at 125", columns, rows))


def plan_of(kept: list[int]) -> SeriesPlan:
    spans = tuple(SeriesSpan(rows, None, f"{rows} rows") for rows in SPANS)
    return SeriesPlan("engine", tuple(f"v{column}" for column in kept), spans, FIGURES, BASELINE)


def features(rows: np.ndarray, cases: np.ndarray, plan: SeriesPlan, kept: list[int]) -> np.ndarray:
    """Of some cycles of engines, as the `series:` of a spec makes them, shape (cases, features)."""
    values = {f"v{column}": rows[:, column] for column in kept}
    whole = SeriesRows(rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), values)
    asking = (cases[:, 0].astype(np.int64), cases[:, 1].astype(np.int64))
    return np.column_stack(list(series_features(whole, asking, plan, own=True).values()))


def examples(rows: np.ndarray, plan: SeriesPlan, kept: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every cycle of every engine: features, remaining cycles, engine."""
    engine = rows[:, 0]
    longest = {unit: rows[engine == unit, 1].max() for unit in np.unique(engine)}
    remaining = np.array([longest[unit] for unit in engine]) - rows[:, 1]
    return features(rows, rows, plan, kept), np.minimum(remaining, CAP), engine


def boosting(seed: int):
    import xgboost

    return xgboost.XGBRegressor(
        n_estimators=400, learning_rate=0.03, max_depth=5, min_child_weight=20, subsample=0.7, colsample_bytree=0.3,
        reg_lambda=5, max_bin=64, random_state=seed, n_jobs=2,
    )  # fmt: skip


KINDS = {"boosting (XGBoost, 400 trees of depth 5)": boosting}


def held_out(kind, x: np.ndarray, y: np.ndarray, engine: np.ndarray) -> float:
    """Over the training engines, each told by a regressor that has not seen it."""
    predicted = np.zeros(len(y))
    for train, tell in GroupKFold(5).split(x, y, engine):
        predicted[tell] = kind(0).fit(x[train], y[train]).predict(x[tell])
    return rmse(predicted, y)


def on_test(kind, x, y, asked, truth) -> tuple[float, float]:
    errors = [rmse(np.minimum(kind(seed).fit(x, y).predict(asked), CAP), truth) for seed in SEEDS]
    return float(np.mean(errors)), float(np.std(errors))


def rmse(predicted: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - truth) ** 2)))


if __name__ == "__main__":
    main()
