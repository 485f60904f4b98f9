"""Encoders by name or folder, through transformers: any BERT-like model for texts, any vision model for photos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable, PhotoUnreadable
from pipeline_project.domain.intake.photo_opener import open_photo
from pipeline_project.domain.vectors.stored import Floats, unit
from resources.encoders.batches import encode_in_batches, masked_mean
from resources.encoders.weights import Weights, json_of, load_pretrained, torch_device

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


class HubTextEncoder:
    """A transformers model whose last hidden states become one vector: their mean, or the first token's state
    where the model's own `1_Pooling/config.json` says so.

    Args:
        weights: where the files are.
        tokens_per_batch: padded size of a batch.
        max_tokens: longer texts are cut here, markers included; never more than the model can read.
        device: cpu or cuda.
    """

    def __init__(
        self, weights: Weights, tokens_per_batch: int = 2048, max_tokens: int = 256, device: str = "cpu"
    ) -> None:
        self.weights = weights
        self.tokens_per_batch = tokens_per_batch
        self.max_tokens = max_tokens
        self.device = device

    @property
    def version(self) -> str:
        return f"{self.weights.identity}-t{self.max_tokens}"

    @cached_property
    def dimension(self) -> int:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(str(self._folder), trust_remote_code=False, local_files_only=True)
        return int(config.hidden_size)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length float32, shape (texts, dimension), in the order given.

        Raises:
            ModelUnavailable: the files cannot be had or used, or there is no such device.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        model, tokenizer = self._model, self._tokenizer
        readable = int(getattr(model.config, "max_position_embeddings", 0) or 0)
        longest = min(self.max_tokens, tokenizer.model_max_length, readable if readable > 0 else self.max_tokens)
        ids = tokenizer(list(texts), truncation=True, max_length=longest, padding=False)["input_ids"]
        first_token = self._first_token

        def forward(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = model(input_ids=tokens, attention_mask=mask).last_hidden_state
            return hidden[:, 0] if first_token else masked_mean(hidden, mask)

        padding = tokenizer.pad_token_id or 0
        return encode_in_batches(
            ids, self.tokens_per_batch, padding, torch_device(self.device), forward, self.dimension
        )

    @cached_property
    def _folder(self) -> Path:
        return self.weights.folder()

    @cached_property
    def _first_token(self) -> bool:
        if any(self._folder.glob("*_Dense")):
            raise ModelUnavailable(
                "the encoder has layers after its pooling, which this project does not run; choose a "
                "sentence-transformers model of Transformer, Pooling and Normalize alone"
            )
        pooling = json_of(self._folder / "1_Pooling", "config.json")
        return bool(pooling.get("pooling_mode_cls_token")) or pooling.get("pooling_mode") == "cls"

    @cached_property
    def _model(self) -> Any:
        return load_pretrained(self._folder, torch_device(self.device))

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(self._folder), trust_remote_code=False, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelUnavailable(
                f"the encoder's tokenizer cannot be loaded ({type(error).__name__}); the folder needs the files that "
                "tokenizer.save_pretrained(folder) writes"
            ) from error
        tokenizer.padding_side = "right"
        return tokenizer


class HubImageEncoder:
    """A transformers vision model: the image features of a two-towered one, else the first token's last state, or
    the mean over the picture where there are no tokens.

    Args:
        weights: where the files are.
        batch: photos in a batch.
        max_pixels: a larger photo is refused unopened.
        device: cpu or cuda.
    """

    def __init__(self, weights: Weights, batch: int = 32, max_pixels: int = 50_000_000, device: str = "cpu") -> None:
        self.weights = weights
        self.batch = batch
        self.max_pixels = max_pixels
        self.device = device

    @property
    def version(self) -> str:
        return self.weights.identity

    @cached_property
    def dimension(self) -> int:
        """Found by encoding a white photo, because configurations name it in too many ways."""
        from PIL import Image

        return int(self._forward([Image.new("RGB", self._size, "white")]).shape[1])

    def encode(self, images: Sequence[bytes]) -> tuple[Floats, list[str | None]]:
        """Unit-length float32 vectors, shape (images, dimension), zeros where one failed; and why, or None.

        Raises:
            ModelUnavailable: the files cannot be had or used, or there is no such device.
        """
        vectors = np.zeros((len(images), self.dimension), np.float32)
        problems: list[str | None] = [None] * len(images)
        for start in range(0, len(images), self.batch):
            opened: dict[int, Image] = {}
            for row in range(start, min(start + self.batch, len(images))):
                try:
                    opened[row] = open_photo(images[row], self.max_pixels, self._size)
                except PhotoUnreadable as problem:
                    problems[row] = str(problem)
            if opened:
                vectors[list(opened)] = self._forward(list(opened.values()))
        return unit(vectors), problems

    def _forward(self, photos: Sequence[Image]) -> Floats:
        import torch

        mean, spread = self._normalization
        pixels = (np.stack([np.asarray(photo, np.float32) for photo in photos]) / 255 - mean) / spread
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32))
            features = _features(self._model, tensor.to(torch_device(self.device)))
            return features.float().cpu().numpy()

    @cached_property
    def _folder(self) -> Path:
        return self.weights.folder()

    @cached_property
    def _size(self) -> tuple[int, int]:
        """Width and height that the model reads. Photos are squeezed to it, not cropped: damage sits at edges too."""
        size = self._preprocessing.get("crop_size") or self._preprocessing.get("size") or 224
        if isinstance(size, int):
            return size, size
        shortest = size.get("shortest_edge", 224)
        return int(size.get("width", shortest)), int(size.get("height", shortest))

    @cached_property
    def _normalization(self) -> tuple[Floats, Floats]:
        mean = self._preprocessing.get("image_mean", [0.5] * 3)
        spread = self._preprocessing.get("image_std", [0.5] * 3)
        return np.asarray(mean, np.float32), np.asarray(spread, np.float32)

    @cached_property
    def _preprocessing(self) -> dict[str, Any]:
        config = json_of(self._folder, "preprocessor_config.json")
        if not config:
            raise ModelUnavailable(
                "the encoder has no preprocessor_config.json, so the size and scale of its photos are unknown; add "
                "the file that image_processor.save_pretrained(folder) writes"
            )
        return config

    @cached_property
    def _model(self) -> Any:
        return load_pretrained(self._folder, torch_device(self.device))


def _features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """One row of features per photo, wherever this model keeps them."""
    if hasattr(model, "get_image_features"):
        output = model.get_image_features(pixel_values=pixels)
        return output if hasattr(output, "shape") else output.pooler_output
    hidden = model(pixel_values=pixels).last_hidden_state
    return hidden.mean(dim=(2, 3)) if hidden.ndim == 4 else hidden[:, 0]
