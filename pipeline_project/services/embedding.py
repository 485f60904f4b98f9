"""Vectors of a night's cases: each content is encoded once per encoder, and a bad file costs only itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.errors import PhotoUnreadable, SourceStillGrowing
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.vectors.modalities import (
    MODALITIES,
    FileModality,
    embeddings_schema,
    file_modalities,
    inline_modalities,
)
from pipeline_project.domain.vectors.stored import Floats, as_stored, clean_text, pack, photo_key, text_key, unit
from pipeline_project.ports.encoders import (
    Encoders,
    FileEncoder,
    ManyTexts,
    StreamedFiles,
    StreamedTexts,
    TextEncoder,
)
from pipeline_project.ports.lake import VectorStore
from pipeline_project.ports.sources import PhotoSource
from pipeline_project.spec import WorkflowSpec

# What is stored together: little enough that a killed night repeats only seconds of work, and that the bytes of
# a chunk of files fit in memory.
_TEXTS_AT_ONCE = 4096
_FILES_AT_ONCE = 128
_LONGEST_PROBLEM = 300

T = TypeVar("T")


@dataclass(frozen=True)
class Embedded:
    """Vectors of one modality, aligned with the cases.

    Attributes:
        vectors: unit-length float32, shape (cases, dimension); of several files their mean; zeros where there is none.
        keys: content keys of each case's good contents, each once, in their order.
        problems: why files of a case failed, or None.
        encoded, reused: distinct contents that were encoded now, and that the store had.
        failed: files that gave no vector.
    """

    vectors: Floats
    keys: list[list[str]]
    problems: list[str | None]
    encoded: int
    reused: int
    failed: int = 0


def embed_texts(spec: WorkflowSpec, cases: pa.Table, encoders: Encoders, store: VectorStore) -> dict[str, Embedded]:
    """By modality, the vectors of what stands in the cases' own fields."""
    return {
        modality.name: embed_inline(modality.contents(cases, spec.case_schema), encoders.inline(spec, modality), store)
        for modality in inline_modalities()
        if modality.name in spec.encoders
    }


def named_files(spec: WorkflowSpec, cases: pa.Table) -> dict[FileModality, list[list[str]]]:
    """By modality, the files that each case names."""
    return {
        modality: modality.paths(cases, spec.case_schema)
        for modality in file_modalities()
        if modality.name in spec.encoders
    }


def embed_named(
    spec: WorkflowSpec,
    named: Mapping[FileModality, Sequence[Sequence[str]]],
    source: PhotoSource,
    encoders: Encoders,
    store: VectorStore,
) -> dict[str, Embedded]:
    """By modality, the vectors of `named_files`."""
    return {
        modality.name: embed_files(modality, paths, source, encoders.files(spec, modality), store)
        for modality, paths in named.items()
    }


def embed_inline(texts: Sequence[str | None], encoder: TextEncoder, store: VectorStore) -> Embedded:
    """One vector per text; equal texts, after `clean_text`, are encoded once, and never again by later nights."""
    cleaned = [clean_text(text) for text in texts]
    keys = [text_key(text) if text else None for text in cleaned]
    wanted = {key: text for key, text in zip(keys, cleaned, strict=True) if key is not None}
    by_key = dict(store.get(encoder.version, list(wanted))) if wanted else {}
    reused = len(by_key)
    for made in _encoded({key: text for key, text in wanted.items() if key not in by_key}, encoder):
        store.put(encoder.version, made)
        by_key.update(made)
    vectors = np.zeros((len(texts), _width(by_key, encoder)), np.float32)
    for row, key in enumerate(keys):
        if key is not None:
            vectors[row] = by_key[key]
    held = [[key] if key is not None else [] for key in keys]
    return Embedded(vectors, held, [None] * len(keys), encoded=len(by_key) - reused, reused=reused)


def _encoded(texts: Mapping[str, str], encoder: TextEncoder) -> Iterator[dict[str, Floats]]:
    """Vectors as they are stored, by key, in parts."""
    if isinstance(encoder, StreamedTexts):
        for part in encoder.stream_texts(texts):
            yield {key: as_stored(vector) for key, vector in part.items()}
        return
    at_once = encoder.texts_at_once if isinstance(encoder, ManyTexts) else _TEXTS_AT_ONCE
    for chunk in _chunks(list(texts), at_once):
        yield dict(zip(chunk, as_stored(encoder.encode([texts[key] for key in chunk])), strict=True))


def embed_files(
    modality: FileModality,
    paths_per_case: Sequence[Sequence[str]],
    source: PhotoSource,
    encoder: FileEncoder,
    store: VectorStore,
) -> Embedded:
    """One vector per case, the mean of its files; a file that cannot be read or decoded becomes a problem.

    Files are read in chunks, so memory does not grow with the night.

    Raises:
        SourceStillGrowing: a file changed while it was read.
    """
    distinct = list(dict.fromkeys(path for paths in paths_per_case for path in paths))
    album = _Album()
    if isinstance(encoder, StreamedFiles):
        _embed_stream(distinct, encoder, encoder.version, store, album)
    else:
        for chunk in _chunks(distinct, _FILES_AT_ONCE):
            _embed_chunk(chunk, source, encoder, store, album)
    vectors = np.zeros((len(paths_per_case), _width(album.vectors, encoder)), np.float32)
    keys: list[list[str]] = []
    problems: list[str | None] = []
    for row, paths in enumerate(paths_per_case):
        good = list(dict.fromkeys(album.keys[path] for path in paths if path in album.keys))
        if good:
            vectors[row] = unit(np.mean([album.vectors[key] for key in good], axis=0))
        keys.append(good)
        problems.append(_problem(modality.singular, paths, album.problems))
    return Embedded(vectors, keys, problems, album.encoded, album.reused, len(album.problems))


@dataclass
class _Album:
    """What is known so far of a night's files: by path the content key or the problem, by key the vector."""

    keys: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, Floats] = field(default_factory=dict)
    encoded: int = 0
    reused: int = 0


def read_photo(source: PhotoSource, path: str) -> bytes | str:
    """The content of a photo, or in words why there is none; a source that does not answer is an error of its own."""
    try:
        return source.read(path)
    except PhotoUnreadable as problem:
        return str(problem)
    except OSError as problem:
        return f"cannot be read ({type(problem).__name__})"


def _embed_chunk(
    paths: Sequence[str], source: PhotoSource, encoder: FileEncoder, store: VectorStore, album: _Album
) -> None:
    contents: dict[str, bytes] = {}
    keys: dict[str, str] = {}
    for path in paths:
        content = read_photo(source, path)
        if isinstance(content, str):
            album.problems[path] = content
        else:
            keys[path] = photo_key(content)
            contents[keys[path]] = content
    unknown = [key for key in contents if key not in album.vectors]
    stored = store.get(encoder.version, unknown) if unknown else {}
    fresh, reasons = _encode([key for key in unknown if key not in stored], contents, encoder)
    if fresh:
        store.put(encoder.version, fresh)
    album.vectors.update(stored)
    album.vectors.update(fresh)
    album.reused += len(stored)
    album.encoded += len(fresh)
    for path, key in keys.items():
        if key in album.vectors:
            album.keys[path] = key
        else:
            album.problems[path] = reasons[key]


def _embed_stream(
    paths: Sequence[str], encoder: StreamedFiles, version: str, store: VectorStore, album: _Album
) -> None:
    keys: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for files in encoder.stream_files(paths) if paths else ():
        fresh = {file.key: as_stored(file.vector) for file in files if file.key and file.vector is not None}
        if fresh:
            store.put(version, fresh)
        album.vectors.update(fresh)
        album.encoded += len(fresh)
        for file in files:
            if file.key is None:
                album.problems[file.path] = file.problem or "cannot be read"
            else:
                keys[file.path] = file.key
                if file.problem:
                    reasons[file.key] = file.problem
    stored = store.get(version, [key for key in set(keys.values()) if key not in album.vectors and key not in reasons])
    album.vectors.update(stored)
    album.reused += len(stored)
    for path, key in keys.items():
        if key in album.vectors:
            album.keys[path] = key
        elif key in reasons:
            album.problems[path] = reasons[key]
        else:
            raise SourceStillGrowing("a photo changed while it was read; the step is tried again by itself")


def _encode(
    keys: Sequence[str], contents: Mapping[str, bytes], encoder: FileEncoder
) -> tuple[dict[str, Floats], dict[str, str]]:
    """Vectors of the files that are good, and why the others are not."""
    if not keys:
        return {}, {}
    vectors, problems = encoder.encode([contents[key] for key in keys])
    results = list(zip(keys, as_stored(vectors), problems, strict=True))
    good = {key: vector for key, vector, problem in results if problem is None}
    return good, {key: problem for key, _, problem in results if problem is not None}


def _problem(what: str, paths: Sequence[str], problems: Mapping[str, str]) -> str | None:
    parts = [f"{what} {place}: {problems[path]}" for place, path in enumerate(paths, start=1) if path in problems]
    joined = "; ".join(parts)
    return (joined if len(joined) <= _LONGEST_PROBLEM else f"{joined[: _LONGEST_PROBLEM - 1]}…") or None


def _width(by_key: Mapping[str, Floats], encoder: TextEncoder | FileEncoder) -> int:
    """The length of a vector, without loading the encoder when the store had them all."""
    return next((len(vector) for vector in by_key.values()), None) or encoder.dimension


def _chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def embeddings_table(night: str, case_ids: Sequence[str], made: Mapping[str, Embedded]) -> pa.Table:
    """The `embeddings` of a night (`EMBEDDINGS`); columns of what the workflow does not have are null.

    Args:
        made: by modality.
    """
    cases = len(case_ids)
    columns = {NIGHT: pa.array([night] * cases, pa.string()), CASE_ID: pa.array(list(case_ids), pa.string())}
    for name, modality in MODALITIES.items():
        embedded = made.get(name) or Embedded(np.zeros((cases, 0), np.float32), [[]] * cases, [None] * cases, 0, 0)
        columns[modality.vector_column] = pack(embedded.vectors) if name in made else pa.nulls(cases, pa.binary())
        columns |= modality.further(embedded.keys, embedded.problems)
    schema = embeddings_schema(tuple(MODALITIES.values()))
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)
