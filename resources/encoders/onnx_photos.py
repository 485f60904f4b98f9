"""Encoders of photos that are an ONNX file: whatever wrote it, ONNX Runtime runs it, and no code of a model's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Engine
from pipeline_project.domain.vectors.stored import Floats
from resources.encoders.engines import USUAL, EngineChoice, Inputs, Prepared
from resources.encoders.engines.machine import cores
from resources.encoders.engines.onnxruntime_engine import onnxruntime_forward
from resources.encoders.hub import HubImageEncoder

if TYPE_CHECKING:
    import torch

    from resources.encoders.photo_networks import PhotoFeatures

#: The file in an encoder's folder; beside it stands how photos are scaled.
GRAPH, SCALING = "model.onnx", "preprocessor_config.json"


@dataclass(frozen=True)
class OnnxWeights:
    """An ONNX file in a local folder, with `preprocessor_config.json` beside it."""

    path: Path

    @cached_property
    def identity(self) -> str:
        """Hashed from the two files, because a folder's content can change under the same name."""
        digest = hashlib.sha256()
        for name in (GRAPH, SCALING):
            file = self.path / name
            if file.is_file():
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
        return f"onnx:{digest.hexdigest()[:16]}"

    def folder(self) -> Path:
        return self.path


class OnnxImageEncoder(HubImageEncoder):
    """A network that takes pixels of shape (photos, 3, height, width) and gives features: of shape (photos, dimension),
    or over the picture as (photos, dimension, rows, columns), whose mean is taken, or over tokens as (photos, tokens,
    dimension), of which the first is.

    Args:
        weights: where the files are; the others as of `PhotoNetwork`.

    Raises:
        ValueError: the spec asks for another engine, or for a GPU, or for less than full precision.
    """

    def __init__(
        self,
        weights: OnnxWeights,
        batch: int = 32,
        max_pixels: int = 50_000_000,
        device: str = "cpu",
        choice: EngineChoice = USUAL,
    ) -> None:
        if choice.engine not in (Engine.AUTO, Engine.ONNXRUNTIME):
            raise ValueError(f"an encoder that is an ONNX file runs in onnxruntime, not in {choice.engine}")
        super().__init__(weights, batch, max_pixels, device, replace(choice, engine=Engine.ONNXRUNTIME))

    @cached_property
    def prepared(self) -> Prepared:
        """The file in ONNX Runtime; there is no other pass to compare it with.

        Raises:
            ModelUnavailable: it cannot be read or run, or does not take photos and give features.
        """
        if find_spec("onnxruntime") is None:
            raise ModelUnavailable(
                "the encoder is an ONNX file, and ONNX Runtime is not installed: pip install '.[onnx]'"
            )
        try:
            run = onnxruntime_forward((self._folder / GRAPH).read_bytes())
        except OSError as error:
            raise ModelUnavailable(f"{GRAPH} of the encoder cannot be read ({type(error).__name__})") from error

        def forward(inputs: Inputs) -> Floats:
            try:
                features = np.asarray(run(inputs))
            except Exception as error:
                raise ModelUnavailable(
                    f"{GRAPH} does not take photos of shape (photos, 3, {self.size[1]}, {self.size[0]}) "
                    f"({type(error).__name__}); export it with a free first axis, and name its size in {SCALING}"
                ) from error
            if features.ndim not in (2, 3, 4) or len(features) != len(inputs[0]):
                raise ModelUnavailable(
                    f"{GRAPH} gives features of shape {features.shape} for {len(inputs[0])} photos; export one output "
                    "with a row for each photo"
                )
            pooled = {2: features, 3: features[:, 0], 4: features}[features.ndim]
            return np.asarray(pooled.mean(axis=(2, 3)) if pooled.ndim == 4 else pooled, dtype=np.float32)

        return Prepared(forward, self.arithmetic, cores())

    def features(self, device: torch.device) -> PhotoFeatures:
        """
        Raises:
            ModelUnavailable: always, torch has no pass of an ONNX file.
        """
        raise ModelUnavailable("an encoder that is an ONNX file has no pass in torch; leave `engine` out")
