"""A device whose memory a batch does not fit into: the batch is halved, and the work goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.stored import Floats

T = TypeVar("T")


def in_halves(batch: Sequence[T], forward: Callable[[Sequence[T]], Floats]) -> Floats:
    """What `forward` makes of a batch, one row for each item; of its halves where the whole is too large.

    Raises:
        ModelUnavailable: a single item is too large for the device.
    """
    import torch

    try:
        return forward(batch)
    except torch.OutOfMemoryError as error:
        refuse_single(len(batch), error)
    # outside of the handler, whose traceback would keep the tensors of the first try alive
    torch.cuda.empty_cache()
    half = len(batch) // 2
    return np.concatenate([in_halves(batch[:half], forward), in_halves(batch[half:], forward)])


def refuse_single(items: int, error: Exception) -> None:
    """
    Raises:
        ModelUnavailable: there is nothing left to halve.
    """
    if items <= 1:
        raise ModelUnavailable(
            "the device has too little free memory for a single text or photo; end what else runs on it, or set "
            "PIPELINE_DEVICE=cpu"
        ) from error
