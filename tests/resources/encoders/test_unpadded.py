"""UnpaddedBatch batches give the vectors of padded ones, whatever the batches, and go on when memory is too small."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from pipeline_project.domain.core import devices
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Precision
from pipeline_project.domain.vectors.stored import unit
from resources.encoders import minilm, text_encoder
from resources.encoders.batches import masked_mean
from resources.encoders.bert import BertShape, bert
from resources.encoders.engines import EngineChoice
from resources.encoders.minilm import MiniLmTextEncoder
from resources.encoders.unpadded import UnpaddedBatch, UnpaddedBert, UnpaddedTexts, ahead, batches_without_padding

SHAPE, WIDTH, VOCABULARY, LONGEST = BertShape(layers=2, heads=2), 16, 40, 24
CPU = torch.device("cpu")


def small_bert(seed: int = 3) -> dict[str, torch.Tensor]:
    """Weights of a BERT by transformers' names, large enough that every part of it shows in a vector."""
    draw = torch.Generator().manual_seed(seed)
    layer = {
        "attention.self.query": (WIDTH, WIDTH), "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH), "attention.output.dense": (WIDTH, WIDTH),
        "attention.output.LayerNorm": (WIDTH,), "intermediate.dense": (4 * WIDTH, WIDTH),
        "output.dense": (WIDTH, 4 * WIDTH), "output.LayerNorm": (WIDTH,),
    }  # fmt: skip
    tensors = {
        f"embeddings.{name}.weight": torch.randn(rows, WIDTH, generator=draw)
        for name, rows in {
            "word_embeddings": VOCABULARY,
            "position_embeddings": LONGEST,
            "token_type_embeddings": 2,
        }.items()
    }
    shapes = {f"encoder.layer.{number}.{name}": shape for number in range(2) for name, shape in layer.items()}
    for name, shape in {"embeddings.LayerNorm": (WIDTH,), **shapes}.items():
        tensors[f"{name}.weight"] = torch.randn(*shape, generator=draw) * 0.4
        tensors[f"{name}.bias"] = torch.randn(shape[0], generator=draw) * 0.4
    return tensors


def ids_of(count: int, seed: int = 5) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(1, VOCABULARY, size=int(size)).tolist() for size in draw.integers(1, LONGEST + 1, count)]


def tokenize(texts: Sequence[str]) -> list[list[int]]:
    return [[int(word) for word in text.split()] for text in texts]


def padded_vectors(ids: Sequence[Sequence[int]]) -> np.ndarray:
    lengths = torch.tensor([len(text) for text in ids])
    mask = (torch.arange(LONGEST)[None, :] < lengths[:, None]).long()
    tokens = torch.tensor([[*text, *[0] * (LONGEST - len(text))] for text in ids])
    return unit(masked_mean(bert(small_bert(), SHAPE, tokens, mask), mask).numpy())


def unpadded_texts(forward: Any = None, **given: Any) -> UnpaddedTexts:
    model = UnpaddedBert(small_bert(), SHAPE, CPU, torch.float32)
    return UnpaddedTexts(tokenize, forward or model, model.dimension, **given)


def texts_of(ids: Sequence[Sequence[int]]) -> list[str]:
    return [" ".join(map(str, text)) for text in ids]


@pytest.mark.parametrize(("tokens", "texts_at_once"), [(50, 7), (1000, 60), (LONGEST - 20, 60)])
def test_unpadded_and_padded_batches_give_the_same_vectors_in_the_order_given(tokens: int, texts_at_once: int) -> None:
    ids = ids_of(60)
    made = unpadded_texts(tokens=tokens, texts_at_once=texts_at_once).encode(texts_of(ids))
    assert (made * padded_vectors(ids)).sum(axis=1).min() > 0.99999


def test_minilm_unpadded_is_minilm_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = MiniLmTextEncoder(choice=EngineChoice(precision=Precision.FP32))
    texts = ["Seam torn.", "x", "The colour is not that of the photo, I want my money back.", "late " * 90]
    expected = encoder.encode(texts)
    for dtype, limit in ((torch.float32, 0.999999), (torch.float16, 0.99999)):
        model = UnpaddedBert(encoder._tensors, minilm._SHAPE, CPU, dtype)
        made = UnpaddedTexts(encoder._ids, model, 384).encode(texts)
        assert (made * expected).sum(axis=1).min() > limit


def test_a_gpu_gets_unpadded_batches_in_half_precision_and_a_version_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As far as it can be tried without one: what names the device is asked, and the tensors stay on the processor."""
    monkeypatch.setattr(devices, "torch_device_name", lambda name: "cuda" if name == "auto" else name)
    monkeypatch.setattr(minilm, "torch_device", lambda name: CPU)
    encoder: Any = text_encoder("all-minilm-l6-v2", device="auto")
    plain = MiniLmTextEncoder()
    assert encoder.version.endswith("-fp16") and not plain.version.endswith("-fp16")
    made = encoder.encode(["The seam is torn."])
    assert encoder._unpadded.forward.dtype == torch.float16
    # compared with padded batches in full precision before it was used
    assert encoder._engine.arithmetic.precision is Precision.FP16
    assert (made * plain.encode(["The seam is torn."])).sum() > 0.999


def test_a_batch_holds_no_more_than_its_tokens_unless_it_is_one_text() -> None:
    ids = ids_of(80)
    batches = list(batches_without_padding(ids, 1000, 48))
    assert all(len(batch.tokens) <= 48 for batch in batches)
    assert sorted(text for batch in batches for text in batch.texts) == list(range(1000, 1080))
    for batch in batches:
        for place, text in enumerate(batch.texts):
            alone = batch.part(place, place + 1)
            assert alone.tokens.tolist() == ids[text - 1000] and alone.starts.tolist() == [0, len(ids[text - 1000])]
            assert alone.places.tolist() == list(range(len(ids[text - 1000])))
    assert [len(batch) for batch in batches_without_padding([[1] * 9, [1] * 9], 0, 4)] == [1, 1]


class Cramped:
    """A model on a device into whose memory so many tokens fit; counts what it was given."""

    def __init__(self, fits: int) -> None:
        self.model, self.fits, self.given = UnpaddedBert(small_bert(), SHAPE, CPU, torch.float32), fits, []

    given: list[int]

    def __call__(self, batch: UnpaddedBatch) -> torch.Tensor:
        self.given.append(len(batch.tokens))
        if len(batch.tokens) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.model(batch)


def test_out_of_memory_halves_the_batch_and_the_ones_after_it() -> None:
    ids, model = ids_of(60), Cramped(fits=150)
    encoder = unpadded_texts(model, tokens=400, texts_at_once=20)
    made = encoder.encode(texts_of(ids))
    assert (made * padded_vectors(ids)).sum(axis=1).min() > 0.99999
    failed = [tokens for tokens in model.given if tokens > 150]
    assert failed and encoder.tokens <= 200
    # learned from: the last chunk is not tried as large as the first one was
    assert max(model.given[-3:]) < max(failed)


def test_a_single_text_that_does_not_fit_says_what_to_do() -> None:
    with pytest.raises(ModelUnavailable, match="set PIPELINE_DEVICE=cpu"):
        unpadded_texts(Cramped(fits=2)).encode(["1 2 3 4"])


def test_the_next_texts_are_made_while_the_caller_works_and_no_more_than_so_many() -> None:
    made: list[int] = []
    third = threading.Event()

    def make(number: int) -> int:
        made.append(number)
        if number == 2:
            third.set()
        return number * 10

    results = ahead(make, range(9), most=2)
    assert next(results) == 0
    assert third.wait(10), "two were to be made meanwhile"
    assert next(results) == 10 and len(made) <= 4
    assert [*results] == [number * 10 for number in range(2, 9)]


def test_an_error_while_tokenizing_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        unpadded_texts(texts_at_once=1).encode(["1", "no number", "2"])
