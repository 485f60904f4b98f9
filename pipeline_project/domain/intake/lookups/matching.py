"""Which row of a reference table is a case's: the one of its key that counts at its time, or none."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.schema import Field, FieldType, Role
from pipeline_project.domain.intake.ids import canonical_ids
from pipeline_project.domain.intake.lookups.terms import MATCH_SCORE, LookupTerms, NearTerms
from pipeline_project.domain.intake.parsing import Cells, parse, strings

#: So many keys of a table at most are compared with one that is near to them; more share no one best.
_NEAR = 20
#: Years that no clock here can tell, at their places in a date: `9999-12-31` is how many tables write for good.
_FAR_YEAR = re.compile(r"^(\s*(?:\d{1,2}[./-]\d{1,2}[./-])?)(?:226[1-9]|22[7-9]\d|2[3-9]\d\d|[3-9]\d{3})(?=-|\b)")
_FAR = r"\g<1>2260"
_EARLIEST, _LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_MOST_NEAR_KEYS = 200_000


@dataclass(frozen=True)
class Matches:
    """What a reference table has for each case.

    Attributes:
        cells: by column of the table, one string per case; None where there is no row, or no cell.
        there: whether one row was found.
        unclear: whether several rows that differ could be meant; then none is taken.
    """

    cells: Mapping[str, list[str | None]]
    there: np.ndarray
    unclear: np.ndarray

    @classmethod
    def nowhere(cls, terms: LookupTerms, count: int) -> Matches:
        """What an empty table has."""
        nothing = np.zeros(count, dtype=bool)
        return cls({field.column: [None] * count for field in terms.fields}, nothing, nothing.copy())

    def completed(self, newer: Matches, required: bool) -> Matches:
        """These, and for the cases that could not be decided on them what a newer version says.

        Args:
            required: whether a case without a row could not be decided either.
        """
        asked = self.unclear | ~self.there if required else self.unclear
        cells = {
            name: [theirs if again else own for own, theirs, again in zip(mine, newer.cells[name], asked, strict=True)]
            for name, mine in self.cells.items()
        }
        return Matches(cells, np.where(asked, newer.there, self.there), np.where(asked, newer.unclear, self.unclear))


class Reference:
    """One version of a reference table, as it is known at a moment.

    Args:
        rows: as `LOOKUP_ROWS_SCHEMA`, of this lookup alone.
        until: what became known from then on does not count.

    Raises:
        SourceUnreadable: a time of the table cannot be read; the message says which column.
    """

    def __init__(self, terms: LookupTerms, rows: pa.Table, until: datetime) -> None:
        self.terms = terms
        known_at = rows["known_at"]
        counts = pc.or_kleene(pc.is_null(known_at), pc.less(known_at, pa.scalar(until, known_at.type)))
        # of whom was forgotten nothing is left of a row
        kept = rows.filter(pc.and_(counts, pc.not_equal(rows["raw"], "{}")))
        cells = [json.loads(raw) for raw in kept["raw"].to_pylist()]
        self._cells = {name: [row.get(name) for row in cells] for name in terms.columns}
        self._known = _moments(kept["known_at"].to_pandas(), _EARLIEST)
        self._count = len(cells)

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _spans(self) -> tuple[np.ndarray, np.ndarray]:
        """When each row begins and ceases to count, in microseconds."""
        terms = self.terms
        begins = np.full(self._count, _EARLIEST)
        if terms.valid_from is not None:
            begins = _moments(self._times(terms.valid_from), _EARLIEST)
        ends = np.full(self._count, _LATEST)
        if terms.valid_to is not None:
            ends = _moments(self._times(terms.valid_to), _LATEST)
        if terms.last_day is not None:
            ends = np.minimum(ends, _moments(self._day_after(terms.last_day), _LATEST))
        if (backward := int((ends <= begins).sum())) and terms.valid_from is not None:
            raise SourceUnreadable(
                f"lookups.{terms.name}: {backward:,} of {self._count:,} rows end before they begin; correct "
                f"{terms.valid_from} or {terms.valid_to or terms.last_day} there"
            )
        return begins, ends

    def _times(self, column: str) -> pd.Series:
        declared = Field(column, FieldType.TIME, column, Role.IGNORE, required=False)
        cells = [cell and _FAR_YEAR.sub(_FAR, cell) for cell in self._cells[column]]
        parsed = parse(cells, declared, self.terms.schema)
        if parsed.unreadable:
            raise SourceUnreadable(
                f"lookups.{self.terms.name}: {len(parsed.unreadable):,} of {self._count:,} values of {column} cannot "
                "be read as a time; correct them, or say how they are written with `time_formats` of the lookup"
            )
        return parsed.values

    def _day_after(self, column: str) -> pd.Series:
        """The beginning of the day after, in the workflow's zone, also where that day has another hour."""
        local = self._times(column).dt.tz_convert(self.terms.schema.time_zone).dt.tz_localize(None)
        after = local.dt.normalize() + timedelta(days=1)
        return after.dt.tz_localize(self.terms.schema.time_zone, ambiguous=True, nonexistent="shift_forward")

    @property
    def first_begins(self) -> np.ndarray:
        """When each row begins to count, in microseconds since 1970; the smallest number where nothing says so."""
        return self._spans[0]

    @cached_property
    def _keys(self) -> pd.DataFrame:
        """The key of each row as it is compared, with its span and when it became known."""
        begins, ends = self._spans
        columns = {f"key{i}": compared(self._cells[column], self.terms) for i, (_, column) in enumerate(self.terms.key)}
        frame = pd.DataFrame({**columns, "begins": begins, "ends": ends, "known": self._known})
        frame["row"], frame["same"] = np.arange(self._count), self._alike()
        return frame.dropna(subset=list(columns))

    def _alike(self) -> np.ndarray:
        """A number for what each row says: rows that say the same are no question which one is meant."""
        taken = [field.column for field in self.terms.fields if field.column != MATCH_SCORE]
        values = [self._cells[name] for name in dict.fromkeys(taken)]
        rows = list(zip(*values, strict=True)) if values else [()] * self._count
        codes = pd.factorize(pd.Series(rows, dtype="object"))
        return np.asarray(codes[0])

    @property
    def _key_columns(self) -> list[str]:
        return [f"key{place}" for place in range(len(self.terms.key))]

    def repeated(self) -> int:
        """How many keys stand in several rows that begin at the same time, became known at the same time and differ."""
        of_key = self._key_columns
        together = self._keys.groupby([*of_key, "begins", "known"], sort=False)["same"].nunique()
        return int((together > 1).sum())

    def without_key(self) -> int:
        """How many rows have no key."""
        return self._count - len(self._keys)

    def match(self, keys: Sequence[Cells], times: np.ndarray) -> Matches:
        """The row of each case.

        Of several rows of one key that count at a case's time the one that began last is taken, and of these the one
        that became known last: a price holds until the next one does, and a correction stands for what it corrects.

        Args:
            keys: of each case its cells, in the order of `terms.key`.
            times: of each case, microseconds since 1970.
        """
        asked = pd.DataFrame({f"key{i}": compared(cells, self.terms) for i, cells in enumerate(keys)})
        asked["case"], asked["at"] = np.arange(len(times)), times
        asked = asked.dropna()
        of_key = self._key_columns
        pairs = self._near(asked, of_key) if self.terms.near else asked.merge(self._keys, on=of_key).assign(score=100.0)
        pairs = pairs[(pairs["begins"] <= pairs["at"]) & (pairs["at"] < pairs["ends"])]
        order = ["case", "score", "begins", "known"]
        pairs = pairs.sort_values([*order, "row"], kind="stable")
        best = pairs.groupby("case")[order[1:]].transform("last")
        first = pairs[(pairs[order[1:]] == best).all(axis=1)]
        several = first.groupby("case")["same"].nunique()
        unclear = np.zeros(len(times), dtype=bool)
        unclear[several.index[several > 1].to_numpy(int)] = True
        chosen = first.groupby("case", sort=True).first()
        return self._taken(chosen, unclear)

    def _taken(self, chosen: pd.DataFrame, unclear: np.ndarray) -> Matches:
        there = np.zeros(len(unclear), dtype=bool)
        at, rows = chosen.index.to_numpy(int), chosen["row"].to_numpy(int)
        there[at] = True
        there &= ~unclear
        cells: dict[str, list[str | None]] = {}
        for name in dict.fromkeys(field.column for field in self.terms.fields):
            taken: list[str | None] = [None] * len(unclear)
            source = None if name == MATCH_SCORE else self._cells[name]
            for case, row, score in zip(at.tolist(), rows.tolist(), chosen["score"].tolist(), strict=True):
                if there[case]:
                    taken[case] = repr(round(score, 1)) if source is None else source[row]
            cells[name] = taken
        return Matches(cells, there, unclear)

    def _near(self, asked: pd.DataFrame, of_key: list[str]) -> pd.DataFrame:
        """Pairs of cases and rows whose keys are alike, with their similarity; the rest of the key is the same."""
        near = self.terms.near
        assert near is not None
        place = f"key{[field for field, _ in self.terms.key].index(near.field)}"
        rest = [name for name in of_key if name != place]
        texts = asked[[*rest, place]].drop_duplicates()
        theirs = self._keys[[*rest, place]].drop_duplicates()
        if len(theirs) > _MOST_NEAR_KEYS:
            raise SourceUnreadable(
                f"lookups.{self.terms.name}: has {len(theirs):,} keys, and near ones are looked for among at most "
                f"{_MOST_NEAR_KEYS:,}; leave out what no case can mean, or take `near` out"
            )
        choices = {key: of_rest[place].tolist() for key, of_rest in _by(theirs, rest)}
        pairs: list[tuple[object, ...]] = []
        for key, of_rest in _by(texts, rest):
            for text in of_rest[place].tolist():
                pairs += [(*key, text, other, score) for other, score in likest(text, choices.get(key, []), near)]
        alike = pd.DataFrame(pairs, columns=[*rest, place, "theirs", "score"]).astype({"score": float})
        rows = self._keys.rename(columns={place: "theirs"})
        return asked.merge(alike, on=[*rest, place]).merge(rows, on=[*rest, "theirs"])


def likest(text: str, choices: Sequence[str], near: NearTerms) -> list[tuple[str, float]]:
    """Of some keys those that are alike enough, with their similarity from 0 to 100; the same one is 100."""
    from rapidfuzz import fuzz, process, utils

    extracted = process.extract(
        text,
        choices,
        scorer=getattr(fuzz, near.by),
        processor=utils.default_process,
        limit=_NEAR,
        score_cutoff=near.at_least,
    )
    # the very same key is meant, however many others are as like to it once their marks are taken away
    return [(other, 100.0 if other == text else min(score, 99.9)) for other, score, _ in extracted]


def compared(cells: Cells, terms: LookupTerms) -> pd.Series:
    """Keys as they are compared: without blanks around and accents written another way, and 1001.0 is 1001."""
    text, _ = strings(cells, terms.schema)
    plain = canonical_ids(text)
    written = plain.map(lambda key: " ".join(unicodedata.normalize("NFC", key).split()), na_action="ignore")
    return written.astype("str")


def _by(frame: pd.DataFrame, names: list[str]) -> list[tuple[tuple[object, ...], pd.DataFrame]]:
    """The rows of each combination of some columns; all of them where there are none."""
    if not names:
        return [((), frame)]
    return [(key if isinstance(key, tuple) else (key,), part) for key, part in frame.groupby(names, sort=False)]


def _moments(times: pd.Series, missing: int) -> np.ndarray:
    """Microseconds since 1970, `missing` where there is no time."""
    there = times.notna().to_numpy(bool)
    moments = pd.to_datetime(times, utc=True).dt.as_unit("us").astype("int64").to_numpy()
    return np.where(there, moments, missing)
