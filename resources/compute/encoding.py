"""Contents into vectors as a pipeline of Ray Data: read and prepared by tasks on processors, encoded by actors.

A row is a part: contents that one actor encodes together. Blocks hold one row each, so that parts spread over the
actors, and Ray Data holds readers back while actors are behind: memory does not grow with the night.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.stored import photo_key
from pipeline_project.ports.encoders import InTwoSteps, PreparedPart
from pipeline_project.services.embedding import read_photo
from resources.compute.jobs import EncodedContent, Encoding, FilesJob, TextsJob

#: How often a part is tried whose worker died, by whatever hand.
TRIES = 3
#: Of a processor, what an actor is counted for. Were it more, actors that start again after a node is lost could take
#: all that is left, and wait for readers that have nothing to run on.
_SHARE = 0.05
#: Parts that wait at an actor, so that it is never idle and little is lost with it.
_IN_FLIGHT = 2

_NAMES, _KEYS, _PROBLEMS = (pa.field(name, pa.list_(pa.string())) for name in ("names", "keys", "problems"))
#: A part to be encoded. Where `prepared` is empty nothing is: the contents failed, or their vectors are there.
_PREPARED = pa.schema([_NAMES, _KEYS, _PROBLEMS, pa.field("prepared", pa.list_(pa.binary()))])
_ENCODED = pa.schema([_NAMES, _KEYS, _PROBLEMS, pa.field("vectors", pa.list_(pa.binary()))])


def encoded_texts(job: TextsJob) -> Iterator[list[EncodedContent]]:
    """What came of each text, part by part, in any order."""
    keys = list(job.texts)
    blocks = [
        pa.table({"name": chunk, "content": [job.texts[key] for key in chunk]}) for chunk in _chunks(keys, job.at_once)
    ]
    yield from _encoded(blocks, job.encoding, len(keys), _prepare_texts, {})


def encoded_files(job: FilesJob) -> Iterator[list[EncodedContent]]:
    """What came of each file, part by part, in any order; each content is decoded and encoded for one path only."""
    blocks = [pa.table({"name": list(chunk)}) for chunk in _chunks(job.paths, job.at_once)]
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # its types know no affinity
    remote: Any = ray.remote
    registrar = remote(num_cpus=0, scheduling_strategy=here)(Registrar).remote(
        pickle.dumps(job.store), job.encoding.version
    )
    reading = {"source": pickle.dumps(job.source), "registrar": registrar}
    yield from _encoded(blocks, job.encoding, len(job.paths), _prepare_files, reading)


class Registrar:
    """Says of contents who encodes them: nobody where the vector is stored, else the first path that named them."""

    def __init__(self, store: bytes, version: str) -> None:
        self._store, self._version = pickle.loads(store)(), version
        self._stored: set[str] = set()
        self._first: dict[str, str] = {}

    def theirs(self, keys: Sequence[str], paths: Sequence[str]) -> list[bool]:
        """Of each content whether its path encodes it; asked again, as after a lost worker, the answer is the same."""
        asked = [key for key in dict.fromkeys(keys) if key not in self._first and key not in self._stored]
        self._stored.update(self._store.get(self._version, asked) if asked else ())
        return [
            key not in self._stored and self._first.setdefault(key, path) == path
            for key, path in zip(keys, paths, strict=True)
        ]


def _encoded(
    blocks: Sequence[pa.Table], encoding: Encoding, contents: int, prepare: Any, more: dict[str, Any]
) -> Iterator[list[EncodedContent]]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # each row a block of its own: parts are what actors are given, one at a time
    context.target_max_block_size = 1
    actors = _actors(encoding, contents)
    make = pickle.dumps(encoding.make)
    parts = (
        ray.data.from_arrow(list(blocks))
        .map_batches(
            prepare,
            fn_kwargs={"make": make, "most": encoding.most, **more},
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=1,
            max_retries=TRIES - 1,
        )
        .map_batches(
            _Encoder,
            fn_constructor_args=(make, encoding.version),
            batch_format="pyarrow",
            batch_size=1,
            num_cpus=_SHARE,
            num_gpus=1 if encoding.on_gpu else 0,
            compute=ray.data.ActorPoolStrategy(
                min_size=1, max_size=actors, initial_size=actors, max_tasks_in_flight_per_actor=_IN_FLIGHT
            ),
            max_restarts=TRIES - 1,
            # until the actor is given up: while it starts again on another node, each call counts as a try
            max_task_retries=-1,
        )
    )
    batches: Iterable[pa.Table] = parts.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    for batch in batches:
        for part in batch.to_pylist():
            yield [
                EncodedContent(name, key, vector, problem)
                for name, key, vector, problem in zip(
                    part["names"], part["keys"], part["vectors"], part["problems"], strict=True
                )
            ]


def _actors(encoding: Encoding, contents: int) -> int:
    there = ray.cluster_resources()
    room = there.get("GPU", 1.0) if encoding.on_gpu else there.get("CPU", 1.0) // 2
    return max(1, min(encoding.actors or int(room), contents))


class _Encoder:
    """An actor: one encoder, loaded once."""

    def __init__(self, make: bytes, version: str) -> None:
        self._encoder = _made(make)
        if self._encoder.version != version:
            raise ModelUnavailable(
                f"a worker's vectors would be of {self._encoder.version}, the night's are of {version}: the machines "
                "differ; name `engine` and `precision` in the spec, and PIPELINE_DEVICE as the workers have it"
            )

    def __call__(self, parts: pa.Table) -> pa.Table:
        (part,) = parts.to_pylist()
        vectors: list[bytes | None] = [None] * len(part["names"])
        if part["prepared"]:
            made = self._encoder.encode_prepared(part["prepared"])
            vectors = [row.tobytes() for row in np.asarray(made, np.float32)]
        return pa.Table.from_pylist([{**part, "vectors": vectors}], schema=_ENCODED)


def _prepare_texts(block: pa.Table, make: bytes, most: int | None) -> Iterator[pa.Table]:
    keys, texts = block["name"].to_pylist(), block["content"].to_pylist()
    parts, _ = _two_steps(make).prepare(texts, most)
    for part in parts:
        yield _row([keys[place] for place in part.places], None, part)


def _prepare_files(block: pa.Table, make: bytes, most: int | None, source: bytes, registrar: Any) -> Iterator[pa.Table]:
    contents: dict[str, bytes] = {}
    done: list[EncodedContent] = []
    for path in block["name"].to_pylist():
        content = read_photo(_made(source), path)
        if isinstance(content, str):
            done.append(EncodedContent(path, None, None, content))
        else:
            contents[path] = content
    keys = {path: photo_key(content) for path, content in contents.items()}
    theirs = ray.get(registrar.theirs.remote(list(keys.values()), list(keys)))
    ours = [path for path, own in zip(keys, theirs, strict=True) if own]
    done += [EncodedContent(path, keys[path], None, None) for path, own in zip(keys, theirs, strict=True) if not own]
    parts, problems = _two_steps(make).prepare([contents[path] for path in ours], most) if ours else ([], {})
    done += [EncodedContent(ours[place], keys[ours[place]], None, problem) for place, problem in problems.items()]
    if done:
        columns = {"names": [[one.name for one in done]], "keys": [[one.key for one in done]]}
        yield pa.table({**columns, "problems": [[one.problem for one in done]], "prepared": [[]]}, schema=_PREPARED)
    for part in parts:
        paths = [ours[place] for place in part.places]
        yield _row(paths, [keys[path] for path in paths], part)


def _row(names: list[str], keys: list[str] | None, part: PreparedPart) -> pa.Table:
    columns = {"names": [names], "keys": [keys or names], "problems": [[None] * len(names)]}
    return pa.table({**columns, "prepared": [part.contents]}, schema=_PREPARED)


def _two_steps(make: bytes) -> InTwoSteps:
    encoder = _made(make)
    if not isinstance(encoder, InTwoSteps):
        raise ModelUnavailable(
            f"{type(encoder).__name__} does not prepare contents apart from encoding them, so it cannot encode on Ray; "
            "leave `compute` out"
        )
    return encoder


@lru_cache(maxsize=8)
def _made(make: bytes) -> Any:
    """An encoder or a source, made once in each process."""
    return pickle.loads(make)()


def _chunks(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))
