"""Batches by token budget: a batch costs its longest text times its size, so texts of like length go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.vectors.stored import Floats, unit

if TYPE_CHECKING:
    import torch

    #: Token ids and attention mask, both of shape (texts, longest), to vectors of shape (texts, dimension).
    Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def batches_by_tokens(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions in batches whose padded size stays within `budget` tokens; a text beyond it goes alone.

    The longest come first, so that a batch too large for memory fails at once and not at the end.
    """
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def encode_in_batches(
    ids: Sequence[Sequence[int]], budget: int, padding: int, device: torch.device, forward: Forward, dimension: int
) -> Floats:
    """Unit-length vectors in the order of `ids`, shape (texts, dimension), whatever the batches were."""
    import torch

    vectors = np.zeros((len(ids), dimension), np.float32)
    with torch.inference_mode():
        for batch in batches_by_tokens([len(text) for text in ids], budget):
            longest = max(len(ids[position]) for position in batch)
            tokens = np.full((len(batch), longest), padding, np.int64)
            mask = np.zeros((len(batch), longest), np.int64)
            for row, position in enumerate(batch):
                tokens[row, : len(ids[position])] = ids[position]
                mask[row, : len(ids[position])] = 1
            made = forward(torch.from_numpy(tokens).to(device), torch.from_numpy(mask).to(device))
            vectors[batch] = made.float().cpu().numpy()
    return unit(vectors)


def masked_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean over a text's own tokens, padding left out: (texts, tokens, d) to (texts, d)."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
