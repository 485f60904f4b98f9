"""Encoders by name or folder, through transformers: any BERT-like model for texts, any vision model for photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Precision
from pipeline_project.domain.vectors.stored import Floats
from pipeline_project.ports.encoders import PreparedPart
from resources.encoders.batches import (
    batches_by_tokens,
    encode_in_batches,
    ids_of_prepared,
    masked_mean,
    prepared_texts,
)
from resources.encoders.engines import USUAL, EngineChoice, Forward, Inputs, Network, Prepared, chosen, prepared
from resources.encoders.photo_networks import PhotoNetwork
from resources.encoders.text_networks import sample_batches, text_forward, text_graph
from resources.encoders.weights import Weights, json_of, load_pretrained, narrowed, torch_device

if TYPE_CHECKING:
    import torch

    from resources.encoders.photo_networks import PhotoFeatures


class HubTextEncoder:
    """A transformers model whose last hidden states become one vector: their mean, or the first token's state
    where the model's own `1_Pooling/config.json` says so.

    Args:
        weights: where the files are.
        tokens_per_batch: padded size of a batch.
        max_tokens: longer texts are cut here, markers included; never more than the model can read.
        device: cpu or cuda.
        choice: the engine and its precision, as the spec asks for them.

    Raises:
        ValueError: the engine does not compute in that precision, or not on that device.
    """

    def __init__(
        self,
        weights: Weights,
        tokens_per_batch: int = 1024,
        max_tokens: int = 256,
        device: str = "cpu",
        choice: EngineChoice = USUAL,
    ) -> None:
        self.weights = weights
        self.tokens_per_batch = tokens_per_batch
        self.max_tokens = max_tokens
        self.device = device
        self.choice = choice
        self.arithmetic = chosen(choice, device)

    @property
    def version(self) -> str:
        return f"{self.weights.identity}-t{self.max_tokens}{self.arithmetic.suffix}"

    @cached_property
    def dimension(self) -> int:
        return int(self._config.hidden_size)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length float32, shape (texts, dimension), in the order given.

        Raises:
            ModelUnavailable: the files cannot be had or used, or there is no such device.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        return self._of_ids(self._ids(texts))

    def prepare(self, texts: Sequence[str], most: int | None = None) -> tuple[list[PreparedPart], dict[int, str]]:
        """Token ids in parts of whole batches, for `encode_prepared`."""
        ids = self._ids(texts)
        return prepared_texts(ids, batches_by_tokens([len(text) for text in ids], self.tokens_per_batch), most)

    def encode_prepared(self, prepared: Sequence[bytes]) -> Floats:
        """As `encode`."""
        return self._of_ids(ids_of_prepared(prepared))

    def _of_ids(self, ids: Sequence[Sequence[int]]) -> Floats:
        return encode_in_batches(ids, self.tokens_per_batch, self._padding, self._engine, self.dimension)

    @cached_property
    def _engine(self) -> Prepared:
        network = Network(
            identity=f"{self.weights.identity}-t{self.max_tokens}",
            in_torch=self._in_torch,
            graph=lambda: text_graph(self._pooled(torch_device("cpu")), self._samples()[0]),
            samples=self._samples,
        )
        return prepared(network, self.arithmetic, self.choice, self.device)

    def _samples(self) -> list[Inputs]:
        return sample_batches(self._ids, self._padding)

    def _in_torch(self, precision: Precision, device: str) -> Forward:
        place = torch_device(device)
        return text_forward(narrowed(self._pooled(place), precision, place), place)

    def _pooled(self, device: torch.device) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        model, first_token = self._model(device), self._first_token

        def pooled(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = model(input_ids=tokens, attention_mask=mask).last_hidden_state
            return hidden[:, 0] if first_token else masked_mean(hidden, mask)

        return pooled

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        tokenizer = self._tokenizer
        longest = min(self.max_tokens, tokenizer.model_max_length, self._readable)
        ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=longest, padding=False)["input_ids"]
        return ids

    @property
    def _padding(self) -> int:
        return self._tokenizer.pad_token_id or 0

    @property
    def _readable(self) -> int:
        """Tokens that the model has positions for."""
        return int(getattr(self._config, "max_position_embeddings", 0) or 0) or self.max_tokens

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(str(self._folder), trust_remote_code=False, local_files_only=True)

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

    def _model(self, device: torch.device) -> Any:
        return load_pretrained(self._folder, device)

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


class HubImageEncoder(PhotoNetwork):
    """A transformers vision model: the image features of a two-towered one, else the first token's last state, or
    the mean over the picture where there are no tokens.

    Args:
        weights: where the files are; the others as of `PhotoNetwork`.
    """

    def __init__(
        self,
        weights: Weights,
        batch: int = 32,
        max_pixels: int = 50_000_000,
        device: str = "cpu",
        choice: EngineChoice = USUAL,
    ) -> None:
        super().__init__(batch, max_pixels, device, choice)
        self.weights = weights

    @property
    def identity(self) -> str:
        return self.weights.identity

    @cached_property
    def dimension(self) -> int:
        """Of the vector of a white photo, because configurations name it in too many ways."""
        from PIL import Image

        white = [Image.new("RGB", self.size, "white")]
        return int(self.prepared.forward([self.scaled(white)]).shape[1])

    def features(self, device: torch.device) -> PhotoFeatures:
        return partial(_features, load_pretrained(self._folder, device))

    @cached_property
    def _folder(self) -> Path:
        return self.weights.folder()

    @cached_property
    def size(self) -> tuple[int, int]:
        size = self._preprocessing.get("crop_size") or self._preprocessing.get("size") or 224
        if isinstance(size, int):
            return size, size
        shortest = size.get("shortest_edge", 224)
        return int(size.get("width", shortest)), int(size.get("height", shortest))

    @cached_property
    def normalization(self) -> tuple[Floats, Floats]:
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


def _features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """One row of features per photo, wherever this model keeps them."""
    if hasattr(model, "get_image_features"):
        output = model.get_image_features(pixel_values=pixels)
        return output if hasattr(output, "shape") else output.pooler_output
    hidden = model(pixel_values=pixels).last_hidden_state
    return hidden.mean(dim=(2, 3)) if hidden.ndim == 4 else hidden[:, 0]
