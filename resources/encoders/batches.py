"""Batches by token budget: a batch costs its longest text times its size, so texts of like length go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.vectors.stored import Floats, unit
from pipeline_project.ports.encoders import PreparedPart
from resources.encoders.engines.network import Inputs, Prepared
from resources.encoders.engines.threads import spread

if TYPE_CHECKING:
    import torch

#: Texts that are handed over together where nobody says how many: some batches, little work to lose.
_USUAL_PART = 128
#: What the message of an engine that gets no memory says, where it has no exception of its own for it.
_NO_MEMORY = ("allocate memory", "bad allocation", "bad_alloc", "out of memory", "not enough memory")


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


def padded(ids: Sequence[Sequence[int]], padding: int) -> Inputs:
    """Token ids and attention mask of a batch, both of shape (texts, longest), int64."""
    longest = max(len(text) for text in ids)
    tokens = np.full((len(ids), longest), padding, np.int64)
    mask = np.zeros((len(ids), longest), np.int64)
    for row, text in enumerate(ids):
        tokens[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return tokens, mask


def encode_in_batches(
    ids: Sequence[Sequence[int]], budget: int, padding: int, engine: Prepared, dimension: int
) -> Floats:
    """Unit-length vectors in the order of `ids`, shape (texts, dimension), whatever the batches were.

    Batches do not depend on the number of workers; one that does not fit into memory is halved.
    """
    vectors = np.zeros((len(ids), dimension), np.float32)

    def encode(batch: list[int]) -> None:
        vectors[batch] = engine.forward(padded([ids[position] for position in batch], padding))

    batches = list(batches_by_tokens([len(text) for text in ids], budget))
    spread(lambda batch: halving(encode, batch), batches, engine.workers)
    return unit(vectors)


def prepared_texts(
    ids: Sequence[Sequence[int]], batches: Iterable[Sequence[int]], most: int | None
) -> tuple[list[PreparedPart], dict[int, str]]:
    """Token ids in parts of whole batches, as `ids_of_prepared` reads them; no text has a problem.

    Args:
        batches: positions of the texts that are computed together.
        most: texts of a part; a batch that has more is cut, and its vectors may then differ in their last bits.
    """
    parts = gathered(batches, most or _USUAL_PART, cut=most is not None)
    return [PreparedPart(part, [np.asarray(ids[place], np.int32).tobytes() for place in part]) for part in parts], {}


def ids_of_prepared(prepared: Sequence[bytes]) -> list[list[int]]:
    """The token ids of a part of `prepared_texts`."""
    return [np.frombuffer(text, np.int32).tolist() for text in prepared]


def gathered(batches: Iterable[Sequence[int]], most: int, cut: bool) -> Iterator[list[int]]:
    """Batches together, as many as have at most so many positions.

    Args:
        cut: a batch that has more is cut; otherwise it is a part of its own.
    """
    part: list[int] = []
    for batch in batches:
        if part and len(part) + len(batch) > most:
            yield part
            part = []
        part = [*part, *batch]
        while cut and len(part) > most:
            yield part[:most]
            part = part[most:]
    if part:
        yield part


def halving(encode: Callable[[list[int]], None], batch: list[int]) -> None:
    """Calls `encode` on a batch, or on its halves where there is not enough memory for the whole.

    Raises:
        Whatever `encode` raises of a single content, or for another reason.
    """
    try:
        encode(batch)
        return
    except Exception as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    # Outside of the handler, whose traceback would hold what the failed attempt had allocated.
    middle = len(batch) // 2
    halving(encode, batch[:middle])
    halving(encode, batch[middle:])


def is_out_of_memory(error: Exception) -> bool:
    """Whether an engine asked for memory that it did not get."""
    return isinstance(error, MemoryError) or any(part in str(error).lower() for part in _NO_MEMORY)


def masked_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean over a text's own tokens, padding left out: (texts, tokens, d) to (texts, d)."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
