"""Texts one after the other in one row of tokens, without padding: what a GPU is kept busy with.

A padded batch of short texts is mostly padding, and a batch small enough to waste little is too small for a GPU. Here
tens of thousands of tokens go through linear layers as one matrix, and attention is told by cumulative lengths which
tokens belong together. Meanwhile the host tokenizes the next texts on all its cores, and copies come and go beside the
computation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.stored import Floats, unit
from resources.encoders.bert import BertShape

if TYPE_CHECKING:
    import torch

    #: A weight and its bias.
    Pair = tuple[torch.Tensor, torch.Tensor]

Ints = npt.NDArray[np.int32]
#: Token ids of each of some texts.
Tokenize = Callable[[Sequence[str]], Sequence[Sequence[int]]]
T = TypeVar("T")
R = TypeVar("R")

#: Tokens of a batch: large enough for the matrix units of any card, some 0.5 GiB of a small BERT's activations.
TOKENS = 65_536
#: Texts that are tokenized at once, and how many such chunks lie ready while the device computes.
TEXTS_AT_ONCE, CHUNKS_AHEAD = 16_384, 2
#: Batches that are on their way through the device at a time.
UNDER_WAY = 3
#: From this compute capability on, torch has flash attention by cumulative lengths (Ampere).
_FLASH = (8, 0)


@dataclass(frozen=True)
class UnpaddedBatch:
    """Some texts in one row of tokens, the shortest first.

    Attributes:
        texts: their positions among all, shape (texts,).
        tokens: shape (tokens,).
        starts: where each begins in the row, and the row's length, shape (texts + 1,).
    """

    texts: npt.NDArray[np.int64]
    tokens: Ints
    starts: Ints

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def lengths(self) -> Ints:
        return np.diff(self.starts)

    @property
    def places(self) -> Ints:
        """Each token's place in its own text, shape (tokens,)."""
        row = np.arange(len(self.tokens), dtype=np.int32)
        return row - np.repeat(self.starts[:-1], self.lengths)

    def part(self, first: int, last: int) -> UnpaddedBatch:
        """The texts from `first` to before `last` alone."""
        begin, end = int(self.starts[first]), int(self.starts[last])
        return UnpaddedBatch(
            self.texts[first:last], self.tokens[begin:end], self.starts[first : last + 1] - np.int32(begin)
        )


def batches_without_padding(ids: Sequence[Sequence[int]], first: int, budget: int) -> Iterator[UnpaddedBatch]:
    """Batches of at most `budget` tokens; a text beyond it goes alone.

    Args:
        ids: token ids of each text, none without any.
        first: the position of the first text among all.
    """
    if not ids:
        return
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    order = np.argsort(lengths, kind="stable")
    tokens = np.fromiter(chain.from_iterable(ids[text] for text in order), np.int32, int(lengths.sum()))
    starts = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int32)
    whole, begin = UnpaddedBatch(order + first, tokens, starts), 0
    while begin < len(whole):
        end = int(np.searchsorted(starts, starts[begin] + budget, side="right")) - 1
        end = max(end, begin + 1)
        yield whole.part(begin, end)
        begin = end


@dataclass(frozen=True)
class Layer:
    """Weights of one layer of BERT; query, key and value as one matrix, which is one product instead of three."""

    together: Pair
    out: Pair
    out_norm: Pair
    inner: Pair
    outer: Pair
    outer_norm: Pair


class UnpaddedBert:
    """BERT on texts without padding: as `bert`, with the mean over each text's own tokens at the end.

    Args:
        tensors: by the names that transformers gives them.
        device, dtype: where and in which precision it computes; sums over a text are float32.
        compiled: let torch write kernels for what comes between the products. It takes a compiler and some ten seconds
            in each process; `python -m benchmarks.gpu` tells whether it pays.
    """

    def __init__(
        self,
        tensors: Mapping[str, torch.Tensor],
        shape: BertShape,
        device: torch.device,
        dtype: torch.dtype,
        compiled: bool = False,
    ) -> None:
        import torch

        self._rest = torch.compile(_after_attention, dynamic=True) if compiled else _after_attention
        self.shape, self.device, self.dtype = shape, device, dtype
        placed = {name: held.to(device, dtype) for name, held in tensors.items() if held.is_floating_point()}

        def pair(name: str) -> Pair:
            return placed[f"{name}.weight"], placed[f"{name}.bias"]

        def layer(name: str) -> Layer:
            asked = [pair(f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
            return Layer(
                (torch.cat([weight for weight, _ in asked]), torch.cat([bias for _, bias in asked])),
                pair(f"{name}.attention.output.dense"),
                pair(f"{name}.attention.output.LayerNorm"),
                pair(f"{name}.intermediate.dense"),
                pair(f"{name}.output.dense"),
                pair(f"{name}.output.LayerNorm"),
            )

        self._words = placed["embeddings.word_embeddings.weight"]
        self._places = placed["embeddings.position_embeddings.weight"]
        self._kind = placed["embeddings.token_type_embeddings.weight"][0]
        self._norm = pair("embeddings.LayerNorm")
        self._layers = [layer(f"encoder.layer.{number}") for number in range(shape.layers)]

    @property
    def dimension(self) -> int:
        return int(self._words.shape[1])

    def __call__(self, batch: UnpaddedBatch) -> torch.Tensor:
        """Float32 on the device, shape (texts, dimension), not of unit length; on a GPU it is not waited for."""
        import torch

        with torch.inference_mode():
            tokens, places, starts = (self._sent(of) for of in (batch.tokens, batch.places, batch.starts))
            hidden = self._words[tokens] + self._places[places] + self._kind
            hidden = _normed(hidden, self._norm, self.shape.epsilon)
            attend = self._attention(batch, starts)
            for layer in self._layers:
                seen = attend(torch.nn.functional.linear(hidden, *layer.together))
                hidden = self._rest(
                    seen, hidden, layer.out, layer.out_norm, layer.inner, layer.outer, layer.outer_norm,
                    self.shape.epsilon,
                )  # fmt: skip
            return torch.segment_reduce(hidden.float(), "mean", offsets=starts.long(), axis=0)

    def _attention(self, batch: UnpaddedBatch, starts: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """From query, key and value side by side, shape (tokens, 3 d), to what each token sees, shape (tokens, d)."""
        heads = self.shape.heads
        if has_flash_attention(self.device, self.dtype):
            from torch.nn.attention.varlen import varlen_attn

            longest = int(batch.lengths.max())

            def by_starts(together: torch.Tensor) -> torch.Tensor:
                query, key, value = together.view(len(together), 3, heads, -1).unbind(1)
                seen = varlen_attn(query, key, value, starts, starts, longest, longest)
                # a tuple only where more than the outcome is asked for
                return cast("torch.Tensor", seen).flatten(1)

            return by_starts
        runs = _runs(batch)

        def by_length(together: torch.Tensor) -> torch.Tensor:
            return _alike(together, runs, heads)

        return by_length

    def _sent(self, numbers: Ints) -> torch.Tensor:
        """On the device; from pinned memory, which a GPU reads while the host goes on."""
        import torch

        held = torch.from_numpy(np.ascontiguousarray(numbers))
        return held if self.device.type == "cpu" else held.pin_memory().to(self.device, non_blocking=True)


def _after_attention(
    seen: torch.Tensor, hidden: torch.Tensor, out: Pair, out_norm: Pair, inner: Pair, outer: Pair, outer_norm: Pair,
    epsilon: float,
) -> torch.Tensor:  # fmt: skip
    """A layer from what its tokens have seen on; of tensors alone, so that it is compiled once for all layers."""
    from torch.nn import functional

    hidden = _normed(functional.linear(seen, *out) + hidden, out_norm, epsilon)
    wide = functional.gelu(functional.linear(hidden, *inner))
    return _normed(functional.linear(wide, *outer) + hidden, outer_norm, epsilon)


def _normed(hidden: torch.Tensor, norm: Pair, epsilon: float) -> torch.Tensor:
    from torch.nn import functional

    return functional.layer_norm(hidden, (hidden.shape[-1],), *norm, epsilon)


def has_flash_attention(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether attention by cumulative lengths runs there: half precision on a card of the last years."""
    import torch

    if device.type != "cuda" or dtype == torch.float32:
        return False
    return torch.cuda.get_device_capability(device) >= _FLASH


def _runs(batch: UnpaddedBatch) -> list[tuple[int, int, int]]:
    """Stretches of texts of one length: where each begins and ends in the row, and that length."""
    lengths = batch.lengths
    edges = [0, *(np.flatnonzero(np.diff(lengths)) + 1).tolist(), len(lengths)]
    return [(int(batch.starts[first]), int(batch.starts[last]), int(lengths[first])) for first, last in pairwise(edges)]


def _alike(together: torch.Tensor, runs: Sequence[tuple[int, int, int]], heads: int) -> torch.Tensor:
    """Attention where there is none by cumulative lengths: texts of one length are a batch without padding."""
    import torch
    from torch.nn import functional

    parts = []
    for begin, end, length in runs:
        split = together[begin:end].view(-1, length, 3, heads, together.shape[1] // (3 * heads))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value)
        parts.append(seen.transpose(1, 2).reshape(end - begin, -1))
    return torch.cat(parts)


@dataclass
class UnpaddedTexts:
    """Encodes texts in batches without padding, the host and the device at work at the same time.

    Attributes:
        tokenize: token ids of some texts, cut at the length that the model reads; it may use every core.
        forward: as `UnpaddedBert`.
        tokens: of a batch; halved for good when the device's memory was too small for it.
    """

    tokenize: Tokenize
    forward: Callable[[UnpaddedBatch], torch.Tensor]
    dimension: int
    tokens: int = TOKENS
    texts_at_once: int = TEXTS_AT_ONCE
    _under_way: deque[tuple[UnpaddedBatch, torch.Tensor, torch.cuda.Event | None]] = field(default_factory=deque)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length float32, shape (texts, dimension), in the order given.

        Raises:
            ModelUnavailable: the device's memory is too small for a single text.
        """
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        firsts = range(0, len(texts), self.texts_at_once)
        for first, ids in zip(
            firsts, ahead(lambda first: self.tokenize(texts[first : first + self.texts_at_once]), firsts), strict=True
        ):
            self._through(ids, first, vectors)
        self._collect(vectors, 0)
        return unit(vectors)

    def encode_ids(self, ids: Sequence[Sequence[int]]) -> Floats:
        """The same of texts that are tokenized already."""
        vectors = np.zeros((len(ids), self.dimension), np.float32)
        self._through(ids, 0, vectors)
        self._collect(vectors, 0)
        return unit(vectors)

    def _through(self, ids: Sequence[Sequence[int]], first: int, vectors: Floats) -> None:
        for batch in batches_without_padding(ids, first, self.tokens):
            self._begin(batch)
            self._collect(vectors, UNDER_WAY)

    def _begin(self, batch: UnpaddedBatch) -> None:
        """Has a batch computed, in halves where it is too large."""
        import torch

        try:
            made = self.forward(batch)
            self._under_way.append((batch, *_on_the_way_back(made)))
            return
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise ModelUnavailable(
                    "the GPU has too little free memory for a single text; end what else runs on it, or set "
                    "PIPELINE_DEVICE=cpu"
                ) from error
        # outside of the handler, whose traceback would keep the tensors of the first try alive
        torch.cuda.empty_cache()
        self.tokens = min(self.tokens, max(1, len(batch.tokens) // 2))
        half = len(batch) // 2
        self._begin(batch.part(0, half))
        self._begin(batch.part(half, len(batch)))

    def _collect(self, vectors: Floats, left: int) -> None:
        """Takes over what has come back, until at most `left` batches are under way."""
        while len(self._under_way) > left:
            batch, made, arrived = self._under_way.popleft()
            if arrived is not None:
                arrived.synchronize()
            vectors[batch.texts] = made.numpy()


def _on_the_way_back(made: torch.Tensor) -> tuple[torch.Tensor, torch.cuda.Event | None]:
    """In the host's memory, and what tells when it has arrived there."""
    import torch

    if made.device.type != "cuda":
        return made, None
    held = torch.empty(made.shape, dtype=made.dtype, pin_memory=True)
    held.copy_(made, non_blocking=True)
    arrived: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()
    return held, arrived


def of_padded(model: UnpaddedBert) -> Callable[[Sequence[npt.NDArray[np.generic]]], Floats]:
    """The model for token ids and a mask of shape (texts, longest), as engines are compared: unit-length vectors."""

    def forward(inputs: Sequence[npt.NDArray[np.generic]]) -> Floats:
        tokens, mask = inputs
        ids = [row[: int(length)].tolist() for row, length in zip(tokens, mask.sum(axis=1), strict=True)]
        vectors = np.zeros((len(ids), model.dimension), np.float32)
        for batch in batches_without_padding(ids, 0, tokens.size):
            vectors[batch.texts] = model(batch).cpu().numpy()
        return unit(vectors)

    return forward


def ahead(make: Callable[[T], R], given: Sequence[T], most: int = CHUNKS_AHEAD) -> Iterator[R]:
    """`make` of each, in order, made by another thread while the caller works on those before; at most so many wait."""
    with ThreadPoolExecutor(1, "tokens") as thread:
        waiting: deque[Future[R]] = deque()
        try:
            for one in given:
                waiting.append(thread.submit(make, one))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
