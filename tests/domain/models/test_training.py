"""Models learn from earlier nights, are judged on later ones, and are files that run nothing."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost

from pipeline_project.domain.core.errors import ModelUnavailable, TooFewOutcomes
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.measures.probabilities import auc, ece
from pipeline_project.domain.models import ESTIMATORS, boosting
from pipeline_project.domain.models import files as model_files
from pipeline_project.domain.models.search import Budget
from pipeline_project.domain.models.trained import OUT_OF_DISTRIBUTION
from pipeline_project.domain.models.training import TrainedModel, TrainingPlan, train, training_set

ROOT = Path(__file__).parents[3]
TWO = TrainingPlan("boosting", ("kept", "returned"), masked=frozenset({"age"}), watched=("price",))
MANY = TrainingPlan("logistic", tuple("abcdef"), watched=())
JOINED = replace(TWO, estimator="fusion")
NIGHTS = [str(day) for day in np.arange("2024-03-01", "2024-04-10", dtype="datetime64[D]")]


def table(rows: int, seed: int, labels: int) -> tuple[FeatureTable, np.ndarray]:
    """Labels follow the price, the brand and the text's direction; nights come in order."""
    random = np.random.default_rng(seed)
    y = random.integers(0, labels, rows)
    numbers = np.column_stack(
        [y * 10.0 + random.normal(50, 9, rows), random.normal(size=rows), random.normal(size=rows), np.zeros(rows)]
    )
    numbers[random.random(rows) < 0.05, 1] = np.nan
    # Out of alphabetical order, as fields in a spec are: a model read back must keep the order of its columns.
    categories = np.array(
        [[f"size{random.integers(4)}", f"brand{(label + random.integers(3)) % 6}"] for label in y], dtype=object
    )
    directions = np.random.default_rng(0).normal(size=(labels, 16))
    text = (directions[y] + random.normal(size=(rows, 16))).astype(np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    names = ("price", "age", "season_sin", "constant")
    nights = np.array([NIGHTS[i * len(NIGHTS) // rows] for i in range(rows)], dtype=object)
    ids = np.array([f"case{i}" for i in range(rows)], dtype=object)
    return FeatureTable(ids, nights, names, numbers, ("size", "brand"), categories, {"text": text}), y


def known(features: FeatureTable, y: np.ndarray, plan: TrainingPlan) -> pa.Table:
    when = pd.to_datetime(features.nights, utc=True) + pd.Timedelta(days=2)
    told = pd.DataFrame({"case_id": features.case_ids, "label": [plan.labels[i] for i in y], "known_at": when})
    return training_set(features, told)


@lru_cache(maxsize=8)
def model_of(plan: TrainingPlan) -> TrainedModel:
    features, y = table(1500, 1, len(plan.labels))
    return train(known(features, y, plan), plan)


@pytest.mark.parametrize("plan", [TWO, replace(TWO, labels=("a", "b", "c")), MANY, JOINED])
def test_what_was_learned_holds_on_new_cases(plan: TrainingPlan) -> None:
    fresh, y = table(1000, 2, len(plan.labels))
    told = model_of(plan).predict(fresh)

    assert auc(told.probabilities, y) > 0.85
    assert ece(told.probabilities, y) < 0.08
    np.testing.assert_allclose(told.probabilities.sum(axis=1), 1)
    assert sum(problem is not None for problem in told.problems) <= 10
    assert all(1 <= len(reasons) <= 3 for reasons in told.reasons)


@lru_cache(maxsize=8)
def small_model_of(plan: TrainingPlan) -> TrainedModel:
    """Enough to learn something; for what does not hang on how well."""
    features, y = table(500, 1, len(plan.labels))
    return train(known(features, y, plan), plan)


@pytest.mark.parametrize("plan", [TWO, MANY, JOINED])
def test_two_trainings_give_the_same_bytes_and_files_give_the_same_model(plan: TrainingPlan) -> None:
    first, again = small_model_of(plan), small_model_of.__wrapped__(plan)
    files = first.files()
    back = TrainedModel.from_files(files)
    fresh, _ = table(50, 3, len(plan.labels))

    assert again is not first
    assert again.files() == files
    assert back.files() == files
    assert back.digest == again.digest
    np.testing.assert_array_equal(back.predict(fresh).probabilities, first.predict(fresh).probabilities)
    assert back.predict(fresh).reasons == first.predict(fresh).reasons
    assert back.predict(fresh.select(np.zeros(50, dtype=bool))).reasons == []


def test_another_process_gives_the_same_bytes() -> None:
    """Another order of hashing, another number of threads, other libraries loaded before."""
    program = """
import torch; torch.set_num_threads(2); torch.rand(5)
from tests.domain.models import test_training as here
print(*(here.small_model_of(plan).digest for plan in (here.TWO, here.MANY, here.JOINED)))
"""
    environment = {**os.environ, "PYTHONHASHSEED": "5", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    assert done.stdout.split() == [small_model_of(plan).digest for plan in (TWO, MANY, JOINED)]


def test_reasons_are_words_with_direction_and_hide_what_is_personal() -> None:
    fresh, _ = table(300, 2, 2)
    reasons = [reason for case in model_of(TWO).predict(fresh).reasons for reason in case]

    assert any("price" in r and "is high (+" in r and "towards returned)" in r for r in reasons)
    assert any(r.startswith("brand is brand") for r in reasons)
    assert any(r.startswith("what the text says (") for r in reasons)
    about_age = [r for r in reasons if r.startswith("age ")]
    assert about_age
    assert all(r.startswith(("age is high", "age is low", "age is usual", "age is missing")) for r in about_age)


def test_a_season_is_not_learned_from_less_than_a_year() -> None:
    assert "season_sin" not in model_of(TWO).features
    assert "price" in model_of(TWO).features


def test_the_metrics_are_of_nights_the_model_had_not_seen() -> None:
    features, y = table(1500, 1, 2)
    later = features.nights > "2024-03-31"
    y[later] = np.random.default_rng(5).integers(0, 2, later.sum())
    chance = train(known(features, y, TWO), TWO).metrics

    assert model_of(TWO).metrics["auc"] > 0.9
    assert chance["auc"] < 0.62
    assert chance["outcomes_of_later_nights"] == pytest.approx(375, abs=40)
    assert model_of(TWO).parameters["estimator"] == "boosting"


def test_slow_labels_are_not_underestimated() -> None:
    """Half of all cases come back; at training the last nights know only of those, since they are known sooner."""
    features, _ = table(6000, 1, 2)
    features = features.without_numbers(features.number_names[:3])
    features = replace(features, categories=np.full((6000, 2), "same", dtype=object), vectors={})
    y = np.random.default_rng(4).integers(0, 2, 6000)
    begun = pd.to_datetime(features.nights, utc=True)
    when = begun + pd.to_timedelta(np.where(y == 1, 1, 12), unit="D")
    told = pd.DataFrame({"case_id": features.case_ids, "label": [TWO.labels[i] for i in y], "known_at": when})
    seen = told[(when < pd.Timestamp("2024-04-10", tz="UTC")).tolist()]
    model = train(training_set(features, seen), replace(TWO, watched=()))

    assert (seen["label"] == "returned").mean() > 0.56
    assert model.predict(features).probabilities[:, 1].mean() == pytest.approx(0.5, abs=0.035)


def test_strange_cases_are_flagged() -> None:
    fresh, _ = table(4, 2, 2)
    fresh.numbers[1, 0] = 1e7
    text = fresh.vectors["text"]
    text[2], text[3] = 0, -text[3]
    problems = model_of(TWO).predict(fresh).problems

    assert problems[:3] == [None, OUT_OF_DISTRIBUTION, OUT_OF_DISTRIBUTION]


def test_how_strange_a_case_is_has_a_number() -> None:
    fresh, _ = table(200, 2, 2)
    usual = model_of(TWO).predict(fresh).unfamiliar
    fresh.numbers[:, 0] = np.geomspace(60, 1e7, 200)
    told = model_of(TWO).predict(fresh)
    back = TrainedModel.from_files(model_of(TWO).files()).predict(fresh).unfamiliar

    assert usual.shape == (200,)
    assert 0 <= usual.min() < usual.max() <= 1.2
    assert (np.diff(told.unfamiliar) > -0.7).all()
    assert told.unfamiliar[-1] > 5
    assert [score > 1 for score in told.unfamiliar] == [problem is not None for problem in told.problems]
    np.testing.assert_array_equal(back, told.unfamiliar)
    assert model_of(TWO).metrics["unfamiliar_share"] <= 0.01
    assert model_of(TWO).predict(fresh.select(np.zeros(200, dtype=bool))).unfamiliar.shape == (0,)


def segmented() -> tuple[FeatureTable, np.ndarray, TrainingPlan]:
    """In size0 nothing tells of the label, and the estimator is not told which size it is by any other feature."""
    features, y = table(4000, 1, 2)
    chance = features.categories[:, 0] == "size0"
    y[chance] = (np.random.default_rng(3).random(chance.sum()) < 0.2).astype(np.int64)
    return features, y, replace(TWO, segments=("size",), estimator="logistic")


def test_segments_are_calibrated_and_measured_by_themselves() -> None:
    features, y, plan = segmented()
    told, plain = (train(known(features, y, each), each) for each in (plan, replace(plan, segments=())))
    fresh, true = table(4000, 2, 2)
    chance = fresh.categories[:, 0] == "size0"
    true[chance] = (np.random.default_rng(4).random(chance.sum()) < 0.2).astype(np.int64)
    p = told.predict(fresh).probabilities

    assert told.segments.names[0] == "size=size0"
    assert told.parameters["segments_calibrated"].startswith("size=size0")
    assert ece(p[chance], true[chance]) < 0.05 < ece(plain.predict(fresh).probabilities[chance], true[chance])
    assert told.metrics["ece.size.size0"] == told.slices["size"]["size0"]["ece"]
    assert told.metrics["log_loss"] < plain.metrics["log_loss"] - 0.01
    assert sum(of["cases"] for of in told.slices["size"].values()) == told.metrics["outcomes_of_later_nights"]

    files = told.files()
    back = TrainedModel.from_files(files)
    assert back.files() == files
    np.testing.assert_array_equal(back.predict(fresh).probabilities, p)
    content = model_files.from_json(files, "calibration.json")
    damaged = {name: held for name, held in files.items() if name != model_files.SEAL}
    damaged["calibration.json"] = model_files.to_json({**content, "segments": [["size", {"size0": {}}]]})
    with pytest.raises(ModelUnavailable, match=r"calibration\.json is of a kind"):
        TrainedModel.from_files(model_files.sealed(damaged))
    with pytest.raises(KeyError, match="no category 'colour'"):
        train(known(features, y, plan), replace(plan, segments=("colour",)))


def test_a_search_can_be_repeated_and_sees_only_the_earlier_nights() -> None:
    features, y = table(800, 1, 2)
    now = iter(range(0, 1000, 10))
    plan = replace(TWO, search=Budget(seconds=25))
    told = train(known(features, y, plan), plan, lambda: float(next(now)))
    again = replace(TWO, search=Budget(candidates=told.parameters["search_candidates"]))

    assert told.parameters["search_candidates"] == 2
    assert train(known(features, y, again), again).files() == told.files()
    later = features.nights > "2024-04-01"
    y[later] = 1 - y[later]
    other = train(known(features, y, again), again)
    assert other.parameters["search_tried"] == told.parameters["search_tried"]
    assert other.metrics["log_loss"] != told.metrics["log_loss"]


def test_models_of_before_there_were_segments_are_read() -> None:
    files = {name: held for name, held in model_of(TWO).files().items() if name != model_files.SEAL}
    model, calibration = (model_files.from_json(files, f"{name}.json") for name in ("model", "calibration"))
    old = {name: model[name] for name in ("estimator", "labels", "features", "metrics", "parameters")}
    files["model.json"] = model_files.to_json(old)
    files["calibration.json"] = model_files.to_json({name: calibration[name] for name in ("kind", "values")})
    fresh, _ = table(50, 3, 2)

    told = TrainedModel.from_files(model_files.sealed(files)).predict(fresh)
    np.testing.assert_array_equal(told.probabilities, model_of(TWO).predict(fresh).probabilities)


def test_too_few_outcomes_say_how_many_there_are() -> None:
    features, y = table(150, 1, 2)
    with pytest.raises(TooFewOutcomes, match="150 outcomes are known and 200 are needed"):
        train(known(features, y, TWO), TWO)

    features, y = table(400, 1, 2)
    y[:] = 0
    y[-4:] = 1
    with pytest.raises(TooFewOutcomes, match="returned 4"):
        train(known(features, y, TWO), TWO)

    y[-60:] = 1
    with pytest.raises(TooFewOutcomes, match="all of one label"):
        train(known(features, y, TWO), TWO)


def test_one_night_alone_is_trained_on_without_metrics() -> None:
    features, y = table(400, 1, 2)
    features.nights[:] = NIGHTS[0]
    model = train(known(features, y, TWO), TWO)

    assert model.calibration.kind == "identity"
    assert "auc" not in model.metrics


def test_the_training_set_takes_the_latest_outcome() -> None:
    features, _ = table(3, 1, 2)
    told = pd.DataFrame(
        {
            "case_id": ["case0", "case0", "case2", "elsewhere"],
            "label": ["returned", "kept", "returned", "kept"],
            "known_at": pd.to_datetime(["2024-05-02", "2024-05-01", "2024-05-01", "2024-05-01"], utc=True),
        }
    )
    found = training_set(features, told)

    assert found["case_id"].to_pylist() == ["case0", "case2"]
    assert found["label"].to_pylist() == ["returned", "returned"]
    assert found["known_at"].to_pylist()[0].isoformat() == "2024-05-02T00:00:00+00:00"


def test_files_that_may_run_code_are_refused() -> None:
    files = model_of(TWO).files()
    assert {name.rpartition(".")[2] for name in files} == {"json", "ubj", "safetensors"}

    with pytest.raises(ModelUnavailable, match=r"model\.bin.*may run code"):
        TrainedModel.from_files({**files, "model.bin": pickle.dumps({})})
    with pytest.raises(ModelUnavailable, match=r"booster\.ubj is not the \.ubj file"):
        TrainedModel.from_files({**files, "booster.ubj": pickle.dumps({})})
    with pytest.raises(ModelUnavailable, match="may run code"):
        TrainedModel.from_files({**files, "../model.json": b"{}"})


@pytest.mark.parametrize("plan", [TWO, MANY, JOINED])
def test_damaged_or_missing_files_are_unavailable(plan: TrainingPlan) -> None:
    files = small_model_of(plan).files()
    for name in files:
        with pytest.raises(ModelUnavailable, match="lacks its file"):
            TrainedModel.from_files({n: c for n, c in files.items() if n != name})
        with pytest.raises(ModelUnavailable, match=r"damaged|not readable JSON"):
            TrainedModel.from_files({**files, name: files[name][: len(files[name]) // 2]})


@pytest.mark.parametrize("plan", [TWO, MANY, JOINED])
def test_nothing_of_a_changed_model_is_parsed(plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    files = small_model_of(plan).files()
    for kind in ESTIMATORS.values():
        monkeypatch.setattr(kind, "from_files", lambda files: pytest.fail("a native reader saw a changed model"))
    for name in files.keys() - {"seal.json"}:
        changed = bytearray(files[name])
        changed[len(changed) // 2] ^= 1
        with pytest.raises(ModelUnavailable, match=rf"{name} is damaged or was changed"):
            TrainedModel.from_files({**files, name: bytes(changed)})
    with pytest.raises(ModelUnavailable, match=r"extra\.json that was not there"):
        TrainedModel.from_files({**files, "extra.json": b"{}"})


def test_cases_without_a_trained_feature_are_refused() -> None:
    fresh, _ = table(5, 2, 2)
    with pytest.raises(ModelUnavailable, match=r"price.*train a model for it"):
        model_of(TWO).predict(fresh.without_numbers(["price"]))
    with pytest.raises(ModelUnavailable, match="encoder has changed"):
        model_of(MANY).predict(replace(fresh, vectors={"text": np.ones((5, 8), dtype=np.float32)}))


def test_an_unknown_estimator_is_named() -> None:
    features, y = table(400, 1, 2)
    with pytest.raises(KeyError, match="boosting, logistic, fusion"):
        train(known(features, y, TWO), replace(TWO, estimator="magic"))


def test_trees_are_learned_and_asked_where_the_plan_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as it can be tried without a GPU: what xgboost is told, which then learns on the processor."""
    told: list[object] = []
    learn, made = xgboost.train, xgboost.Booster

    def train_here(parameters: dict[str, object], *rest: object, **more: object) -> xgboost.Booster:
        told.append(parameters.get("device"))
        return learn({name: value for name, value in parameters.items() if name != "device"}, *rest, **more)

    def booster_here(parameters: dict[str, object]) -> xgboost.Booster:
        told.append(parameters.pop("device", None))
        return made(parameters)

    monkeypatch.setattr(boosting, "xgboost_device_name", lambda name: name)
    monkeypatch.setattr(boosting, "described", lambda name, resolved: f"{resolved} (a card)")
    monkeypatch.setattr(xgboost, "train", train_here)
    features, y = table(500, 1, 2)
    model = train(known(features, y, TWO), replace(TWO, device="cuda:1"))
    assert set(told) == {"cuda:1"} and model.parameters["trained_on"] == "cuda:1 (a card)"
    told.clear()
    monkeypatch.setattr(xgboost, "Booster", booster_here)
    for device in ("cuda:1", "cpu"):
        TrainedModel.from_files(model.files(), device)
    assert told == ["cuda:1", None]
    # where it learned stands in the figures alone: the trees are those of any other device
    here = small_model_of(TWO).files()
    assert {name for name, content in model.files().items() if here[name] != content} == {"model.json", "seal.json"}
