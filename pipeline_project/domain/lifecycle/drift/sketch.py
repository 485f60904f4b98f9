"""What a night was like, in a few kilobytes: counts of whole numbers only, so that nights merge to the last count.

Sketches of parts of a night, of nights, and of months merge to the same sketch in whatever order. A night is read in
batches, and only its sketch is kept, so that the reference of many nights costs no more memory than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.nights import day_of
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.lifecycle.drift.counts import (
    Counts,
    count_names,
    count_numbers,
    count_places,
    merge_counts,
)
from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.domain.vectors.stored import unpack

#: Directions on which vectors are looked at; the same on every machine and for every night.
DIRECTIONS = 16
_SEED = 20_120_401
_CASES_AT_ONCE = 65_536

#: Chances are summed as whole millionths, because sums of floats depend on their order.
_MILLION = 1_000_000

FIELD, EMBEDDING, CLUSTERS, CONFIDENCE = "field", "embedding", "clusters", "confidence"


@dataclass(frozen=True)
class Sketch:
    """A night, or several.

    Attributes:
        cases: how many cases it is about.
        parts: counts by name: `field/<name>`, `embedding/<kind>/<direction>`, `clusters`, `confidence`.
        scored: cases with probabilities.
        doubt: over them, the sum of the probability that the most probable label is wrong, in millionths.
        doubt_spread: the sum of p (1 - p) of the same, in millionths: the variance of the number of errors.
        outcomes: cases by label, of the nights whose outcomes became mature on this one.
    """

    cases: int = 0
    parts: Mapping[str, Counts] = field(default_factory=dict)
    scored: int = 0
    doubt: int = 0
    doubt_spread: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def expected_error(self) -> float | None:
        """The share of errors that the probabilities themselves expect; None without scores."""
        return self.doubt / self.scored / _MILLION if self.scored else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "cases": self.cases,
            "parts": {name: self.parts[name].to_dict() for name in sorted(self.parts)},
            "scored": self.scored,
            "doubt": self.doubt,
            "doubt_spread": self.doubt_spread,
            "outcomes": {label: self.outcomes[label] for label in sorted(self.outcomes)},
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Sketch:
        """What `to_dict` made."""
        parts = {name: Counts.from_dict(counts) for name, counts in stored["parts"].items()}
        numbers = {name: int(stored[name]) for name in ("cases", "scored", "doubt", "doubt_spread")}
        return cls(parts=parts, outcomes={k: int(n) for k, n in stored["outcomes"].items()}, **numbers)


def merge(*sketches: Sketch) -> Sketch:
    """All of them as one; associative and commutative, and `Sketch()` changes nothing."""
    names = sorted({name for sketch in sketches for name in sketch.parts})
    labels = sorted({label for sketch in sketches for label in sketch.outcomes})
    return Sketch(
        cases=sum(sketch.cases for sketch in sketches),
        parts={name: merge_counts([s.parts[name] for s in sketches if name in s.parts]) for name in names},
        scored=sum(sketch.scored for sketch in sketches),
        doubt=sum(sketch.doubt for sketch in sketches),
        doubt_spread=sum(sketch.doubt_spread for sketch in sketches),
        outcomes={label: sum(sketch.outcomes.get(label, 0) for sketch in sketches) for label in labels},
    )


def sketch_night(
    night: str,
    cases: pa.Table,
    schema: CaseSchema,
    embeddings: pa.Table | None = None,
    clusters: pa.Table | None = None,
    scores: pa.Table | None = None,
    outcomes: Mapping[str, int] | None = None,
) -> Sketch:
    """The sketch of one night from its tables; what the workflow does not have is None.

    Args:
        outcomes: cases by label, of the nights whose outcomes became mature on this one.
    """
    return merge(
        sketch_cases(night, cases.to_batches(_CASES_AT_ONCE), schema),
        *(_sketch_vectors(embeddings, kind) for kind in MODALITIES if embeddings is not None),
        *([_named(CLUSTERS, clusters["cluster"])] if clusters is not None else []),
        *([sketch_scores(scores.to_batches(_CASES_AT_ONCE))] if scores is not None else []),
        Sketch(outcomes=dict(outcomes or {})),
    )


def sketch_cases(night: str, batches: Iterable[pa.RecordBatch], schema: CaseSchema) -> Sketch:
    """The cases of a night, batch by batch; of the fields only those that are watched (`watched_fields`)."""
    watched = watched_fields(schema)

    def sketches() -> Iterator[Sketch]:
        for batch in batches:
            parts = {f"{FIELD}/{f.name}": _COUNT[f.holds](night, batch.column(f.name)) for f in watched}
            yield Sketch(cases=batch.num_rows, parts=parts)

    return _folded(sketches())


def sketch_scores(batches: Iterable[pa.RecordBatch]) -> Sketch:
    """The confidence of a night's scores (`decisions.SCORES`) and the errors it expects."""

    def sketches() -> Iterator[Sketch]:
        for batch in batches:
            confidence = _floats(batch.column("confidence"))
            scored = confidence[~np.isnan(confidence)]
            doubt = np.rint((1 - scored) * _MILLION).astype(np.int64)
            spread = np.rint(scored * (1 - scored) * _MILLION).astype(np.int64)
            counts = count_places(scored, missing=len(confidence) - len(scored))
            yield Sketch(
                parts={CONFIDENCE: counts}, scored=len(scored), doubt=int(doubt.sum()), doubt_spread=int(spread.sum())
            )

    return _folded(sketches())


def _sketch_vectors(embeddings: pa.Table, kind: str) -> Sketch:
    """Where vectors lie on fixed directions; for unit vectors of any kind about N(0, 1) when they point anywhere."""
    column = MODALITIES[kind].vector_column

    def sketches() -> Iterator[Sketch]:
        for batch in embeddings.select([column]).to_batches(_CASES_AT_ONCE // 8):
            there = batch.column(column).drop_null()
            vectors = unpack(there)
            places = vectors @ _directions(vectors.shape[1])
            missing = batch.num_rows - len(there)
            yield Sketch(
                parts={
                    f"{EMBEDDING}/{kind}/{number}": count_places(places[:, number].astype(np.float64), missing)
                    for number in range(DIRECTIONS)
                }
            )

    made = _folded(sketches())
    # a workflow without such vectors has a column of nulls, and nothing to compare
    return made if any(counts.present for counts in made.parts.values()) else Sketch()


def _directions(dimension: int) -> npt.NDArray[np.float32]:
    """Shape (dimension, DIRECTIONS): random, and always the same."""
    return np.random.default_rng(_SEED).standard_normal((dimension, DIRECTIONS)).astype(np.float32)


def _folded(sketches: Iterator[Sketch], at_once: int = 16) -> Sketch:
    """Merges as it goes: never more than `at_once` sketches are held."""
    merged, held = Sketch(), []
    for sketch in sketches:
        held.append(sketch)
        if len(held) == at_once:
            merged, held = merge(merged, *held), []
    return merge(merged, *held)


def watched_fields(schema: CaseSchema) -> tuple[Field, ...]:
    """The fields that are sketched: what models learn from, and nothing that says who somebody is."""
    roles = (Role.FEATURE, Role.AMOUNT)
    return tuple(f for f in schema.of_type(*_COUNT) if f.role in roles and not f.known_later and not f.pii)


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _count_numbers(night: str, column: pa.Array) -> Counts:
    return count_numbers(_floats(column))


def _count_names(night: str, column: pa.Array) -> Counts:
    tally = pc.value_counts(column)
    return count_names(zip(tally.field("values").to_pylist(), tally.field("counts").to_pylist(), strict=True))


def _count_lengths(night: str, column: pa.Array) -> Counts:
    """Characters of a text; what it says is in its vectors."""
    return count_numbers(_floats(pc.utf8_length(column)))


def _count_photos(night: str, column: pa.Array) -> Counts:
    return count_numbers(_floats(pc.list_value_length(column)))


def _count_days(night: str, column: pa.Array) -> Counts:
    """Whole days from the night: a date itself is never twice the same."""
    start = day_of(night).toordinal() - date(1970, 1, 1).toordinal()
    days = _floats(pc.cast(column, pa.int64())) / 86_400_000_000 - start
    return count_numbers(np.floor(days))


_COUNT: Mapping[FieldType, Callable[[str, pa.Array], Counts]] = {
    FieldType.NUMBER: _count_numbers,
    FieldType.CATEGORY: _count_names,
    FieldType.TEXT: _count_lengths,
    FieldType.IMAGE: _count_photos,
    FieldType.TIME: _count_days,
}


def _named(part: str, column: pa.ChunkedArray) -> Sketch:
    return Sketch(parts={part: _count_names("", column.combine_chunks())})


def part_names(sketch: Sketch) -> Sequence[str]:
    """What can be compared, one name for all directions of a kind of vectors."""
    return sorted({name.rsplit("/", 1)[0] if name.startswith(f"{EMBEDDING}/") else name for name in sketch.parts})
