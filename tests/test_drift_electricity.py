"""The electricity figures: what is measured is measured right, and settings see no night that is reported on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import drift_electricity
from benchmarks.drift_electricity import FIELDS, ROWS, Nights, Settings, at_alarms, every, no_change, read
from pipeline_project.domain.core.model_terms import DriftTerms

TERMS = DriftTerms(reference_nights=14, breaches=2, of_nights=3, cooldown_nights=7)
PLAN = Settings("logistic", 14, last_label=False, terms=TERMS)


def turned(nights: int = 60, at: int = 40) -> Nights:
    """From one night on the fields lie elsewhere and mean the opposite."""
    random = np.random.default_rng(1)
    x = random.normal(0, 1, (nights, ROWS, len(FIELDS) + 1))
    y = (x[:, :, 1] > 0).astype(np.int64)
    y[at:] = 1 - y[at:]
    x[at:, :, 2] += 3
    return Nights(x, y)


def test_alarms_come_after_the_turn_and_make_the_model_right_again():
    nights = turned()
    never, alarmed = every(nights, 20, PLAN, None), at_alarms(nights, 20, PLAN)
    assert alarmed.fitted
    assert 41 < min(alarmed.fitted) <= 43
    assert alarmed.accuracy > never.accuracy + 0.05
    assert never.fitted == []
    assert len(every(nights, 20, PLAN, 7).fitted) == 5


def test_a_night_is_decided_by_what_was_known_before_it():
    nights = turned()
    run = every(nights, 20, PLAN, 1)
    assert run.right[19] > 0.9
    assert run.right[20] < 0.1, "the night of the turn is decided by a model that has not seen it"


def test_settings_are_chosen_without_the_nights_reported_on(monkeypatch):
    nights = turned(90, 200)
    seen = []
    monkeypatch.setattr(drift_electricity, "every", lambda n, *_: seen.append(len(n)) or drift_electricity.Run([0.5]))
    monkeypatch.setattr(drift_electricity, "at_alarms", lambda n, *_: seen.append(len(n)) or replace(RUN))
    drift_electricity.chosen(nights.part(30), False, lambda _: None)
    assert set(seen) == {30}


RUN = drift_electricity.Run([0.5])


def test_rows_become_whole_nights_with_the_label_before(tmp_path: Path):
    labels = [0, 0, 1] * 33
    frame = pd.DataFrame({name: np.arange(99.0) for name in FIELDS} | {"class": labels})
    frame.to_csv(tmp_path / "elec.csv.gz", index=False)
    nights = read(tmp_path / "elec.csv.gz")
    assert (len(nights), nights.x.shape) == (2, (2, ROWS, len(FIELDS) + 1))
    assert nights.x[1, 0, -1] == labels[47]
    assert no_change(nights, 0) == pytest.approx(
        np.mean([a == b for a, b in zip([0, *labels], labels[:96], strict=False)])
    )


@pytest.mark.real_data
def test_no_change_is_as_right_as_the_issue_says():
    nights = read(Path(os.environ["PIPELINE_REAL_DATA"]) / "electricity_drift" / "elec.csv.gz")
    assert len(nights) == 944
    assert round(no_change(nights, 0), 3) == drift_electricity.NO_CHANGE_GOAL
