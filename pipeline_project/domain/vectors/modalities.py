"""Kinds of content that become vectors, one class each: whoever needs to know something of one asks it here.

Another one is a class here with its line in `MODALITIES`, and an encoder in `resources/encoders`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, CaseSchema, FieldType
from pipeline_project.domain.vectors.engines import Engine, Precision, asked

_Engine = Annotated[
    Engine,
    Field(
        description="The library that computes. `auto` is torch, which was within a tenth of the quickest wherever it "
        "was measured; `onnxruntime` and `openvino` are extras of the package, on processors only. Vectors of two "
        "engines never mix: each has a version of its own."
    ),
]
_Precision = Annotated[
    Precision,
    Field(
        description="The numbers that are multiplied. `auto` is `fp32`, and of the encoder that comes with the package "
        "`bf16` where the processor has units for it. `int8` is OpenVINO's and never chosen by itself; `fp16` needs a "
        "GPU. Name engine and precision where the same home is used on several kinds of machines."
    ),
]
_LeastCosine = Annotated[
    float | None,
    Field(
        gt=0,
        le=1,
        description="Vectors are refused where one of a fixed set has a smaller cosine to the one that torch makes in "
        "`fp32`. Left out: 0.9999, and 0.993 for `int8`.",
    ),
]


@dataclass(frozen=True)
class TextTerms:
    """How texts become vectors."""

    encoder: Annotated[
        str,
        Field(
            description="`all-minilm-l6-v2` (comes with the package), a folder, or `hf:owner/name@commit` with the "
            "commit's 40 digits."
        ),
    ] = "all-minilm-l6-v2"
    tokens_per_batch: Annotated[
        int,
        Field(
            ge=64,
            description="Token budget of a batch, padding included; each core works on one batch at a time, and about "
            "a thousand stay within its cache.",
        ),
    ] = 1024
    max_tokens: Annotated[int, Field(ge=8, le=512, description="Longer texts are cut here.")] = 256
    engine: _Engine = Engine.AUTO
    precision: _Precision = Precision.AUTO
    least_cosine: _LeastCosine = None

    def halved(self, times: int) -> TextTerms:
        """The same encoder with smaller batches; its vectors may differ in their last bits."""
        return replace(self, tokens_per_batch=max(1, self.tokens_per_batch >> times))


@dataclass(frozen=True)
class ImageTerms:
    """How photos become vectors.

    A case names photos by paths that start in the source's `folder`, or beside the first file of a table; a path that
    leads out of there is refused.
    """

    encoder: Annotated[
        str | Annotated[tuple[str, ...], Field(min_length=2)],
        Field(
            description="`photo-statistics-v1` (colour, texture and layout; needs no weights), `efficientnet-lite0` "
            "(what is on a photo; comes with the package), a folder (also one with an ONNX file), or "
            "`hf:owner/name@commit` with the commit's 40 digits. A list of several puts their vectors side by side."
        ),
    ] = "photo-statistics-v1"
    batch: Annotated[int, Field(ge=1, description="Photos in a batch.")] = 32
    max_pixels: Annotated[int, Field(ge=1, description="A larger photo is refused unopened.")] = 50_000_000
    engine: _Engine = Engine.AUTO
    precision: _Precision = Precision.AUTO
    least_cosine: _LeastCosine = None

    def halved(self, times: int) -> ImageTerms:
        """The same encoder with smaller batches; its vectors may differ in their last bits."""
        return replace(self, batch=max(1, self.batch >> times))


EncoderTerms = TextTerms | ImageTerms


def encoder_asked(terms: EncoderTerms) -> str:
    """What a spec asks for, as part of a step's code version."""
    names = (terms.encoder,) if isinstance(terms.encoder, str) else terms.encoder
    return "+".join(names) + asked(terms.engine, terms.precision)


class Modality(ABC):
    """A kind of content that becomes vectors.

    Attributes:
        name: the key of a spec, and the name of its vectors in features, models and drift.
        terms: what a spec may say of its encoder; made without arguments, the encoder that is taken by default.
        about, reduced: what docs/workflows.md says of the keys `name` and `name_dimensions`.
        field_type: the fields that carry it.
        feature: what tables of features and pages call all its dimensions together.
        singular: what sentences count.
        shows: what a reason calls it, in words.
        alike: what pages and columns call the likeness of two cases in it.
        dimensions: the features that trees see of it by default.
        width: the fewest that a network sees.
        key_column: the keys of its contents in `EMBEDDINGS`.
    """

    name: ClassVar[str]
    terms: ClassVar[type[EncoderTerms]]
    about: ClassVar[str]
    reduced: ClassVar[str]
    field_type: ClassVar[FieldType]
    feature: ClassVar[str]
    singular: ClassVar[str]
    shows: ClassVar[str]
    alike: ClassVar[str]
    dimensions: ClassVar[int]
    width: ClassVar[int]
    key_column: ClassVar[str]

    @property
    def plural(self) -> str:
        """What metrics count."""
        return f"{self.singular}s"

    @property
    def vector_column(self) -> str:
        return f"{self.name}_vector"

    @property
    def similarity_column(self) -> str:
        return f"{self.alike.removesuffix('s')}_similarity"

    @property
    @abstractmethod
    def further_columns(self) -> Mapping[str, pa.DataType]:
        """Its columns in `EMBEDDINGS` beside the vector."""

    @abstractmethod
    def further(self, keys: Sequence[Sequence[str]], problems: Sequence[str | None]) -> dict[str, pa.Array]:
        """`further_columns`, of the content keys and the problems of each case."""

    @abstractmethod
    def size(self, field: str, column: pa.ChunkedArray) -> tuple[str, np.ndarray]:
        """Name and values of the number that says how much of it each case has in a field; a missing one has none."""

    @abstractmethod
    def keys_of(self, embeddings: pa.Table) -> list[list[str]]:
        """The content keys of each case, shape (cases,)."""

    def _cells(self, cases: pa.Table, schema: CaseSchema) -> list[tuple]:
        columns = [cases[field.name].to_pylist() for field in schema.of_type(self.field_type)]
        return list(zip(*columns, strict=True))


class InlineModality(Modality):
    """Content that stands in the case's own fields."""

    @property
    def further_columns(self) -> Mapping[str, pa.DataType]:
        return {self.key_column: pa.string()}

    def further(self, keys: Sequence[Sequence[str]], problems: Sequence[str | None]) -> dict[str, pa.Array]:
        return {self.key_column: pa.array([key[0] if key else None for key in keys], pa.string())}

    def contents(self, cases: pa.Table, schema: CaseSchema) -> list[str | None]:
        """The content of each case: its fields in the spec's order, one after the other; None when all are empty."""
        return ["\n".join(filter(None, parts)) or None for parts in self._cells(cases, schema)]

    def size(self, field: str, column: pa.ChunkedArray) -> tuple[str, np.ndarray]:
        return f"{field}_length", np.array([len(text or "") for text in column.to_pylist()], dtype=np.float64)

    def keys_of(self, embeddings: pa.Table) -> list[list[str]]:
        return [[key] if key else [] for key in embeddings[self.key_column].to_pylist()]


class FileModality(Modality):
    """Content in files that the case names by their paths, several of which make one vector.

    Attributes:
        problem_column: in `EMBEDDINGS`, why files of a case gave no vector.
        failure: why such a case goes to people.
    """

    problem_column: ClassVar[str]
    failure: ClassVar[Reason]

    @property
    def further_columns(self) -> Mapping[str, pa.DataType]:
        return {self.problem_column: pa.string(), self.key_column: pa.list_(pa.string())}

    def further(self, keys: Sequence[Sequence[str]], problems: Sequence[str | None]) -> dict[str, pa.Array]:
        return {
            self.problem_column: pa.array(problems, pa.string()),
            self.key_column: pa.array(keys, pa.list_(pa.string())),
        }

    def paths(self, cases: pa.Table, schema: CaseSchema) -> list[list[str]]:
        """The files of each case, of all its fields together."""
        return [[path for paths in row for path in paths or ()] for row in self._cells(cases, schema)]

    def size(self, field: str, column: pa.ChunkedArray) -> tuple[str, np.ndarray]:
        return f"{field}_count", np.array([len(paths or ()) for paths in column.to_pylist()], dtype=np.float64)

    def keys_of(self, embeddings: pa.Table) -> list[list[str]]:
        return [keys or [] for keys in embeddings[self.key_column].to_pylist()]


class TextModality(InlineModality):
    """Words of people."""

    name = "text"
    terms = TextTerms
    about = "How texts become vectors; with text features it need not be written."
    reduced = "The text's vectors are reduced to this many features."
    field_type = FieldType.TEXT
    feature, singular, alike = "text", "text", "words"
    shows = "what the text says"
    dimensions, width = 24, 96
    key_column = "text_key"


class PhotoModality(FileModality):
    """Photos, as files beside the cases."""

    name = "image"
    terms = ImageTerms
    about = "How photos become vectors; with image features it need not be written."
    reduced = "The same for photos."
    field_type = FieldType.IMAGE
    feature, singular, alike = "photos", "photo", "photos"
    shows = "what the photos show"
    dimensions, width = 16, 64
    key_column, problem_column = "photo_keys", "image_problem"
    failure = Reason.FAILED_PHOTO


#: By name, in the order in which their vectors stand in tables and models.
MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (TextModality(), PhotoModality())}


def inline_modalities() -> tuple[InlineModality, ...]:
    return tuple(modality for modality in MODALITIES.values() if isinstance(modality, InlineModality))


def file_modalities() -> tuple[FileModality, ...]:
    return tuple(modality for modality in MODALITIES.values() if isinstance(modality, FileModality))


def usual_dimensions() -> dict[str, int]:
    """To how many features the vectors of each modality are reduced where nobody says."""
    return {name: modality.dimensions for name, modality in MODALITIES.items()}


def file_keys(embeddings: pa.Table) -> list[list[str]]:
    """The content keys of all files of each case, shape (cases,)."""
    columns = [modality.keys_of(embeddings) for modality in file_modalities()]
    return [[key for keys in row for key in keys] for row in zip(*columns, strict=True)]


def embeddings_schema(modalities: Sequence[Modality]) -> pa.Schema:
    """The `embeddings` of a night: a vector packed by `stored.pack` for each modality, then what goes with each."""
    further = {name: kind for modality in reversed(modalities) for name, kind in modality.further_columns.items()}
    return pa.schema(
        [
            pa.field(NIGHT, pa.string(), nullable=False),
            pa.field(CASE_ID, pa.string(), nullable=False),
            *(pa.field(modality.vector_column, pa.binary()) for modality in modalities),
            *(pa.field(name, kind) for name, kind in further.items()),
        ]
    )


#: A problem says why files failed; null means fine, or no files.
EMBEDDINGS = embeddings_schema(tuple(MODALITIES.values()))
