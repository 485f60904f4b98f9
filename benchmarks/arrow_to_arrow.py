"""A table of texts to a table of vectors on one machine: ours, Ray Data's `map_batches` and Daft, with the same model.

Workers are warm: the clock starts with the first batch that any of them is given, once its model is loaded.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.tables import table
from pipeline_project.domain.vectors.engines import Engine, Precision
from resources.encoders import EngineChoice, MiniLmTextEncoder
from resources.encoders.engines.machine import cores, has_bfloat16_units

DIMENSION = 384
#: Texts that a worker of the peers is given at once.
BATCH = 256
GOAL = 1.5


def tell(texts: list[str]) -> None:
    given = pa.table({"id": list(range(len(texts))), "text": texts})
    taken: dict[str, float] = {name: run(given) for name, run in _contestants()}
    ours = next(iter(taken.values()))
    rows = [[name, len(texts) / seconds, seconds / ours] for name, seconds in taken.items()]
    print(table(f"{len(texts):,} texts from Arrow to Arrow, workers warm", ["", "texts/s", "times our seconds"], rows))
    missing = [name for name in ("ray", "daft", "sentence_transformers") if find_spec(name) is None]
    print(f"Goal: both peers take at least {GOAL} times as long. Not installed: {', '.join(missing) or 'none'}.\n")


def _contestants() -> Iterator[tuple[str, Callable[[pa.Table], float]]]:
    precisions = [Precision.BF16] * has_bfloat16_units() + [Precision.FP32]
    yield from ((f"ours, {precision}", _ours(precision)) for precision in precisions)
    if find_spec("sentence_transformers") is not None:
        yield from ((name, run) for name, run in (("ray", _ray), ("daft", _daft)) if find_spec(name) is not None)


def _ours(precision: Precision) -> Callable[[pa.Table], float]:
    encoder = MiniLmTextEncoder(choice=EngineChoice(Engine.TORCH, precision))

    def run(given: pa.Table) -> float:
        encoder.encode(given["text"].to_pylist()[:100])
        began = time.time()
        made = given.append_column("vector", _column(encoder.encode(given["text"].to_pylist())))
        return _seconds(began, made.num_rows, given)

    return run


def _column(vectors: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(vectors, np.float32).ravel()), DIMENSION)


def _seconds(began: float, rows: int, given: pa.Table) -> float:
    if rows != given.num_rows:
        raise RuntimeError(f"{rows} rows of {given.num_rows}")
    return time.time() - began


class PeerModel:
    """sentence-transformers in a worker of a peer; it leaves a note of when its first batch came."""

    def __init__(self, notes: str) -> None:
        from benchmarks.engines import peer_encode

        self._encode = peer_encode()
        self._note: Path | None = Path(notes) / f"{os.getpid()}-{id(self)}"

    def vectors(self, texts: list[str]) -> np.ndarray:
        if self._note is not None:
            self._note.write_text(repr(time.time()))
            self._note = None
        return self._encode(texts)


class RayModel(PeerModel):
    def __call__(self, batch: pa.Table) -> pa.Table:
        return batch.append_column("vector", _column(self.vectors(batch["text"].to_pylist())))


def _first(notes: str) -> float:
    return min(float(note.read_text()) for note in Path(notes).iterdir())


def _ray(given: pa.Table) -> float:
    import ray

    # its workers take over what this process was given
    house = str(Path(__file__).parents[1])
    os.environ |= {
        "PYTHONPATH": os.pathsep.join([house, os.environ.get("PYTHONPATH", "")]),
        "RAY_AUTH_MODE": "disabled",
        "RAY_DISABLE_IMPORT_WARNING": "1",
    }
    ray.init(num_cpus=cores(), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as notes:
            # blocks of a batch each: Ray Data itself would need a core to cut them, and the workers have both
            blocks = [given.slice(start, BATCH) for start in range(0, given.num_rows, BATCH)]
            made = ray.data.from_arrow(blocks).map_batches(
                RayModel,
                fn_constructor_args=(notes,),
                batch_format="pyarrow",
                batch_size=BATCH,
                compute=ray.data.ActorPoolStrategy(size=cores()),
            )
            rows = sum(block.num_rows for block in ray.get(made.to_arrow_refs()))
            return _seconds(_first(notes), rows, given)
    finally:
        ray.shutdown()


def _daft(given: pa.Table) -> float:
    import daft

    vector = daft.DataType.embedding(daft.DataType.float32(), DIMENSION)

    @daft.cls(max_concurrency=cores(), use_process=True)
    class DaftModel(PeerModel):
        @daft.method.batch(return_dtype=vector, batch_size=BATCH)
        def encode(self, texts: Any) -> Any:
            return _column(self.vectors(texts.to_pylist()))

    with tempfile.TemporaryDirectory() as notes:
        model = DaftModel(notes)
        frame = daft.from_arrow(given).into_batches(BATCH)
        made = frame.with_column("vector", model.encode(daft.col("text"))).to_arrow()
        return _seconds(_first(notes), made.num_rows, given)
