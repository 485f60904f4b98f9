"""What decisions made without people came to."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.lifecycle.automation import Truth, figures, promised
from pipeline_project.domain.core.model_terms import PromiseTerms
from pipeline_project.spec.load import SHIPPED, load_spec

OPTIONS, LABELS = ("pay", "investigate"), ("honest", "fraud")
COST = np.array([[0.0, 100.0], [10.0, 10.0]])


def truth(option: list[str], label: list[int]) -> Truth:
    n = len(label)
    return Truth(
        night=np.array([f"2025-01-{1 + i:02d}" for i in range(n)], dtype=object),
        option=np.array(option, dtype=object),
        probability=np.tile([0.9, 0.1], (n, 1)),
        label=np.array(label),
        cost=np.tile(COST, (n, 1, 1)),
        waited=np.full(n, 5.0),
    )


def test_shares_errors_fraud_and_waiting() -> None:
    options = ["pay", "pay", "investigate", "investigate", "ask_person", "ask_person"]
    found = figures(truth(options, [0, 1, 0, 1, 0, 1]), OPTIONS, LABELS)
    assert (found.cases, found.to_people, found.alone) == (6, 2, 4)
    assert found.wrong == 2, "a fraud that was paid and an honest one that was investigated"
    assert found.error == 0.5
    assert found.bound == pytest.approx(0.9024, abs=1e-3), "Clopper-Pearson, 2 of 4 at 95 %"
    assert (found.fraud_stake, found.fraud_lost) == (300.0, 110.0)
    assert found.days == pytest.approx(5 / 3)
    assert found.days_of_all == 5.0


def test_nothing_decided_alone_has_no_error_and_no_bound_below_one() -> None:
    found = figures(truth(["ask_person"] * 2, [0, 1]), OPTIONS, LABELS)
    assert np.isnan(found.error)
    assert found.bound == 1.0


def test_a_promise_is_certified_on_earlier_nights_and_counted_on_later_ones() -> None:
    spec = load_spec(SHIPPED / "vehicle_claims.yaml")
    random, n = np.random.default_rng(3), 8000
    risky = random.random(n) < 0.3
    fraud = np.where(risky, 0.12, 0.002)
    label = (random.random(n) < fraud).astype(int)
    cells = np.array([[0.0, 2500.0], [250.0, 250.0], [4000.0, 0.0]])
    held = Truth(
        night=np.array([f"1995-{1 + i * 10 // n:02d}-01" for i in range(n)], dtype=object),
        option=np.full(n, "pay", dtype=object),
        probability=np.column_stack([1 - fraud, fraud]),
        label=label,
        cost=np.tile(cells, (n, 1, 1)),
        waited=np.zeros(n),
    )
    promise, later, alone, wrong = promised(held, spec, PromiseTerms(0.01))
    assert promise.kept
    assert later == n // 2
    assert alone == int((~risky[n // 2 :]).sum()), "the risky are left to people"
    assert wrong == int(label[n // 2 :][~risky[n // 2 :]].sum())
    assert wrong / alone <= 0.01
