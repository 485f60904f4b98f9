"""Counts over integer keys in bounded room: the one thing that every sketch of a night is made of.

A key is an integer of at most 63 bits whose high bits say the most. When there are more distinct keys than room, the
lowest bit of all of them is dropped, and again, until they fit. The level reached is the least at which everything
counted fits: whatever was merged in whatever order, the result is the same to the last count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

#: Most keys of one kind of counts.
ROOM_NUMBERS, ROOM_NAMES, ROOM_PLACES = 512, 256, 128

#: Bits of a number that are dropped before counting: what is left tells numbers apart by less than 1 in 4,000.
_NUMBER_BITS = 40
#: Places of a projection per unit, and how far from zero they go.
_PLACES_PER_UNIT, _FARTHEST = 32, 1024


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each key occurred.

    Attributes:
        keys, counts: aligned, keys in order, at most `room` of them; counts are above zero.
        level: bits dropped from every key.
        missing: cases without a value.
    """

    room: int
    keys: Ints
    counts: Ints
    level: int = 0
    missing: int = 0

    @property
    def present(self) -> int:
        """Cases with a value."""
        return int(self.counts.sum())

    @property
    def total(self) -> int:
        return self.present + self.missing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.room, self.level, self.missing, self.keys.tobytes(), self.counts.tobytes()))

    def at(self, level: int) -> Counts:
        """The same counts with at least so many bits dropped."""
        if level <= self.level:
            return self
        return _counted(self.room, self.keys >> (level - self.level), self.counts, level, self.missing)

    def to_dict(self) -> dict[str, Any]:
        return {
            "room": self.room,
            "level": self.level,
            "missing": self.missing,
            "keys": self.keys.tolist(),
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Counts:
        keys, counts = (np.asarray(stored[name], dtype=np.int64) for name in ("keys", "counts"))
        return cls(int(stored["room"]), keys, counts, int(stored["level"]), int(stored["missing"]))


def empty(room: int) -> Counts:
    """Nothing counted yet."""
    nothing = np.empty(0, dtype=np.int64)
    return Counts(room, nothing, nothing)


def merge_counts(parts: Sequence[Counts]) -> Counts:
    """The counts of all parts together.

    Raises:
        ValueError: there are no parts, or they have different room.
    """
    if len({part.room for part in parts}) != 1:
        raise ValueError("only counts of the same room can be merged, and at least one")
    level = max(part.level for part in parts)
    alike = [part.at(level) for part in parts]
    keys, counts = np.concatenate([p.keys for p in alike]), np.concatenate([p.counts for p in alike])
    return _counted(parts[0].room, keys, counts, level, sum(part.missing for part in parts))


def count_numbers(values: npt.NDArray[np.float64]) -> Counts:
    """Counts of numbers, finer where they lie close to each other relative to their size; NaN is missing."""
    present = values[~np.isnan(values)]
    bits = np.nan_to_num(present).view(np.int64)
    # a float's bits are in order for positive numbers and in reverse for negative ones; both zeros become 0
    ordered = np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
    return _tally(ROOM_NUMBERS, ordered >> _NUMBER_BITS, len(values) - len(present))


def count_names(values: Iterable[tuple[str | None, int]]) -> Counts:
    """Counts of names, given with how often each occurs; None is missing. No name is kept, only its hash."""
    missing, hashes, often = 0, [], []
    for name, times in values:
        if name is None:
            missing += times
        else:
            hashes.append(name_key(name))
            often.append(times)
    keys, counts = np.asarray(hashes, dtype=np.int64), np.asarray(often, dtype=np.int64)
    return _counted(ROOM_NAMES, keys, counts, 0, missing)


def count_places(places: npt.NDArray[np.float64], missing: int = 0) -> Counts:
    """Counts of places on a line around zero, in steps of equal width."""
    steps = np.floor(places * _PLACES_PER_UNIT).clip(-_FARTHEST, _FARTHEST - 1).astype(np.int64)
    return _tally(ROOM_PLACES, steps, missing)


def name_key(name: str) -> int:
    """The key of a name, the same on every machine."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) >> 1


def _tally(room: int, keys: Ints, missing: int) -> Counts:
    distinct, counts = np.unique(keys, return_counts=True)
    return _fitted(room, distinct, counts.astype(np.int64), 0, missing)


def _counted(room: int, keys: Ints, counts: Ints, level: int, missing: int) -> Counts:
    distinct, place = np.unique(keys, return_inverse=True)
    summed = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(summed, place, counts)
    return _fitted(room, distinct, summed, level, missing)


def _fitted(room: int, keys: Ints, counts: Ints, level: int, missing: int) -> Counts:
    """Drops bits until the keys, which are distinct and in order, fit."""
    while len(keys) > room:
        keys, level = keys >> 1, level + 1
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        keys, counts = keys[starts], np.add.reduceat(counts, starts)
    return Counts(room, keys, counts, level, missing)
