"""Timers around the numerical calls, put on from outside: the product knows nothing of them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock

#: In the order of a night.
CALLS = ("rows typed and admitted", "contracts", "texts encoded", "photos encoded", "clusters", "scores", "training")


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Seconds by kind of call, of all calls within. None of them calls another, so they may be added up."""
    spent: dict[str, float] = defaultdict(float)
    with ExitStack() as stack:
        for kind, owner, name in _numerical():
            stack.enter_context(mock.patch.object(owner, name, _timer(spent, kind, getattr(owner, name))))
        yield spent


def _numerical() -> Iterator[tuple[str, Any, str]]:
    from assets import clustering, ingestion, retraining
    from pipeline_project.domain.models.training import TrainedModel
    from resources.contracts.arrivals import GxContract
    from resources.contracts.outputs import OutputContract
    from resources.encoders import MiniLmTextEncoder, PhotoStatisticsEncoder

    yield from (("rows typed and admitted", ingestion, name) for name in ("read_rows", "admit"))
    yield from (("contracts", contract, "validate") for contract in (GxContract, OutputContract))
    yield "texts encoded", MiniLmTextEncoder, "encode"
    yield "photos encoded", PhotoStatisticsEncoder, "encode"
    yield "clusters", clustering, "night_groups"
    yield "scores", TrainedModel, "predict"
    yield "training", retraining, "train"


def _timer(spent: dict[str, float], kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def measured(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*given, **named)
        finally:
            spent[kind] += time.perf_counter() - began

    return measured
