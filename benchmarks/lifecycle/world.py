"""Made-up cases whose truth is known, because it was drawn: nothing that a model is told of them is a guess.

Four labels would do no more than three: a case is `fine`, `worn` or `fraud`, by fields, by a vector such as a text's,
and by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.deciding.decisions import decide_night
from pipeline_project.domain.features.building import no_past
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.lifecycle.replay.decide import STANDING, PastNights, Policy
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.models.training import TrainingPlan, training_set

WORKFLOW = "made_up"
LABELS = ("fine", "worn", "fraud")
KINDS = ("coat", "dress", "shirt", "shoes")
CHANNELS = ("phone", "shop", "web")
FIRST = date(2025, 1, 1)
#: Days from a case to its outcome.
KNOWN_AFTER = 3
_VECTOR = 16
#: How much more the fields say than chance does.
_CLARITY = 2.0

MATRIX = CostMatrix(
    labels=LABELS,
    options=("refund", "deduct", "investigate"),
    cells=(
        (0.0, "0.5 * price", "price"),
        ("0.4 * price", 0.0, "0.6 * price"),
        ("0.25 * price", "0.25 * price", 0.0),
    ),
)
TERMS = PolicyTerms(denies=(False, False, False), review_cost=6.0, capacity="10%", exploration=0.02, seed=WORKFLOW)
POLICY = Policy(MATRIX, TERMS, "price", "made_up_policy")
PLAN = TrainingPlan(estimator="boosting", labels=LABELS, minimum_outcomes=200, watched=("price", "days_kept"))


@dataclass(frozen=True)
class Cases:
    """Cases with their truth.

    Attributes:
        features: what a model is told.
        label: index of the true label, shape (n,).
        price: money at stake, shape (n,).
        customers: whose case each is, shape (n,).
    """

    features: FeatureTable
    label: np.ndarray
    price: np.ndarray
    customers: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def select(self, rows: np.ndarray) -> Cases:
        """The rows of a mask, or at positions."""
        return Cases(self.features.select(rows), self.label[rows], self.price[rows], self.customers[rows])

    def between(self, first: int, last: int) -> Cases:
        """The cases of nights number `first` to `last`, both counted."""
        nights = self.features.nights
        return self.select((nights >= night(first)) & (nights <= night(last)))

    @property
    def nights(self) -> tuple[str, ...]:
        return tuple(np.unique(self.features.nights).tolist())

    def outcomes(self) -> pd.DataFrame:
        """The truth as an outcome feed tells it: case_id, label, known_at."""
        known = pd.to_datetime(self.features.nights).tz_localize("UTC") + pd.Timedelta(days=KNOWN_AFTER)
        names = np.array(LABELS, dtype=object)[self.label]
        return pd.DataFrame({"case_id": self.features.case_ids, "label": names, "known_at": known})

    def training(self) -> pa.Table:
        """As the lake's training set."""
        return training_set(self.features, self.outcomes())

    def table(self) -> pa.Table:
        """As the lake's `cases`, with what costs and slices are made from."""
        columns = {
            NIGHT: self.features.nights,
            CASE_ID: self.features.case_ids,
            "price": self.price,
            "customer": self.customers,
        }
        columns |= {name: self.features.categories[:, i] for i, name in enumerate(self.features.category_names)}
        return pa.table({name: pa.array(values) for name, values in columns.items()})


def night(number: int) -> str:
    """The ISO date of a night by its number, from 0."""
    return (FIRST + timedelta(days=number)).isoformat()


def make_cases(nights: int, each: int, seed: int = 7) -> Cases:
    """`each` cases in each of so many nights; the same numbers give the same cases."""
    random, n = np.random.default_rng(seed), nights * each
    price = np.round(np.exp(random.normal(3.8, 0.6, n)), 2)
    days_kept = random.integers(1, 60, n).astype(float)
    returns_before = random.poisson(1.5, n).astype(float)
    noise = random.normal(size=(n, 2))
    kind, channel = random.integers(len(KINDS), size=n), random.integers(len(CHANNELS), size=n)
    vectors = random.normal(size=(n, _VECTOR)).astype(np.float32)
    fraud = _fraud(price, returns_before, channel, vectors)
    logits = _CLARITY * np.column_stack([np.full(n, 2.6), _worn(days_kept, kind, vectors), fraud])
    label = (logits + random.gumbel(size=(n, 3))).argmax(axis=1)
    features = FeatureTable(
        case_ids=np.array([f"case-{seed}-{i:07d}" for i in range(n)], dtype=object),
        nights=np.repeat(np.array([night(i) for i in range(nights)], dtype=object), each),
        number_names=("price", "days_kept", "returns_before", "noise_a", "noise_b"),
        numbers=np.column_stack([price, days_kept, returns_before, noise]),
        category_names=("kind", "channel"),
        categories=np.column_stack([np.array(KINDS, dtype=object)[kind], np.array(CHANNELS, dtype=object)[channel]]),
        vectors={"text": vectors / np.linalg.norm(vectors, axis=1, keepdims=True)},
    )
    customers = np.array([f"customer-{i}" for i in random.integers(max(n // 3, 1), size=n)], dtype=object)
    return Cases(features, label, price, customers)


def _worn(days_kept: np.ndarray, kind: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.asarray(-0.6 + 0.06 * days_kept + np.array([0.0, 1.5, -1.0, 1.0])[kind] + 1.3 * vectors[:, 0])


def _fraud(price: np.ndarray, before: np.ndarray, channel: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    told = -2.2 + 0.7 * before + 1.2 * (np.log(price) - 3.8) + np.array([-0.5, -1.5, 1.0])[channel]
    return np.asarray(told + 1.6 * vectors[:, 1])


def scores(cases: Cases, probabilities: np.ndarray, version: str, problems: list[str | None] | None = None) -> pa.Table:
    """As the lake's `scores`."""
    why = problems or [None] * len(cases)
    rows = [None if p else row for p, row in zip(why, probabilities.tolist(), strict=True)]
    columns = {
        NIGHT: pa.array(cases.features.nights, pa.string()),
        CASE_ID: pa.array(cases.features.case_ids, pa.string()),
        "probabilities": pa.array(rows, pa.list_(pa.float64())),
        "problem": pa.array(why, pa.string()),
        "model_version": pa.array([version] * len(cases), pa.string()),
    }
    return pa.table({f.name: columns.get(f.name, pa.nulls(len(cases), f.type)) for f in SCORES})


def decided(
    cases: Cases, probabilities: np.ndarray, version: str, problems: list[str | None] | None = None
) -> PastNights:
    """Nights as they were decided with these probabilities, under the costs and terms of this world."""
    table, told, rows = cases.table(), scores(cases, probabilities, version, problems), []
    for each in cases.nights:
        where = pa.array(cases.features.nights == each)
        rows += decide_night(table.filter(where), told.filter(where), None, POLICY).cases
    standing = pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(STANDING))
    as_of = {each: datetime.fromisoformat(each).replace(tzinfo=UTC) for each in cases.nights}
    return PastNights(cases.nights, table, standing[list(STANDING)], no_past(), as_of)
