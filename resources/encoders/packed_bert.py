"""BERT's forward pass as processors run it quickest: weights laid out for oneDNN once, the activation and the residual
part of the multiplication that comes before them.

The same arithmetic as `bert.py`, which stays what a reader reads and what runs where oneDNN does not.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.encoders.bert import BertShape

if TYPE_CHECKING:
    import torch

    Pair = tuple[torch.Tensor, torch.Tensor]


def can_pack() -> bool:
    """Whether torch multiplies with oneDNN here, and with the operations that its own compiler uses on x86."""
    import torch

    return platform.machine() in ("x86_64", "AMD64") and bool(torch._C._has_mkldnn)


@dataclass(frozen=True)
class _Layer:
    """Weight and bias of each part; the normalizations' are in full precision."""

    joint: Pair
    attended: Pair
    attended_norm: Pair
    widened: Pair
    narrowed: Pair
    norm: Pair


class PackedBert:
    """Hidden states of the last layer, as `bert` gives them.

    Args:
        tensors: in full precision, by the names that transformers gives them.
        kind: torch.float32, or torch.bfloat16 for multiplications and attention; the residual stream and the
            normalizations stay in full precision.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], shape: BertShape, kind: torch.dtype) -> None:
        import torch

        self._shape = shape
        self._kind = kind
        self._linear = torch.ops.mkldnn._linear_pointwise
        self._words = tensors["embeddings.word_embeddings.weight"]
        first_type = tensors["embeddings.token_type_embeddings.weight"][0]
        self._positions = tensors["embeddings.position_embeddings.weight"] + first_type
        self._norm = _pair(tensors, "embeddings.LayerNorm")
        self._layers = [self._layer(tensors, f"encoder.layer.{layer}") for layer in range(shape.layers)]

    def __call__(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token ids and mask of shape (texts, longest) to (texts, longest, dimension), float32."""
        import torch

        hidden = self._normed(self._words[tokens] + self._positions[: tokens.shape[1]], self._norm)
        # Nothing to hide when every text fills its row, and attention without a mask is quicker.
        hiding = None
        if not bool(mask.all()):
            hiding = torch.zeros(mask.shape, dtype=self._kind).masked_fill_(mask == 0, float("-inf"))[:, None, None, :]
        for layer in self._layers:
            attended = self._attention(hidden.to(self._kind), layer, hiding)
            hidden = self._normed(self._added(attended, layer.attended, hidden), layer.attended_norm)
            inner = self._linear(hidden.to(self._kind), *layer.widened, "gelu", [], "none")
            hidden = self._normed(self._added(inner, layer.narrowed, hidden), layer.norm)
        return hidden

    def _attention(self, hidden: torch.Tensor, layer: _Layer, hiding: torch.Tensor | None) -> torch.Tensor:
        from torch.nn import functional

        texts, longest, dimension = hidden.shape
        joint = self._linear(hidden, *layer.joint, "none", [], "none")
        query, key, value = joint.view(texts, longest, 3, self._shape.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=hiding)
        return seen.transpose(1, 2).reshape(texts, longest, dimension)

    def _added(self, inner: torch.Tensor, weights: Pair, hidden: torch.Tensor) -> torch.Tensor:
        """`hidden` and the product; the first is not needed any more."""
        if self._kind == hidden.dtype:
            added: torch.Tensor = self._linear.binary(inner, hidden, *weights, "add")
            return added
        return hidden.add_(self._linear(inner, *weights, "none", [], "none"))

    def _normed(self, hidden: torch.Tensor, weights: Pair) -> torch.Tensor:
        from torch.nn import functional

        return functional.layer_norm(hidden, weights[0].shape, *weights, self._shape.epsilon)

    def _layer(self, tensors: Mapping[str, torch.Tensor], name: str) -> _Layer:
        import torch

        parts = [_pair(tensors, f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
        joint = torch.cat([weight for weight, _ in parts]), torch.cat([bias for _, bias in parts])
        return _Layer(
            self._packed(joint),
            self._packed(_pair(tensors, f"{name}.attention.output.dense")),
            _pair(tensors, f"{name}.attention.output.LayerNorm"),
            self._packed(_pair(tensors, f"{name}.intermediate.dense")),
            self._packed(_pair(tensors, f"{name}.output.dense")),
            _pair(tensors, f"{name}.output.LayerNorm"),
        )

    def _packed(self, pair: Pair) -> Pair:
        import torch

        weight, bias = pair
        return torch.ops.mkldnn._reorder_linear_weight(weight.to(self._kind).contiguous(), None), bias.to(self._kind)


def _pair(tensors: Mapping[str, torch.Tensor], name: str) -> Pair:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]
