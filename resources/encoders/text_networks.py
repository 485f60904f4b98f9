"""What text encoders share as networks: forward passes on token ids and masks, their graph, and fixed samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.vectors.stored import Floats
from resources.encoders.batches import batches_by_tokens, padded
from resources.encoders.engines.exported import onnx_of
from resources.encoders.engines.network import Forward, Inputs

if TYPE_CHECKING:
    import torch

    #: Token ids and attention mask, both of shape (texts, longest), to vectors of shape (texts, dimension).
    Pooled = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_SENTENCES = (
    "The zip broke after two days.",
    "too small",
    "Der Reißverschluss ist nach zwei Tagen kaputt gegangen, ich möchte mein Geld zurück.",
    "I never received parcel 4711-B, and nobody answers my messages!",
    "注文が届かない 😀",
    "Le colis est arrivé en retard; la couture est déchirée et la couleur n'est pas celle de la photo.",
    "WHERE IS MY REFUND???",
    "Ordered 2 x size M on 03/04/2024, got 1 x size XL (EUR 49.90).",
)
#: How often a sentence is said: lengths up to where most encoders cut.
_TIMES = (2, 5, 12)


def sample_texts() -> list[str]:
    """Fixed texts of very different lengths, an empty one among them."""
    repeated = [" ".join([sentence] * times) for times, sentence in zip(_TIMES, _SENTENCES, strict=False)]
    joined = [" ".join(_SENTENCES[place : place + 2 + place]) for place in range(len(_SENTENCES) // 2)]
    return ["", *_SENTENCES, *repeated, *joined]


def sample_batches(ids_of: Callable[[Sequence[str]], Sequence[Sequence[int]]], padding: int) -> list[Inputs]:
    """The fixed texts in batches in which short ones stand beside long ones, so that padding has to be hidden."""
    ids = ids_of(sample_texts())
    ordered = [position for batch in batches_by_tokens([len(text) for text in ids], 1) for position in batch]
    parts = 2
    return [padded([ids[position] for position in ordered[part::parts]], padding) for part in range(parts)]


def text_forward(pooled: Pooled, device: torch.device) -> Forward:
    """A forward pass of torch on numpy's arrays."""
    import torch

    def forward(inputs: Inputs) -> Floats:
        with torch.inference_mode():
            tokens, mask = (torch.from_numpy(np.asarray(part)).to(device) for part in inputs)
            vectors: Floats = pooled(tokens, mask).float().cpu().numpy()
            return vectors

    return forward


def text_graph(pooled: Pooled, example: Inputs) -> bytes:
    """The same as an ONNX file, traced on a batch with padding.

    Raises:
        ModelUnavailable: torch cannot export it.
    """
    import torch

    class _Traced(torch.nn.Module):
        def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return pooled(tokens, mask)

    return onnx_of(_Traced(), [torch.from_numpy(np.asarray(part)) for part in example], ("tokens", "mask"), (0, 1))
