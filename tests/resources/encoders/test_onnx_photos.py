"""Encoders of photos that are an ONNX file: the vectors of the network that it was made of, and clear words else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Engine, Precision
from resources.encoders import EngineChoice, HubImageEncoder, OnnxImageEncoder, image_encoder
from resources.encoders.engines import exported
from resources.encoders.weights import FolderWeights
from tests.resources.encoders.models import write_tiny_vit

if TYPE_CHECKING:
    import torch

SCALING = '{"size": {"height": 32, "width": 32}, "image_mean": [0, 0, 0]}'


def photo(seed: int) -> bytes:
    kept = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(kept, "PNG")
    return kept.getvalue()


PHOTOS = [photo(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def torch_encoder(tmp_path_factory: pytest.TempPathFactory) -> HubImageEncoder:
    return HubImageEncoder(FolderWeights(write_tiny_vit(tmp_path_factory.mktemp("vit"))), batch=2)


@pytest.fixture
def folder(torch_encoder: HubImageEncoder, tmp_path: Path) -> Path:
    """The same network as a file, and nothing else of it."""
    (tmp_path / "model.onnx").write_bytes(torch_encoder._graph())
    (tmp_path / "preprocessor_config.json").write_text(SCALING, encoding="utf-8")
    return tmp_path


def graph_of(module: torch.nn.Module, *shape: int) -> bytes:
    import torch

    return exported.onnx_of(module, [torch.zeros(*shape)], ("pixels",), (0,))


def test_its_vectors_are_those_of_the_network_it_was_made_of(folder: Path, torch_encoder: HubImageEncoder) -> None:
    encoder = image_encoder(str(folder), batch=2)
    assert isinstance(encoder, OnnxImageEncoder)
    vectors, problems = encoder.encode([*PHOTOS, b"no photo"])
    expected, _ = torch_encoder.encode(PHOTOS)
    assert vectors.shape == (6, 16) and encoder.dimension == 16
    assert np.einsum("nd,nd->n", vectors[:5], expected).min() > 0.9999
    assert problems[:5] == [None] * 5 and problems[5]


def test_it_joins_others_and_its_version_follows_the_file(folder: Path) -> None:
    joined = image_encoder(["photo-statistics-v1", str(folder)])
    alone = image_encoder(str(folder))
    vectors, _ = joined.encode(PHOTOS)
    assert vectors.shape[1] > 16
    assert alone.version in joined.version and alone.version.startswith("onnx:")
    (folder / "preprocessor_config.json").write_text(SCALING.replace("[0, 0, 0]", "[1, 1, 1]"), encoding="utf-8")
    assert image_encoder(str(folder)).version != alone.version


def test_features_over_the_picture_are_averaged(tmp_path: Path) -> None:
    import torch

    class Colours(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(pixels, 16) + 0.5

    (tmp_path / "model.onnx").write_bytes(graph_of(Colours(), 2, 3, 32, 32))
    scaling = '{"size": 32, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}'
    (tmp_path / "preprocessor_config.json").write_text(scaling, encoding="utf-8")
    kept = io.BytesIO()
    Image.new("RGB", (32, 32), (255, 0, 0)).save(kept, "PNG")
    vectors, _ = image_encoder(str(tmp_path)).encode([kept.getvalue()])
    wanted = np.array([1.5, 0.5, 0.5])
    assert vectors[0] == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-5)


def test_what_cannot_be_used_is_said(folder: Path) -> None:
    import torch

    encoder = image_encoder(str(folder))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"no preprocessor_config\.json"):
        encoder.encode(PHOTOS)
    (folder / "preprocessor_config.json").write_text(SCALING.replace("32", "48"), encoding="utf-8")
    with pytest.raises(ModelUnavailable, match=r"does not take photos of shape \(photos, 3, 48, 48\)"):
        image_encoder(str(folder)).encode(PHOTOS)
    (folder / "preprocessor_config.json").write_text(SCALING, encoding="utf-8")

    class Nothing(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean(dim=(1, 2, 3))

    (folder / "model.onnx").write_bytes(graph_of(Nothing(), 2, 3, 32, 32))
    with pytest.raises(ModelUnavailable, match=r"gives features of shape \(\d,\)"):
        image_encoder(str(folder)).encode(PHOTOS)
    (folder / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelUnavailable, match="cannot run this encoder"):
        image_encoder(str(folder)).encode(PHOTOS)


@pytest.mark.parametrize(
    "choice",
    [EngineChoice(engine=Engine.TORCH), EngineChoice(engine=Engine.OPENVINO), EngineChoice(precision=Precision.INT8)],
)
def test_other_engines_and_numbers_are_refused_at_once(folder: Path, choice: EngineChoice) -> None:
    with pytest.raises(ValueError, match=r"onnxruntime"):
        image_encoder(str(folder), choice=choice)
