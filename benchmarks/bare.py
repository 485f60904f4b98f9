"""The numerical calls of a night, kept as they were made, so that a bare process can make them again.

The bare process has neither Dagster, lake nor ledger: arguments come from files, and only the calls are timed. That is
what a night would cost if nothing around it cost anything.
"""

from __future__ import annotations

import importlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import cloudpickle

from benchmarks.numerical_calls import ENCODED, numerical
from pipeline_project.spec.workflow import WorkflowSpec


@dataclass
class Spent:
    """Seconds by the clock and of the processor, by kind of call.

    Attributes:
        keeping: what writing the arguments down took, which is nobody's work.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    processor: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    keeping: tuple[float, float] = (0.0, 0.0)

    def add(self, kind: str, began: tuple[float, float]) -> None:
        seconds, processor = since(began)
        self.seconds[kind] += seconds
        self.processor[kind] += processor


def now() -> tuple[float, float]:
    """By the clock and of this process's processor, in seconds."""
    return time.perf_counter(), time.process_time()


def since(began: tuple[float, float]) -> tuple[float, float]:
    seconds, processor = now()
    return seconds - began[0], processor - began[1]


@contextmanager
def kept(folder: Path | None) -> Iterator[Spent]:
    """Times every numerical call within and, where there is a folder, keeps its arguments there."""
    spent = Spent()
    if folder is not None:
        folder.mkdir(parents=True)
    with ExitStack() as stack:
        for kind, owner, name in numerical():
            stack.enter_context(mock.patch.object(owner, name, _keeper(spent, folder, kind, owner, name)))
        yield spent


def _keeper(spent: Spent, folder: Path | None, kind: str, owner: Any, name: str) -> Callable[..., Any]:
    call = getattr(owner, name)
    place = (owner.__module__, owner.__qualname__) if isinstance(owner, type) else (owner.__name__, "")

    @wraps(call)
    def keeping(*given: Any, **named: Any) -> Any:
        began = now()
        if folder is not None:
            # an encoder is made anew by its name: it holds weights, and threads perhaps
            plain = given[1:] if kind in ENCODED else given
            path = folder / f"{len([*folder.iterdir()]):05}.pickle"
            path.write_bytes(cloudpickle.dumps((kind, (*place, name), plain, named)))
        wrote = since(began)
        spent.keeping = (spent.keeping[0] + wrote[0], spent.keeping[1] + wrote[1])
        began = now()
        try:
            return call(*given, **named)
        finally:
            spent.add(kind, began)

    return keeping


def replayed(folder: Path, spec: WorkflowSpec) -> Spent:
    """Makes the calls again that `kept` wrote down, in their order; loading them is not timed."""
    spent = Spent()
    for path in sorted(folder.iterdir()):
        kind, (module, owner, name), given, named = cloudpickle.loads(path.read_bytes())
        call = _encoder(spec, kind) if kind in ENCODED else _found(module, owner, name)
        began = now()
        call(*given, **named)
        spent.add(kind, began)
    return spent


def _found(module: str, owner: str, name: str) -> Callable[..., Any]:
    holder: Any = importlib.import_module(module)
    return getattr(getattr(holder, owner) if owner else holder, name)


_ENCODERS: dict[str, Any] = {}


def _encoder(spec: WorkflowSpec, kind: str) -> Callable[..., Any]:
    from resources.encoders import encoder_of

    modality = ENCODED[kind]
    if modality not in _ENCODERS:
        _ENCODERS[modality] = encoder_of(modality, spec.encoders[modality])
    return _ENCODERS[modality].encode
