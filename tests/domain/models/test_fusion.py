"""The network joins text, photos and fields, leaves torch as it found it, and says why in words."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.measures.probabilities import log_loss
from pipeline_project.domain.models import files as model_files
from pipeline_project.domain.models import fusion, network
from pipeline_project.domain.models.estimator import EstimatorSettings
from pipeline_project.domain.models.fusion import FusionNetwork
from pipeline_project.domain.models.network import InputBatch, Lesson, Recipe, average_case, contributions, logits

LABELS = ("kept", "returned", "lost")
SETTINGS = EstimatorSettings(LABELS, {"text": 8, "image": 8}, masked=frozenset({"age", "town"}))
DIRECTIONS = np.random.default_rng(0).normal(size=(2, 3, 12))


def cases(rows: int, seed: int, telling: frozenset[str] = frozenset({"price", "brand", "text", "image"})):
    """Labels that only the named parts tell of; a tenth has no photo, some prices are missing."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, rows)
    of = {part: y if part in telling else random.integers(0, 3, rows) for part in ("price", "brand", "text", "image")}
    price = np.exp(of["price"] * 0.6 + random.normal(3, 0.5, rows))
    price[random.random(rows) < 0.05] = np.nan
    brand = [f"brand{(2 * label + random.integers(3)) % 6}" for label in of["brand"]]
    categories = np.array([[name, f"town{random.integers(3)}"] for name in brand], dtype=object)
    vectors = {}
    for direction, part in zip(DIRECTIONS, ("text", "image"), strict=True):
        held = (direction[of[part]] + 3.0 * random.normal(size=(rows, 12))).astype(np.float32)
        vectors[part] = held / np.linalg.norm(held, axis=1, keepdims=True)
    vectors["image"][random.random(rows) < 0.1] = 0
    nights = np.array([f"2024-03-{1 + i * 28 // rows:02d}" for i in range(rows)], dtype=object)
    ids = np.array([f"case{i}" for i in range(rows)], dtype=object)
    numbers = np.column_stack([price, random.normal(40, 9, rows)])
    return FeatureTable(ids, nights, ("price", "age"), numbers, ("brand", "town"), categories, vectors), y


@lru_cache(maxsize=8)
def learned(telling: frozenset[str] = frozenset({"price", "brand", "text", "image"})) -> FusionNetwork:
    table, y = cases(1000, 1, telling)
    return FusionNetwork(SETTINGS).fit(table, y)


@pytest.mark.parametrize("part", ["price", "brand", "text", "image"])
def test_every_kind_of_input_is_learned_from(part: str) -> None:
    fresh, y = cases(1500, 2, frozenset({part}))
    told = learned(frozenset({part})).probabilities(fresh)

    assert log_loss(told, y) < np.log(3) - 0.1
    np.testing.assert_allclose(told.sum(axis=1), 1)


def test_all_of_them_together_tell_more_than_one() -> None:
    fresh, y = cases(1500, 2)
    only_text, _ = cases(1500, 2, frozenset({"text"}))
    alone = log_loss(learned(frozenset({"text"})).probabilities(only_text), y)

    assert log_loss(learned().probabilities(fresh), y) < 0.7 * alone


def test_training_twice_gives_the_same_bytes_whatever_torch_was_doing() -> None:
    import torch

    table, y = cases(600, 1)
    first = FusionNetwork(SETTINGS).fit(table, y).files()
    threads = torch.get_num_threads()
    torch.manual_seed(99)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        before = torch.get_rng_state()
        again = FusionNetwork(SETTINGS).fit(table, y).files()

        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == 2
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
    assert again == first
    assert FusionNetwork(SETTINGS).fit(table, y, seed=8).files() != first


def test_a_failed_training_leaves_torch_as_it_was() -> None:
    import torch

    table, y = cases(300, 1)
    threads = torch.get_num_threads()
    with pytest.raises(IndexError, match="out of bounds"):
        FusionNetwork(replace(SETTINGS, labels=("kept", "returned"))).fit(table, y)

    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_as_many_epochs_as_another_found() -> None:
    table, y = cases(1500, 1)
    told = FusionNetwork(SETTINGS).fit(table.select(np.arange(400)), y[:400], like=learned())

    assert told.parameters()["epochs"] == learned().parameters()["epochs"]
    assert 3 <= learned().parameters()["epochs"] < 60


def test_weights_count() -> None:
    """Of features that tell nothing, the labels' shares are left, and weights change those."""
    table, y = cases(1500, 1, frozenset())
    plain = FusionNetwork(SETTINGS).fit(table, y)
    heavy = FusionNetwork(SETTINGS).fit(table, y, np.where(y == 2, 4.0, 1.0), like=plain)

    assert plain.probabilities(table)[:, 2].mean() == pytest.approx(1 / 3, abs=0.05)
    assert heavy.probabilities(table)[:, 2].mean() == pytest.approx(2 / 3, abs=0.05)


def test_values_never_seen_and_missing_ones_are_told_of() -> None:
    fresh, _ = cases(4, 2)
    fresh.categories[0, 0], fresh.categories[1, 0] = "brand of tomorrow", None
    fresh.numbers[2] = np.nan
    fresh.numbers[3, 0] = 1e300
    fresh.vectors["text"][:] = 0
    clipped, missing = fresh.select(np.arange(4)), fresh.select(np.arange(4))
    missing.categories[0, 0] = None
    clipped.numbers[3, 0] = 1e9
    told = learned().probabilities(fresh)

    assert np.isfinite(told).all()
    assert np.abs(told[0] - learned().probabilities(missing)[0]).max() > 0.001
    np.testing.assert_array_equal(told[3], learned().probabilities(clipped)[3])


def test_reasons_are_words_that_add_up_and_hide_what_is_personal() -> None:
    fresh, _ = cases(200, 2)
    told = learned().probabilities(fresh)
    reasons = [reason for case in learned().reasons(fresh, told, 6) for reason in case]

    assert any(r.startswith("what the text says (+") for r in reasons)
    assert any(r.startswith("what the photos show (") for r in reasons)
    assert any(r.startswith("brand is brand") for r in reasons)
    assert any(r.startswith("price is missing") for r in reasons)
    assert any("price" in r and "is high (" in r for r in reasons)
    personal = [r for r in reasons if r.startswith(("age", "town"))]
    assert personal
    assert not [r for r in personal if any(letter.isdigit() for letter in r.partition(" (")[0])]
    assert [len(case) for case in learned().reasons(fresh, told, 1)] == [1] * 200
    assert learned().reasons(fresh.select(np.zeros(200, dtype=bool)), told[:0], 3) == []


def test_contributions_sum_to_what_sets_a_case_apart() -> None:
    model = learned()
    table, _ = cases(300, 2)
    batch = InputBatch(*model.inputs_.groups(table))
    chosen = logits(model.weights_, batch).argmax(axis=1)
    middle = average_case(model.weights_, batch)
    parts = contributions(model.weights_, batch, middle, chosen)
    told = logits(model.weights_, batch)
    apart = told[np.arange(300), chosen] - told.mean(axis=1)
    summed = sum(part.sum(axis=1) for part in parts.values())

    # the average case is the same for all, so what is left over is one number for each chosen label
    for label in np.unique(chosen):
        assert np.std((apart - summed)[chosen == label]) < 0.15 * np.std(apart)


def test_files_give_the_same_model_and_odd_ones_are_refused() -> None:
    files = learned().files()
    fresh, _ = cases(50, 3)
    back = FusionNetwork.from_files(files)

    np.testing.assert_array_equal(back.probabilities(fresh), learned().probabilities(fresh))
    assert back.files() == files
    assert {name.rpartition(".")[2] for name in files} == {"json", "safetensors"}
    content = model_files.from_json(files, "fusion.json")
    broken = [{**content, "labels": ["kept"]}, {**content, "recipe": {"dropout": 1, "magic": 2}}]
    broken += [{name: held for name, held in content.items() if name != "inputs"}]
    for each in broken:
        with pytest.raises(ModelUnavailable, match="do not fit together"):
            FusionNetwork.from_files({**files, "fusion.json": model_files.to_json(each)})
    tensors = model_files.from_tensors(files, "network.safetensors")
    tensors["numbers.weight"] = tensors["numbers.weight"][:-1]
    with pytest.raises(ModelUnavailable, match="numbers are of another width"):
        FusionNetwork.from_files({**files, "network.safetensors": model_files.to_tensors(tensors)})


def test_cases_that_lack_a_feature_or_have_other_vectors_are_refused() -> None:
    fresh, _ = cases(5, 3)
    with pytest.raises(ModelUnavailable, match=r"price.*train a model for it"):
        learned().probabilities(fresh.without_numbers(["price"]))
    with pytest.raises(ModelUnavailable, match="encoder has changed"):
        learned().probabilities(replace(fresh, vectors={**fresh.vectors, "text": np.ones((5, 5), dtype=np.float32)}))


def test_workflows_without_vectors_or_categories_have_a_network_too() -> None:
    table, y = cases(600, 1)
    numbers_alone = replace(table, vectors={}, category_names=(), categories=np.empty((600, 0), dtype=object))
    model = FusionNetwork(SETTINGS).fit(numbers_alone, y)
    assert log_loss(model.probabilities(numbers_alone), y) < np.log(3) - 0.05
    assert FusionNetwork.from_files(model.files()).files() == model.files()

    nothing = replace(numbers_alone, numbers=np.ones((600, 2)))
    with pytest.raises(ModelUnavailable, match="nothing to learn from"):
        FusionNetwork(SETTINGS).fit(nothing, y)


def test_torch_tells_what_numpy_tells_and_learns_the_same_on_another_device() -> None:
    """`cpu:0` is torch's other name for the processor, so all that a GPU would do runs here, but for the GPU."""
    model = learned()
    table, y = cases(300, 2)
    batch = InputBatch(*model.inputs_.groups(table))
    chosen = logits(model.weights_, batch).argmax(axis=1)
    told = contributions(model.weights_, batch, model.middle_, chosen)
    by_torch = contributions(model.weights_, batch, model.middle_, chosen, "cpu:0")

    np.testing.assert_allclose(logits(model.weights_, batch, "cpu:0"), logits(model.weights_, batch), atol=1e-12)
    assert told.keys() == by_torch.keys()
    for kind, part in told.items():
        np.testing.assert_allclose(by_torch[kind], part, atol=1e-12)
    lesson, start = Lesson(batch, y, np.ones(len(y))), network.fresh(batch, model.inputs_.sizes, 3, 7)
    here, _ = network.learned(lesson, start, Recipe(), 7, epochs=2)
    there, _ = network.learned(lesson, start, Recipe(), 7, epochs=2, device="cpu:0")
    for name, weights in here.items():
        np.testing.assert_array_equal(there[name], weights)


def test_a_network_learns_and_tells_on_the_device_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def on(name: str) -> str:
        asked.append(name)
        return "cpu" if name == "cpu" else "cpu:0"

    monkeypatch.setattr(fusion, "torch_device_name", on)
    monkeypatch.setattr(fusion, "described", lambda name, resolved: f"{name} as {resolved}")
    table, y = cases(300, 1)
    model = FusionNetwork(replace(SETTINGS, device="cuda:1")).fit(table, y, like=learned())
    assert model.trained_on_ == "cuda:1 as cpu:0"
    asked.clear()
    back = FusionNetwork.from_files(model.files(), "cuda")
    np.testing.assert_allclose(back.probabilities(table), FusionNetwork.from_files(model.files()).probabilities(table))
    assert asked == ["cuda", "cpu"]
    asked.clear()
    assert back.reasons(table, back.probabilities(table), 3) == model.reasons(table, model.probabilities(table), 3)
    assert asked == ["cuda", "cuda", "cuda:1", "cuda:1"]
