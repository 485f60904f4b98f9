"""Kinds that no label stands for reach people, at the false alarms that were asked for, and the model says how many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models.card import CardFacts, model_card
from pipeline_project.domain.models.trained import TrainedModel
from pipeline_project.domain.models.training import TrainingPlan, train, training_set
from pipeline_project.domain.models.unseen import LeftOutRound, UnseenKinds, caught, left_out
from pipeline_project.domain.vectors.stored import unit

LABELS = tuple(f"k{number}" for number in range(8))
DIMENSION, PER_KIND = 24, 150
PLAN = TrainingPlan("logistic", LABELS, false_alarms=0.1)
_KNOWN = unit(np.random.default_rng(5).normal(size=(len(LABELS), DIMENSION)).astype(np.float32))
#: New kinds lie between two labels each, where the nearest reference is not far.
MIDDLES = np.vstack([_KNOWN, unit(_KNOWN[:3] + _KNOWN[3:6])])


def texts(kinds: range, seed: int, each: int = PER_KIND) -> tuple[FeatureTable, np.ndarray]:
    """Cases around the middles of some kinds; those beyond the labels have none."""
    random = np.random.default_rng(seed)
    kind = np.tile(np.array(kinds), each)
    vectors = unit((MIDDLES[kind] + random.normal(size=(len(kind), DIMENSION)) * 0.13).astype(np.float32))
    nights = np.array([shifted("2025-03-01", int(n)) for n in random.integers(0, 12, len(kind))], dtype=object)
    ids = np.array([f"{seed}-{i}" for i in range(len(kind))], dtype=object)
    empty = (np.zeros((len(kind), 0)), (), np.zeros((len(kind), 0), dtype=object))
    return FeatureTable(ids, nights, (), *empty, {"text": vectors}), kind


def examples() -> pa.Table:
    table, kind = texts(range(len(LABELS)), 1)
    known_at = pd.to_datetime(pd.Series(table.nights), utc=True) + pd.Timedelta(days=1)
    labels = [LABELS[number] for number in kind]
    return training_set(table, pd.DataFrame({"case_id": table.case_ids, "label": labels, "known_at": known_at}))


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return train(examples(), PLAN)


def stopped(model: TrainedModel, table: FeatureTable) -> np.ndarray:
    return np.array([problem == "out_of_distribution" for problem in model.predict(table, explain=False).problems])


def test_a_new_kind_reaches_people_at_the_false_alarms_that_were_asked_for(model: TrainedModel) -> None:
    known_ones, _ = texts(range(len(LABELS)), 2)
    strange, _ = texts(range(len(LABELS), len(MIDDLES)), 3)
    assert stopped(model, strange).mean() > 0.9
    assert 0.05 < stopped(model, known_ones).mean() < 0.16
    without = replace(model, unseen=None)
    assert stopped(without, strange).mean() < stopped(model, strange).mean()


def test_the_model_says_beforehand_how_many_it_catches(model: TrainedModel) -> None:
    strange, _ = texts(range(len(LABELS), len(MIDDLES)), 3)
    assert model.metrics["unseen_caught"] == pytest.approx(stopped(model, strange).mean(), abs=0.12)
    assert model.metrics["unseen_false_alarms"] == pytest.approx(0.1, abs=0.06)
    card = model_card(model, CardFacts("w", "W", "2025-04-01", "2025-04-01"))
    assert f"{model.metrics['unseen_caught']:.1%} were, at {model.metrics['unseen_false_alarms']:.1%}" in card


def test_its_files_say_the_same_and_one_case_alone_is_as_strange_as_among_others(model: TrainedModel) -> None:
    again = TrainedModel.from_files(model.files())
    strange, _ = texts(range(len(LABELS) + 2), 4, 5)
    whole = again.predict(strange, explain=False).unfamiliar
    np.testing.assert_array_equal(whole, model.predict(strange, explain=False).unfamiliar)
    alone = [again.predict(strange.select(np.array([i])), explain=False).unfamiliar[0] for i in range(len(strange))]
    np.testing.assert_array_equal(np.array(alone) > 1, whole > 1)
    assert train(examples(), PLAN).digest == model.digest


def test_without_being_asked_nothing_is_looked_for_and_no_file_is_added() -> None:
    plain = train(examples(), replace(PLAN, false_alarms=None))
    assert plain.unseen is None
    assert not [name for name in plain.files() if "unseen" in name]
    assert not [name for name in plain.metrics if name.startswith("unseen_")]


def test_a_case_without_vectors_is_as_strange_as_can_be() -> None:
    table, kind = texts(range(4), 6)
    memory = UnseenKinds().remember(table, kind, 1)
    empty = replace(table.select(slice(0, 2)), vectors={"text": np.zeros((2, 0), np.float32)})
    signals = memory.signals(empty, np.full((2, 4), 0.25))
    assert (signals[:, 3:] == 1).all()
    assert signals.shape[1] == memory.signals(table, np.full((len(kind), 4), 0.25)).shape[1]


def test_each_round_is_judged_by_what_the_others_taught() -> None:
    random = np.random.default_rng(0)
    strange = np.repeat([False, True], 200)
    # in the first round the signal points the other way: weights that had seen it would know
    usual = [LeftOutRound((strange * 4.0 + random.normal(size=400))[:, None], strange) for _ in range(3)]
    turned = LeftOutRound((strange * -4.0 + random.normal(size=400))[:, None], strange)
    assert caught(usual, 0.1)["unseen_caught"] > 0.95
    assert caught([turned, usual[0]], 0.1)["unseen_caught"] < 0.05


def test_every_label_is_left_out_once() -> None:
    groups = left_out(np.arange(13), 7)
    assert sorted(np.concatenate(groups).tolist()) == list(range(13))
    assert len(groups) == 5
    assert len(left_out(np.arange(4), 7)) == 4
