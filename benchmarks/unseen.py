"""`python -m benchmarks.unseen --tickets FOLDER`: how many questions of intents that no label stands for reach people.

The folder holds Banking77 (`train.csv`, `test.csv`). Ten intents are taken out of the training, five times others; the
workflow's own training learns the rest with `model.unseen`, and every question of the test file is scored once. What a
model says of itself beforehand, from labels that it left out in turn, stands beside what came true.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from benchmarks.tables import head, line, machine
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models.training import TrainingPlan, train, training_set
from pipeline_project.domain.vectors.modalities import TextTerms
from pipeline_project.ports.encoders import TextEncoder
from resources.encoders import encoder_of

OUT, CHOICES, FALSE_ALARMS = 10, 5, 0.10
FIRST, NIGHTS = "2025-05-01", 30
COLUMNS = [
    "choice", "known ones stopped", "strange ones stopped", "the model's own word beforehand", "by doubt alone",
    "nearest reference alone", "without `unseen`", "known ones to stop for 95 %", "the same by doubt",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unseen", description=__doc__)
    parser.add_argument("--tickets", type=Path, required=True, help="the folder of the files")
    given = parser.parse_args()
    (texts, y), (asked, truth) = (read(given.tickets / f"{part}.csv") for part in ("train", "test"))
    encoder = cast(TextEncoder, encoder_of("text", TextTerms(), "cpu", Path.cwd(), None))
    vectors, ahead = np.asarray(encoder.encode(texts)), features(np.asarray(encoder.encode(asked)), 1)
    print(f"{machine()}. {len(texts):,} and {len(asked):,} questions, {OUT} of {len(set(y))} intents left out.\n")
    print(head(f"Stopped at {FALSE_ALARMS:.0%} false alarms", COLUMNS), flush=True)
    rows = []
    for choice in range(CHOICES):
        out = np.random.default_rng(choice).choice(np.unique(y), OUT, replace=False)
        rows.append(measured(vectors, y, ahead, truth, out))
        print(line([str(choice + 1), *rows[-1]]), flush=True)
    print(line(["mean", *np.mean(rows, axis=0).tolist()]))


def read(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([row["category"] for row in rows])


def features(vectors: np.ndarray, nights: int) -> FeatureTable:
    """Questions on nights drawn for them; they have no time of their own."""
    count = len(vectors)
    drawn = np.random.default_rng(0).integers(0, nights, count)
    return FeatureTable(
        np.arange(count).astype(str).astype(object),
        np.array([shifted(FIRST, int(night)) for night in drawn], dtype=object),
        (), np.zeros((count, 0)), (), np.zeros((count, 0), dtype=object),
        {"text": vectors},
    )  # fmt: skip


def measured(
    vectors: np.ndarray, y: np.ndarray, ahead: FeatureTable, truth: np.ndarray, out: np.ndarray
) -> list[float]:
    """Shares, in the order of `COLUMNS` after the first."""
    kept = ~np.isin(y, out)
    table = features(vectors[kept], NIGHTS)
    starts = pd.to_datetime(pd.Series(table.nights), utc=True)
    outcomes = pd.DataFrame({"case_id": table.case_ids, "label": y[kept], "known_at": starts + pd.Timedelta(days=1)})
    plan = TrainingPlan("logistic", tuple(np.unique(y[kept])), false_alarms=FALSE_ALARMS)
    model = train(training_set(table, outcomes), plan)
    strange = np.isin(truth, out)
    predicted = model.predict(ahead, explain=False)
    stopped = np.array([problem is not None for problem in predicted.problems])
    without = replace(model, unseen=None).predict(ahead, explain=False)
    detected = np.array([problem is not None for problem in without.problems])
    doubt = -without.probabilities.max(axis=1)
    nearest = 1 - (ahead.vectors["text"] @ vectors[kept].T).max(axis=1)
    return [
        float(stopped[~strange].mean()), float(stopped[strange].mean()), model.metrics["unseen_caught"],
        at_the_same_share(doubt, strange), at_the_same_share(nearest, strange), float(detected[strange].mean()),
        known_ones_for_most(predicted.unfamiliar, strange), known_ones_for_most(doubt, strange),
    ]  # fmt: skip


def at_the_same_share(strangeness: np.ndarray, strange: np.ndarray) -> float:
    """How many strange ones lie above what a tenth of the known ones do."""
    return float((strangeness[strange] > np.quantile(strangeness[~strange], 1 - FALSE_ALARMS)).mean())


def known_ones_for_most(strangeness: np.ndarray, strange: np.ndarray) -> float:
    """How many known ones lie above what 95 % of the strange ones do."""
    return float((strangeness[~strange] >= np.quantile(strangeness[strange], 0.05)).mean())


if __name__ == "__main__":
    main()
