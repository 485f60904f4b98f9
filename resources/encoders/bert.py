"""The forward pass of BERT on a file of tensors: all of transformers that the built-in encoder needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BertShape:
    """The numbers of a BERT's `config.json` that its tensors do not tell."""

    layers: int
    heads: int
    epsilon: float = 1e-12


def bert(
    tensors: Mapping[str, torch.Tensor],
    shape: BertShape,
    tokens: torch.Tensor,
    mask: torch.Tensor,
    always_masked: bool = False,
) -> torch.Tensor:
    """Hidden states of the last layer.

    Args:
        tensors: by the names that transformers gives them.
        tokens, mask: shape (texts, longest), int64; the mask is 1 for a text's own tokens.
        always_masked: also where no text has padding, as a graph that is traced for later texts must.

    Returns:
        Shape (texts, longest, dimension).
    """
    from torch.nn import functional

    def linear(hidden: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return functional.linear(hidden.to(weight.dtype), weight, bias).to(hidden.dtype)

    def normed(hidden: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = tensors[f"{name}.LayerNorm.weight"], tensors[f"{name}.LayerNorm.bias"]
        return functional.layer_norm(hidden, weight.shape, weight, bias, shape.epsilon)

    def split(hidden: torch.Tensor) -> torch.Tensor:
        return hidden.view(*hidden.shape[:2], shape.heads, -1).transpose(1, 2)

    longest = tokens.shape[1]
    hidden = tensors["embeddings.word_embeddings.weight"][tokens]
    hidden = hidden + tensors["embeddings.position_embeddings.weight"][:longest]
    hidden = normed(hidden + tensors["embeddings.token_type_embeddings.weight"][0], "embeddings")
    # Nothing to hide when every text fills its row, and attention without a mask is quicker.
    hides = always_masked or not bool(mask.all())
    visible = mask.bool()[:, None, None, :] if hides else None
    for layer in range(shape.layers):
        name = f"encoder.layer.{layer}"
        parts = (f"{name}.attention.self.{part}" for part in ("query", "key", "value"))
        query, key, value = (split(linear(hidden, part)) for part in parts)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        seen = seen.transpose(1, 2).flatten(2)
        hidden = normed(linear(seen, f"{name}.attention.output.dense") + hidden, f"{name}.attention.output")
        inner = functional.gelu(linear(hidden, f"{name}.intermediate.dense"))
        hidden = normed(linear(inner, f"{name}.output.dense") + hidden, f"{name}.output")
    return hidden
