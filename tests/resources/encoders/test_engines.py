"""Engines: which one is chosen, that it agrees with full precision, and what happens where it does not."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import EXACT, Arithmetic, Engine, Precision, asked
from pipeline_project.domain.vectors.modalities import ImageTerms, TextTerms
from pipeline_project.domain.vectors.stored import Floats
from resources.encoders import EngineChoice, MiniLmTextEncoder, encoder_of, image_encoder, text_encoder
from resources.encoders.batches import halving
from resources.encoders.bert import BertShape, bert
from resources.encoders.engines import Network, chosen, prepared
from resources.encoders.engines import choice as choice_module
from resources.encoders.engines.machine import bfloat16_units, cores
from resources.encoders.engines.network import Inputs
from resources.encoders.engines.threads import spread
from resources.encoders.packed_bert import PackedBert
from resources.encoders.text_networks import sample_batches, sample_texts, text_forward, text_graph
from tests.resources.encoders.models import write_tiny_bert, write_tiny_vit

TEXTS = ["torn seam", "late", "parcel parcel late torn", "seam " * 100, ""]
ENGINES = [Engine.ONNXRUNTIME, Engine.OPENVINO]
REFUSED_MASK = "cosine of .* to those of full precision .* 0.9999 is the least"


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """One folder for what engines keep, as a home has."""
    return tmp_path_factory.mktemp("home") / "engines"


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory) -> Path:
    return write_tiny_vit(tmp_path_factory.mktemp("vit"))


# -- which one ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "limit", "there"),
    [
        ({"avx512f", "amx_bf16"}, "", True),
        ({"avx512f", "avx512_bf16"}, "", True),
        ({"avx512f", "avx512_vnni"}, "", False),
        ({"avx512_bf16", "amx_bf16"}, "AVX512_CORE_VNNI", False),
        ({"avx512_bf16", "amx_bf16"}, "sse41", False),
        ({"avx512_bf16"}, "AVX512_CORE_BF16", True),
        ({"amx_bf16"}, "avx512_core_amx", True),
    ],
)
def test_units_for_bfloat16_are_those_of_the_chip_that_onednn_may_use(flags, limit, there):
    assert bfloat16_units(frozenset(flags), limit) is there


def test_auto_is_torch_in_what_the_chip_has_units_for_whatever_is_installed(monkeypatch):
    auto = EngineChoice()
    for units, precision in ((True, Precision.BF16), (False, Precision.FP32)):
        monkeypatch.setattr(choice_module, "has_bfloat16_units", lambda units=units: units)
        assert chosen(auto, "cpu", narrow=True) == Arithmetic(Engine.TORCH, precision)
        assert chosen(EngineChoice(Engine.OPENVINO), "cpu", narrow=True).precision is precision
        # models of others stay as they were
        assert chosen(auto, "cpu") == chosen(auto, "cuda") == EXACT
        assert chosen(auto, "cuda:1", narrow=True) == Arithmetic(Engine.TORCH, Precision.FP16)
        assert chosen(EngineChoice(Engine.ONNXRUNTIME), "cpu", narrow=True).precision is Precision.FP32


@pytest.mark.parametrize(
    ("engine", "precision", "device", "says"),
    [
        ("onnxruntime", "bf16", "cpu", "write `precision:` auto, fp32"),
        ("torch", "int8", "cpu", "write `precision:` auto, fp32, bf16"),
        ("torch", "fp16", "cpu", "does not compute in fp16 on a processor"),
        ("auto", "int8", "cuda", "does not compute in int8 on a GPU"),
        ("openvino", "auto", "cuda", "set PIPELINE_DEVICE=cpu"),
    ],
)
def test_an_engine_that_cannot_is_refused_with_what_to_write(tiny_bert, engine, precision, device, says):
    choice = EngineChoice(Engine(engine), Precision(precision))
    for name in ("all-minilm-l6-v2", str(tiny_bert)):
        with pytest.raises(ValueError, match=says):
            text_encoder(name, device=device, choice=choice)


def test_engine_and_precision_are_part_of_the_version_and_vectors_of_the_exact_one_keep_theirs(monkeypatch):
    monkeypatch.setattr(choice_module, "has_bfloat16_units", lambda: True)
    versions = {
        (engine, precision): text_encoder("all-minilm-l6-v2", choice=EngineChoice(engine, precision)).version
        for engine, precision in (
            (Engine.AUTO, Precision.FP32), (Engine.AUTO, Precision.AUTO), (Engine.ONNXRUNTIME, Precision.AUTO),
            (Engine.OPENVINO, Precision.FP32), (Engine.OPENVINO, Precision.BF16), (Engine.AUTO, Precision.INT8),
        )
    }  # fmt: skip
    bare = "all-minilm-l6-v2-53aa51172d14-t256"
    suffixes = ["", "-torch-bf16", "-onnxruntime-fp32", "-openvino-fp32", "-openvino-bf16", "-openvino-int8"]
    assert list(versions.values()) == [f"{bare}{suffix}" for suffix in suffixes]
    # what a spec leaves open changes no step's code version
    assert asked(Engine.AUTO, Precision.AUTO) == "" and asked(Engine.TORCH, Precision.FP32) == " torch fp32"


def test_what_a_spec_says_of_engines_reaches_the_encoder(tiny_bert, tiny_vit, tmp_path):
    for modality, terms in (("text", TextTerms), ("image", ImageTerms)):
        folder = tiny_bert if modality == "text" else tiny_vit
        given = terms(str(folder), engine=Engine.ONNXRUNTIME, precision=Precision.FP32, least_cosine=0.5)
        made = encoder_of(modality, given, kept=tmp_path)
        assert made.version.endswith("-onnxruntime-fp32")
        assert vars(made)["choice"] == EngineChoice(Engine.ONNXRUNTIME, Precision.FP32, 0.5, tmp_path)


def test_photo_statistics_have_no_engine():
    with pytest.raises(ValueError, match="leave `engine` and `precision` out"):
        image_encoder("photo-statistics-v1", choice=EngineChoice(Engine.OPENVINO))


def test_an_engine_that_is_not_installed_says_how_to_install_it(tiny_bert, monkeypatch):
    for engine, extra, missing in (
        (Engine.ONNXRUNTIME, "onnx", "onnxruntime"),
        (Engine.ONNXRUNTIME, "onnx", "onnx"),
        (Engine.OPENVINO, "openvino", "openvino"),
    ):
        monkeypatch.setattr(choice_module, "find_spec", lambda name, missing=missing: None if name == missing else name)
        with pytest.raises(ModelUnavailable, match=rf"pip install '\.\[{extra}\]'"):
            text_encoder(str(tiny_bert), choice=EngineChoice(engine)).encode(["torn"])


# -- agreement ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "precision", "least"),
    [
        ("torch", "bf16", 0.9999),
        ("onnxruntime", "fp32", 0.999999),
        ("openvino", "fp32", 0.999999),
        ("auto", "int8", 0.993),
    ],
)
def test_every_engine_gives_the_vectors_of_full_precision(kept, engine, precision, least):
    exact = MiniLmTextEncoder(choice=EngineChoice(Engine.TORCH, Precision.FP32))
    other = MiniLmTextEncoder(choice=EngineChoice(Engine(engine), Precision(precision), folder=kept))
    texts = [*sample_texts()[::3], "too small", "The buckle came off while I was walking home from the station."]
    cosines = (exact.encode(texts) * other.encode(texts)).sum(axis=1)
    assert cosines.min() >= least
    assert other.dimension == 384 and other.encode([]).shape == (0, 384)


@pytest.mark.parametrize("engine", ENGINES)
def test_models_of_a_folder_run_in_other_engines(tiny_bert, tiny_vit, kept, engine):
    choice = EngineChoice(engine, folder=kept)
    expected = text_encoder(str(tiny_bert)).encode(TEXTS)
    assert (text_encoder(str(tiny_bert), choice=choice).encode(TEXTS) * expected).sum(axis=1).min() > 0.99999
    photos = [_photo(seed) for seed in range(5)]
    expected, _ = image_encoder(str(tiny_vit)).encode(photos)
    vectors, problems = image_encoder(str(tiny_vit), batch=2, choice=choice).encode(photos)
    assert problems == [None] * 5 and (vectors * expected).sum(axis=1).min() > 0.99999


def test_bfloat16_of_other_models_is_compared_too(tiny_bert, tiny_vit):
    choice = EngineChoice(Engine.TORCH, Precision.BF16, least_cosine=0.999)
    assert text_encoder(str(tiny_bert), choice=choice).encode(TEXTS).shape == (5, 16)
    assert image_encoder(str(tiny_vit), choice=choice).encode([_photo(1)])[1] == [None]


def _photo(seed: int) -> bytes:
    kept = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(kept, "PNG")
    return kept.getvalue()


def _network(
    folder: Path, hides_padding: bool = True, samples: Callable[[], Sequence[Inputs]] | None = None
) -> Network:
    """The tiny BERT by our own forward pass; one that does not hide padding is what a naive export once was."""
    import torch
    from safetensors.torch import load_file

    tensors, shape = load_file(folder / "model.safetensors"), BertShape(layers=2, heads=2)

    def first(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return bert(tensors, shape, tokens, mask)[:, 0]

    def traced(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen = mask if hides_padding else mask * 0 + 1
        return bert(tensors, shape, tokens, seen, always_masked=True)[:, 0]

    def batches() -> list[Inputs]:
        return sample_batches(
            lambda texts: [[2, *(5 + ord(letter) % 4 for letter in text[:20]), 3] for text in texts], 0
        )

    return Network(
        identity=f"tiny-{hides_padding}",
        in_torch=lambda precision, device: text_forward(first, torch.device(device)),
        graph=lambda: text_graph(traced, batches()[0]),
        samples=samples or batches,
    )


def test_a_graph_that_lost_the_attention_mask_is_refused(tiny_bert, tmp_path):
    arithmetic = Arithmetic(Engine.ONNXRUNTIME, Precision.FP32)
    choice = EngineChoice(folder=tmp_path)
    prepared(_network(tiny_bert), arithmetic, choice, "cpu")
    for _ in range(2):  # by comparing, then by what was remembered
        with pytest.raises(ModelUnavailable, match=REFUSED_MASK):
            prepared(_network(tiny_bert, hides_padding=False), arithmetic, choice, "cpu")
    prepared(_network(tiny_bert, hides_padding=False), arithmetic, replace(choice, least_cosine=0.1), "cpu")


def _never() -> Sequence[Inputs]:
    raise AssertionError("compared again")


def test_engines_are_compared_once_a_home_and_again_where_the_graph_is_another(tiny_bert, tmp_path):
    arithmetic, choice = Arithmetic(Engine.ONNXRUNTIME, Precision.FP32), EngineChoice(folder=tmp_path)
    prepared(_network(tiny_bert), arithmetic, choice, "cpu")
    prepared(_network(tiny_bert, samples=_never), arithmetic, choice, "cpu")
    (graph,) = (tmp_path / "graphs").iterdir()
    graph.write_bytes(_network(tiny_bert, hides_padding=False).graph())
    with pytest.raises(AssertionError, match="compared again"):
        prepared(_network(tiny_bert, samples=_never), arithmetic, choice, "cpu")
    with pytest.raises(ModelUnavailable, match=REFUSED_MASK):
        prepared(_network(tiny_bert), arithmetic, choice, "cpu")
    with pytest.raises(AssertionError, match="compared again"):
        prepared(_network(tiny_bert, samples=_never), arithmetic, EngineChoice(), "cpu")


def test_a_graph_that_is_no_graph_and_a_result_that_is_none_do_no_harm(tiny_bert, tmp_path):
    choice = EngineChoice(folder=tmp_path)
    for engine in ENGINES:
        prepared(_network(tiny_bert), Arithmetic(engine, Precision.FP32), choice, "cpu")
    for result in (tmp_path / "compared").iterdir():
        result.write_text("{")
    prepared(_network(tiny_bert), Arithmetic(Engine.ONNXRUNTIME, Precision.FP32), choice, "cpu")
    (graph,) = (tmp_path / "graphs").iterdir()
    graph.write_bytes(b"no graph")
    for engine in ENGINES:
        with pytest.raises(ModelUnavailable, match=r"cannot run this encoder .* write `engine: torch`"):
            prepared(_network(tiny_bert), Arithmetic(engine, Precision.FP32), choice, "cpu")


def test_vectors_that_are_no_numbers_are_refused(tiny_bert):
    network = _network(tiny_bert)
    exact = network.in_torch(Precision.FP32, "cpu")

    def spoiled(inputs: Inputs) -> Floats:
        return exact(inputs) * np.float32("nan")

    broken = replace(network, in_torch=lambda precision, device: exact if precision is Precision.FP32 else spoiled)
    with pytest.raises(ModelUnavailable, match=r"cosine of 0\.0"):
        prepared(broken, Arithmetic(Engine.TORCH, Precision.BF16), EngineChoice(), "cpu")


def test_a_model_that_torch_cannot_export_says_what_to_write():
    import torch

    def odd(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(mask.float() @ mask.float().T).real

    with pytest.raises(ModelUnavailable, match=r"cannot export this encoder .* leave `engine` out"):
        text_graph(odd, [np.ones((3, 3), np.int64)] * 2)


def test_the_packed_forward_pass_is_the_plain_one(tiny_bert):
    import torch
    from safetensors.torch import load_file

    tensors, shape = load_file(tiny_bert / "model.safetensors"), BertShape(layers=2, heads=2)
    tokens = torch.tensor([[2, 5, 6, 8, 7, 3], [2, 7, 3, 0, 0, 0]])
    with torch.inference_mode():
        for mask in ((tokens > 0).long(), torch.ones_like(tokens)):
            shown = mask.bool()
            expected = bert(tensors, shape, tokens, mask)[shown]
            torch.testing.assert_close(PackedBert(tensors, shape, torch.float32)(tokens, mask)[shown], expected)
            narrow = PackedBert(tensors, shape, torch.bfloat16)(tokens, mask)[shown]
            assert torch.nn.functional.cosine_similarity(narrow, expected).min() > 0.999


# -- threads and memory ---------------------------------------------------------------------------------------


def test_vectors_are_the_same_bits_however_many_threads_work(monkeypatch):
    texts = [" ".join(["torn", "seam", "late", "parcel"][: 1 + place % 4] * (1 + place % 7)) for place in range(60)]
    made = []
    for workers in (1, 2, 5):
        monkeypatch.setattr("resources.encoders.engines.cores", lambda workers=workers: workers)
        made.append(MiniLmTextEncoder(tokens_per_batch=128).encode(texts))
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


def test_parts_run_side_by_side_with_one_thread_each_and_leave_torch_as_it_was():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        both, counts = threading.Barrier(2, timeout=30), []

        def work(part: int) -> None:
            both.wait()  # nobody passes alone
            counts.append(torch.get_num_threads())

        spread(work, range(6), 2)
        later: list[int] = []
        newcomer = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        newcomer.start()
        newcomer.join()
        assert counts == [1] * 6 and torch.get_num_threads() == 3 and later == [3]
    finally:
        torch.set_num_threads(before)


def test_what_a_part_raises_is_raised_and_the_others_are_left_out():
    begun: list[int] = []

    def work(part: int) -> None:
        begun.append(part)
        raise KeyError(part)

    with pytest.raises(KeyError):
        spread(work, range(1000), 1)
    assert begun == [0]


def test_cores_are_those_of_the_process_and_at_most_what_openmp_is_told(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5})
    assert cores() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert cores() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert cores() == 3


#: Encodes more at once than its address space has room for, and prints how large the passes were that it made.
_SHORT_OF_MEMORY = """
import resource, sys
import numpy as np
from resources.encoders import EngineChoice, MiniLmTextEncoder
from pipeline_project.domain.vectors.engines import Engine, Precision

encoder = MiniLmTextEncoder(tokens_per_batch=10**6, choice=EngineChoice(Engine(sys.argv[1]), Precision.FP32))
texts = [f"parcel {number} came late and torn " * 8 for number in range(256)]
encoder.encode(texts[:4])
from dataclasses import replace
engine, sizes = encoder._engine, []

def noted(inputs):
    vectors = engine.forward(inputs)
    sizes.append(len(inputs[0]))
    return vectors

encoder.__dict__["_engine"] = replace(engine, forward=noted)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 150 * 2**20, resource.RLIM_INFINITY))
vectors = encoder.encode(texts)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
encoder.tokens_per_batch = 1024
print(max(sizes), sum(sizes), float((vectors * encoder.encode(texts)).sum(axis=1).min()))
"""


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_a_batch_that_does_not_fit_into_memory_is_halved_until_it_does(engine):
    command = [sys.executable, "-c", _SHORT_OF_MEMORY, engine]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    largest, encoded, least = done.stdout.split()
    assert int(largest) < 256 == int(encoded) and float(least) > 0.9999


def test_only_a_lack_of_memory_halves_a_batch():
    seen: list[int] = []

    def failing(error: Exception) -> Callable[[list[int]], Any]:
        def encode(batch: list[int]) -> None:
            seen.append(len(batch))
            if len(batch) > 1 or batch == [3]:
                raise error

        return encode

    with pytest.raises(ValueError, match="something else"):
        halving(failing(ValueError("something else")), [0, 1, 2, 3])
    assert seen == [4]
    with pytest.raises(RuntimeError, match="allocate"):
        halving(failing(RuntimeError("can't allocate memory: you tried to allocate 1 bytes")), [0, 1, 2, 3])
    assert seen == [4, 4, 2, 1, 1, 2, 1, 1]
