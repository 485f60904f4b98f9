"""What was known of an entity's past at the start of a night: how many cases, how they ended, at what amounts.

Training asks for many nights at once and scoring for one; both run through the same lines, so that a training row is
what scoring would have seen. Sums are of integers, so that they are equal to the last bit however many nights ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.night_arrays import window_numbers

#: A rate is drawn towards the workflow's base rate as if it had been seen this many times more.
PRIOR_WEIGHT = 10.0
#: With more labels than this the rate of each says too little to be worth a column.
MOST_LABELS = 10
#: Amounts are summed as thousandths, and larger ones than this are cut, so that sums stay within 64 bits.
_LARGEST = 1e9
#: More earlier cases than this say no more, and a count that follows the calendar would leave every model behind.
_MOST_COUNTED = 100.0


@dataclass(frozen=True)
class Asking:
    """The nights that ask, ascending, and the time before which each may know.

    Attributes:
        nights: numbers of their windows, int64, shape (q,).
        times: microseconds since 1970 UTC, shape (q,), ascending.
    """

    nights: np.ndarray
    times: np.ndarray

    @classmethod
    def of(cls, nights: Sequence[str] | np.ndarray, as_of: Mapping[str, datetime]) -> Asking:
        """
        Raises:
            KeyError: a night has no time in `as_of`.
            ValueError: a later night may know less than an earlier one.
        """
        ordered = sorted(set(nights))
        if missing := [night for night in ordered if night not in as_of]:
            raise KeyError(f"as_of has no time for the nights {', '.join(missing[:5])}; give the start of each night")
        times = np.array([int(pd.Timestamp(as_of[night]).timestamp() * 1_000_000) for night in ordered], dtype=np.int64)
        if np.any(np.diff(times) < 0):
            raise ValueError("as_of must rise from night to night")
        return cls(window_numbers(ordered).astype(np.int64), times)

    def index_of(self, nights: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.nights, window_numbers(nights).astype(np.int64))

    def first_after(self, nights: np.ndarray) -> np.ndarray:
        """Index of the first asking night later than each of these."""
        return np.searchsorted(self.nights, nights, side="right")

    def first_knowing(self, known_at: np.ndarray) -> np.ndarray:
        """Index of the first asking night that starts after each of these times, in microseconds."""
        return np.searchsorted(self.times, known_at, side="right")


@dataclass(frozen=True)
class PastCases:
    """Earlier cases, and the spans of asking nights over which each outcome stood.

    Attributes:
        nights: numbers of their windows, int64, shape (m,).
        enters: index of the first asking night that may see the case, shape (m,).
        amounts: in thousandths, shape (m,), 0 where missing; `has_amount` says where.
        of: position of the case of each outcome, shape (k,).
        label: index of its label, shape (k,).
        begins, ends: half-open span of asking nights on which this label stood, shape (k,).
    """

    nights: np.ndarray
    enters: np.ndarray
    amounts: np.ndarray
    has_amount: np.ndarray
    of: np.ndarray
    label: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


def past_cases(
    case_ids: np.ndarray,
    nights: np.ndarray,
    amounts: np.ndarray,
    outcomes: pd.DataFrame,
    labels: Sequence[str],
    asking: Asking,
) -> PastCases:
    """Earlier cases with their outcomes; a corrected outcome stands from its own `known_at` on.

    Args:
        case_ids, nights: of the earlier cases, shape (m,), every case once.
        amounts: in the workflow's currency, NaN where missing, shape (m,).
        outcomes: case_id, label, known_at; several rows of one case are corrections of each other.
    """
    numbers = window_numbers(nights).astype(np.int64)
    enters = asking.first_after(numbers)
    frame = pd.DataFrame(
        {
            "of": pd.Index(case_ids).get_indexer(pd.Index(outcomes["case_id"])),
            "label": pd.Index(list(labels)).get_indexer(pd.Index(outcomes["label"])),
            "known": microseconds(outcomes["known_at"]),
        }
    )
    frame = frame[(frame["of"] >= 0) & (frame["label"] >= 0)].sort_values(["of", "known"], kind="stable")
    of = frame["of"].to_numpy(np.int64)
    begins = np.maximum(asking.first_knowing(frame["known"].to_numpy(np.int64)), enters[of])
    ends = np.full(len(frame), len(asking.nights), dtype=np.int64)
    corrected = np.flatnonzero(of[1:] == of[:-1])
    ends[corrected] = begins[corrected + 1]
    return PastCases(
        nights=numbers,
        enters=enters,
        amounts=thousandths(amounts),
        has_amount=np.isfinite(amounts).astype(np.int64),
        of=of,
        label=frame["label"].to_numpy(np.int64),
        begins=begins,
        ends=ends,
    )


@dataclass(frozen=True)
class Askers:
    """The cases that ask, each array of shape (n,).

    Attributes:
        entity: code of each case's entity, -1 for none.
        night: index of its night into an `Asking`.
        amounts: the money at stake.
    """

    entity: np.ndarray
    night: np.ndarray
    amounts: np.ndarray


def entity_history(
    past: PastCases,
    entity: np.ndarray,
    asking: Asking,
    of: Askers,
    labels: Sequence[str],
    nights: int | None,
) -> dict[str, np.ndarray]:
    """What is known of the entity of each case, as of the case's own night.

    Args:
        entity: code of each past case's entity, shape (m,), -1 for none.
        nights: look back this many nights; None for all.

    Returns:
        Columns of shape (n,): earlier, known, nights_since, amount_ratio and, up to ten labels, {label}_rate. NaN
        where the case has no such entity.
    """
    asker, asked = of.entity, of.night
    leaves = asking.first_after(past.nights + nights) if nights else None
    ends = past.ends if leaves is None else np.minimum(past.ends, leaves[past.of])
    never = np.full(len(past.nights), len(asking.nights), dtype=np.int64) if leaves is None else leaves
    of_case = np.column_stack([np.ones(len(entity), dtype=np.int64), past.amounts, past.has_amount])
    earlier, amount_sum, amount_count = _standing(entity, past.enters, never, of_case, asker, asked).T

    rated = len(labels) <= MOST_LABELS
    width = len(labels) if rated else 1
    hits = np.zeros((len(past.of), width), dtype=np.int64)
    hits[np.arange(len(past.of)), past.label if rated else 0] = 1
    label_counts = _standing(entity[past.of], past.begins, ends, hits, asker, asked)

    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = of.amounts / (amount_sum / 1000 / amount_count)
    columns = {
        "earlier": np.minimum(earlier.astype(np.float64), _MOST_COUNTED),
        "known": np.minimum(label_counts.sum(axis=1).astype(np.float64), _MOST_COUNTED),
        "nights_since": _nights_since(past, entity, asking, asker, asked, nights),
        "amount_ratio": np.where(np.isfinite(ratio), ratio, np.nan),
    }
    if rated:
        nobody = np.zeros(len(past.of), dtype=np.int64)
        everybody = np.arange(len(asking.nights))
        base = _standing(nobody, past.begins, ends, hits, np.zeros_like(everybody), everybody)
        for label, rate in zip(labels, _rates(label_counts, base[asked]).T, strict=True):
            columns[f"{label}_rate"] = rate
        if len(labels) == 2:
            del columns[f"{labels[0]}_rate"]
    for column in columns.values():
        column[asker < 0] = np.nan
    return columns


def microseconds(times: pd.Series) -> np.ndarray:
    """Aware times as microseconds since 1970 UTC."""
    return pd.to_datetime(times, utc=True).dt.as_unit("us").astype("int64").to_numpy()


def codes(past: pa.ChunkedArray | None, now: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers for the values of two columns, equal for equal values and -1 for null."""
    pieces = [*(past.chunks if past is not None else []), *now.chunks]
    whole = pa.chunked_array(pieces, type=now.type).combine_chunks().dictionary_encode()
    numbers = np.asarray(whole.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    split = 0 if past is None else len(past)
    return numbers[:split], numbers[split:]


def thousandths(amounts: np.ndarray) -> np.ndarray:
    """Amounts as whole thousandths, whose sums are equal to the last bit in any order; what is missing is 0."""
    finite = np.where(np.isfinite(amounts), amounts, 0.0)
    return np.rint(np.clip(finite, -_LARGEST, _LARGEST) * 1000).astype(np.int64)


def _standing(
    entity: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    values: np.ndarray,
    asker: np.ndarray,
    asked: np.ndarray,
) -> np.ndarray:
    """For each that asks, the sum of an entity's values whose span of nights covers the asking night.

    A value is added where its span begins and taken away where it ends; one sort, one running sum and one binary
    search then answer every question.
    """
    held = (entity >= 0) & (ends > begins)
    entity, begins, ends, values = entity[held], begins[held], ends[held], values[held]
    width = int(max(asked.max(initial=0), ends.max(initial=0))) + 2
    keys = np.concatenate([entity * width + begins, entity * width + ends])
    order = np.argsort(keys, kind="stable")
    running = np.zeros((len(keys) + 1, values.shape[1]), dtype=np.int64)
    np.cumsum(np.concatenate([values, -values])[order], axis=0, out=running[1:])
    keys = keys[order]
    upto = running[np.searchsorted(keys, asker * width + asked, side="right")]
    return upto - running[np.searchsorted(keys, asker * width, side="left")]


def _rates(label_counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    labels = label_counts.shape[1]
    prior = (base + 1.0) / (base.sum(axis=1, keepdims=True) + labels)
    return (label_counts + PRIOR_WEIGHT * prior) / (label_counts.sum(axis=1, keepdims=True) + PRIOR_WEIGHT)


def _nights_since(
    past: PastCases,
    entity: np.ndarray,
    asking: Asking,
    asker: np.ndarray,
    asked: np.ndarray,
    nights: int | None,
) -> np.ndarray:
    then, now = past.nights, asking.nights[asked]
    width = int(max(then.max(initial=0), now.max(initial=0))) + 2
    keys = np.sort(entity[entity >= 0] * width + then[entity >= 0])
    position = np.searchsorted(keys, asker * width + now, side="left") - 1
    last = keys[np.maximum(position, 0)] if len(keys) else np.full(len(asker), -1)
    since = np.where((position >= 0) & (last // width == asker), now - last % width, np.nan)
    return np.where(since <= nights, since, np.nan) if nights else since
