"""A small network of towers, one for each kind of input, that meet in one layer.

It learns with torch, which is imported only then, and tells with numpy: a night's scores need no torch, and in
float64 they are the same whatever the machine's number of threads. On a GPU it tells with torch, by the same lines and
in float64 as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_project.domain.core.devices import CPU

if TYPE_CHECKING:
    import torch

Dense = Mapping[str, np.ndarray]
Weights = dict[str, np.ndarray]

_TOWER, _MEETING = 48, 64
_BATCH = 256
_MOST_EPOCHS = 60
_KEPT_OF_BEFORE = 0.97
_UNKNOWN_SHARE = 0.03
_PATIENCE = 6
#: A path of this many steps from the average case to the case tells each input's part in the outcome.
_STEPS = 8


@dataclass(frozen=True)
class Recipe:
    """How a network learns.

    Attributes:
        dropout: share of a layer's units left out at a time.
        decay: weight decay, per step and unit of learning rate.
        rate: learning rate.
    """

    dropout: float = 0.3
    decay: float = 0.02
    rate: float = 0.002


@dataclass(frozen=True)
class InputBatch:
    """Inputs of n cases: groups of shape (n, width), codes of shape (n, categories)."""

    dense: Dense
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def select(self, rows: np.ndarray) -> InputBatch:
        return InputBatch({kind: part[rows] for kind, part in self.dense.items()}, self.codes[rows])


def fresh(batch: InputBatch, sizes: Mapping[str, int], labels: int, seed: int) -> Weights:
    """Weights to start from, drawn by the seed alone."""
    draw = np.random.default_rng(seed)
    weights: Weights = {}

    def layer(name: str, given: int, made: int, scale: float = 1.0) -> None:
        weights[f"{name}.weight"] = draw.normal(0, scale * np.sqrt(2 / max(given, 1)), (given, made)).astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(made, dtype=np.float32)

    widths = {kind: part.shape[1] for kind, part in batch.dense.items()}
    for i, size in enumerate(sizes.values()):
        weights[f"embedding{i}"] = draw.normal(0, 0.3, (size, embedded(size))).astype(np.float32)
    if sizes:
        widths["categories"] = sum(embedded(size) for size in sizes.values())
    for kind, width in widths.items():
        layer(kind, width, _TOWER)
        layer(f"{kind}.straight", width, labels, 0.01)
    layer("meeting", _TOWER * len(widths), _MEETING)
    layer("out", _MEETING, labels, 0.1)
    return weights


def embedded(size: int) -> int:
    """Width of the embedding of a category with that many codes."""
    return int(min(12, 1 + np.ceil(np.sqrt(size))))


@dataclass(frozen=True)
class Lesson:
    """Cases to learn from, or to stop by: `y` the index of each one's label, `weight` how much it counts."""

    batch: InputBatch
    y: np.ndarray
    weight: np.ndarray


def learned(
    lesson: Lesson,
    start: Weights,
    recipe: Recipe,
    seed: int,
    epochs: int | None = None,
    stop: Lesson | None = None,
    device: str = CPU,
) -> tuple[Weights, int]:
    """The weights after so many epochs, averaged over the last steps; the same input gives the same bytes.

    Args:
        epochs: that many; without it, as many as did best on `stop`.
        device: as torch takes it. What is drawn is the same on each, sums are not to the last digit.

    Returns:
        The weights and the number of epochs they have seen.
    """
    with _quiet_torch(device) as torch:
        net = _Learner(torch, start, recipe, seed, device)
        given = net.placed(lesson)
        last = _MOST_EPOCHS if epochs is None else epochs
        best, best_loss, best_epoch = net.average(), np.inf, 0
        for epoch in range(1, last + 1):
            net.epoch(given)
            if stop is None:
                best, best_epoch = net.average(), epoch
                continue
            loss = _loss(logits(net.average(), stop.batch, device), stop.y, stop.weight)
            if loss < best_loss - 1e-4:
                best, best_loss, best_epoch = net.average(), loss, epoch
            elif epoch - best_epoch >= _PATIENCE:
                break
        return best, best_epoch


@contextmanager
def _quiet_torch(device: str) -> Iterator[Any]:
    """Torch on one thread and with deterministic algorithms, both set back afterwards; its random state is not used.

    On a GPU an algorithm that is not deterministic warns and does not fail: CUDA's own library of products is only
    where CUBLAS_WORKSPACE_CONFIG was set before its first use, as `build_definitions` does.
    """
    import torch

    threads = torch.get_num_threads()
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=device != CPU)
    try:
        yield torch
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _LessonTensors:
    """A lesson as tensors on a device; `weight` is one on average."""

    dense: Mapping[str, torch.Tensor]
    codes: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor


class _Learner:
    """Torch's side: parameters, the optimizer and one generator for every draw."""

    def __init__(self, torch: Any, start: Weights, recipe: Recipe, seed: int, device: str) -> None:
        self.torch, self.recipe, self.device = torch, recipe, device
        # of the processor on every device, so that what is drawn is the same
        self.generator = torch.Generator().manual_seed(seed)
        self.held = {name: torch.from_numpy(array.copy()).to(device).requires_grad_() for name, array in start.items()}
        self.sums = {name: held.detach().clone() for name, held in self.held.items()}
        decayed = [held for name, held in self.held.items() if name.endswith("weight")]
        free = [held for name, held in self.held.items() if not name.endswith("weight")]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe.decay}, {"params": free, "weight_decay": 0.0}],
            lr=recipe.rate,
            foreach=False,
        )
        self.steps = 0

    def average(self) -> Weights:
        """The moving average of the weights, which is steadier than where the last batch left them."""
        return {name: held.cpu().numpy().copy() for name, held in self.sums.items()}

    def placed(self, lesson: Lesson) -> _LessonTensors:
        """A lesson on the device, where every epoch finds it."""

        def there(array: np.ndarray) -> torch.Tensor:
            return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        return _LessonTensors(
            {kind: there(part.astype(np.float32)) for kind, part in lesson.batch.dense.items()},
            there(lesson.batch.codes),
            there(lesson.y),
            there((lesson.weight / lesson.weight.mean()).astype(np.float32)),
        )

    def epoch(self, lesson: _LessonTensors) -> None:
        torch = self.torch
        order = torch.randperm(len(lesson.y), generator=self.generator).to(self.device)
        for rows in torch.tensor_split(order, max(1, round(len(order) / _BATCH))):
            outputs = self._logits({kind: part[rows] for kind, part in lesson.dense.items()}, lesson.codes[rows])
            losses = torch.nn.functional.cross_entropy(outputs, lesson.y[rows], reduction="none")
            loss = (losses * lesson.weight[rows]).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.steps += 1
            decay = min(_KEPT_OF_BEFORE, self.steps / (self.steps + 10))
            with torch.no_grad():
                for name, held in self.held.items():
                    self.sums[name].lerp_(held.detach(), 1 - decay)

    def _logits(self, dense: Mapping[str, torch.Tensor], codes: torch.Tensor) -> torch.Tensor:
        torch, held = self.torch, self.held
        parts = dict(dense)
        if codes.shape[1]:
            # values never seen get the code of the rare ones, which some must have had for it to mean anything
            unknown = self._drawn(codes.shape) < _UNKNOWN_SHARE
            codes = torch.where(unknown, torch.zeros_like(codes), codes)
            rows = [_row(torch, held[f"embedding{i}"], codes[:, i]) for i in range(codes.shape[1])]
            parts["categories"] = torch.cat(rows, dim=1)
        towers, straight = [], held["out.bias"]
        for kind, part in parts.items():
            towers.append(self._dropped(torch.relu(part @ held[f"{kind}.weight"] + held[f"{kind}.bias"])))
            straight = straight + part @ held[f"{kind}.straight.weight"] + held[f"{kind}.straight.bias"]
        met = torch.relu(torch.cat(towers, dim=1) @ held["meeting.weight"] + held["meeting.bias"])
        return self._dropped(met) @ held["out.weight"] + straight

    def _dropped(self, made: torch.Tensor) -> torch.Tensor:
        share = self.recipe.dropout
        return made * (self._drawn(made.shape) >= share) / (1 - share)

    def _drawn(self, shape: Any) -> torch.Tensor:
        return self.torch.rand(shape, generator=self.generator).to(self.device)


def _row(torch: Any, table: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Rows of an embedding as a product: the gradient of an index sums in an order that may change."""
    return torch.nn.functional.one_hot(codes, len(table)).to(table.dtype) @ table


def _inputs(weights: Weights, batch: InputBatch) -> dict[str, np.ndarray]:
    """Every tower's input in float64, shape (n, width)."""
    parts = {kind: np.asarray(part, dtype=np.float64) for kind, part in batch.dense.items()}
    if batch.codes.shape[1]:
        rows = [weights[f"embedding{i}"].astype(np.float64)[codes] for i, codes in enumerate(batch.codes.T)]
        parts["categories"] = np.hstack(rows)
    return parts


@dataclass(frozen=True)
class _Arithmetic:
    """Who computes in float64: numpy on the processor, torch on a GPU. Both know the operations used here by the same
    names.

    Attributes:
        library: numpy or torch.
        placed: an array of numpy's to where it is computed with.
        back: what was computed as an array of numpy's.
    """

    library: Any
    placed: Callable[[np.ndarray], Any]
    back: Callable[[Any], np.ndarray]

    def doubles(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {name: self.placed(np.asarray(array, dtype=np.float64)) for name, array in arrays.items()}


def _arithmetic(device: str) -> _Arithmetic:
    if device == CPU:
        return _Arithmetic(np, lambda array: array, lambda array: array)
    import torch

    return _Arithmetic(
        torch,
        lambda array: torch.from_numpy(np.ascontiguousarray(array)).to(device),
        lambda tensor: np.asarray(tensor.cpu().numpy()),
    )


def logits(weights: Weights, batch: InputBatch, device: str = CPU) -> np.ndarray:
    """Shape (n, labels).

    Args:
        device: as torch takes it.
    """
    by = _arithmetic(device)
    return by.back(_forward(by, by.doubles(weights), by.doubles(_inputs(weights, batch)))[0])


def _forward(by: _Arithmetic, held: Mapping[str, Any], parts: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Logits, the meeting layer and the towers."""
    towers = {kind: (part @ held[f"{kind}.weight"] + held[f"{kind}.bias"]).clip(0) for kind, part in parts.items()}
    met = (by.library.hstack(list(towers.values())) @ held["meeting.weight"] + held["meeting.bias"]).clip(0)
    outputs = met @ held["out.weight"] + held["out.bias"]
    for kind, part in parts.items():
        outputs = outputs + part @ held[f"{kind}.straight.weight"] + held[f"{kind}.straight.bias"]
    return outputs, met, towers


def contributions(
    weights: Weights, batch: InputBatch, middle: Dense, chosen: np.ndarray, device: str = CPU
) -> dict[str, np.ndarray]:
    """What each input adds to the chosen label's log-odds against the mean of all labels, shape (n, width) by tower.

    Gradient times input, averaged along the straight way from the average case (integrated gradients), so that they
    sum to what sets this case apart from it.

    Args:
        middle: the average case's input, shape (width,) by tower.
        chosen: index of a label, shape (n,).
        device: as torch takes it.
    """
    by = _arithmetic(device)
    held, parts, average = by.doubles(weights), by.doubles(_inputs(weights, batch)), by.doubles(middle)
    labels = held["out.bias"].shape[0]
    towards = by.placed((np.eye(labels)[chosen] - 1 / labels) * (2 if labels == 2 else 1))
    gradients = {kind: by.library.zeros_like(part) for kind, part in parts.items()}
    for step in range(_STEPS):
        share = (step + 0.5) / _STEPS
        there = {kind: average[kind] + share * (part - average[kind]) for kind, part in parts.items()}
        _, met, towers = _forward(by, held, there)
        back = ((towards @ held["out.weight"].T) * (met > 0)) @ held["meeting.weight"].T
        start = 0
        for kind, tower in towers.items():
            of = back[:, start : start + tower.shape[1]] * (tower > 0)
            gradients[kind] += of @ held[f"{kind}.weight"].T + towards @ held[f"{kind}.straight.weight"].T
            start += tower.shape[1]
    return {kind: by.back(gradients[kind] / _STEPS * (part - average[kind])) for kind, part in parts.items()}


def average_case(weights: Weights, batch: InputBatch) -> dict[str, np.ndarray]:
    """The mean input of each tower, shape (width,)."""
    return {kind: part.mean(axis=0) for kind, part in _inputs(weights, batch).items()}


def softmax(outputs: np.ndarray) -> np.ndarray:
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _loss(outputs: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    p = softmax(outputs)[np.arange(len(y)), y]
    return float(np.average(-np.log(np.maximum(p, 1e-12)), weights=weight))
