"""Cases in whole tables: each row finds its own night, by its time or by a hash of its id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.night_arrays import nights_of
from pipeline_project.domain.core.nights import NightWindow, distance, on_day, shifted
from pipeline_project.domain.core.schema import ARRIVALS, Role
from pipeline_project.domain.intake.parsing import case_ids, id_columns, parse
from pipeline_project.domain.intake.readings import ArrivedRows, FileReading, lines_of
from pipeline_project.settings import Settings
from pipeline_project.spec.source import Spread, TableFile, TableSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.arrivals import FileTerms, read_file
from resources.sources.declared import case_columns
from resources.sources.night_files import fingerprint
from resources.sources.places import location
from resources.sources.repairs import Repairs
from resources.sources.whole_files import WholeFiles


@dataclass(frozen=True)
class _Placed:
    """One file of a table with its rows sorted by night.

    Attributes:
        starts: where each night begins and how long it is.
        reading: how the whole file was read.
        lines: the physical lines of each row.
    """

    rows: pa.Table
    starts: Mapping[str, tuple[int, int]]
    reading: FileReading
    lines: np.ndarray

    def night(self, night: str) -> ArrivedRows:
        begin, length = self.starts.get(night, (0, 0))
        others = int(self.lines.sum() - self.lines[begin : begin + length].sum())
        reading = replace(self.reading, passed_over=self.reading.passed_over + others)
        return ArrivedRows(self.rows.slice(begin, length), (reading,))


_PLACED: WholeFiles[_Placed] = WholeFiles("source.files")


class TableCases:
    """A table source, repairs included. A file is parsed once per process, until it changes."""

    def __init__(
        self, spec: WorkflowSpec, settings: Settings, variables: Mapping[str, str], unhashed: tuple[str, ...]
    ) -> None:
        self._spec, self._variables, self._unhashed = spec, variables, unhashed
        self._repairs = Repairs(settings, spec, unhashed)

    def read(self, window: NightWindow) -> ArrivedRows:
        parts = [self._placed(file).night(window.night) for file in self._files()]
        return ArrivedRows.joined([*parts, *self._repairs.read(window.night)])

    def fingerprint(self, window: NightWindow) -> str:
        mine: list[object] = []
        for file in self._files():
            rows = self._placed(file).night(window.night).rows
            # The whole content and not `row_sha256`, which leaves the outcome out.
            raws = rows.column("raw").to_pylist()
            mine.append((file.path, [hashlib.sha256(raw.encode()).hexdigest() for raw in raws]))
        return fingerprint([*mine, *self._repairs.stamps(window.night)])

    def nights_landed(self) -> list[str]:
        """As `ports.CaseSource.nights_landed`.

        Raises:
            SourceUnreadable: a file of the table is missing.
        """
        landed = {night for file in self._files() for night in self._placed(file).starts}
        return sorted(landed | set(self._repairs.nights()))

    def rows_by_night(self) -> dict[str, int]:
        """How many rows of the files fall on each day, whether or not it is one of the workflow's nights.

        Raises:
            SourceUnreadable: a file of the table is missing.
        """
        counts: dict[str, int] = {}
        for file in self._files():
            for night, (_, rows) in self._placed(file).starts.items():
                counts[night] = counts.get(night, 0) + rows
        return counts

    def places(self) -> tuple[str, ...]:
        return tuple(location(file.path, self._spec, self._variables) for file in self._files())

    def _files(self) -> Sequence[TableFile]:
        assert isinstance(self._spec.source, TableSource)
        return self._spec.source.files

    def _placed(self, file: TableFile) -> _Placed:
        return _PLACED.of(self._spec, file, self._variables, lambda path: self._place(path, file))

    def _place(self, path: Path, file: TableFile) -> _Placed:
        terms = FileTerms(self._unhashed, declared=case_columns(self._spec))
        arrived = read_file(path, file, "", path.name, terms)
        rows = arrived.rows
        nights = self._nights(rows, file.spread)
        order = np.argsort(nights, kind="stable")
        nights = nights[order]
        ordered = rows.take(pa.array(order))
        ordered = ordered.set_column(0, ARRIVALS.field("night"), pa.array(nights.tolist(), pa.string()))
        unique, begins, counts = np.unique(nights, return_index=True, return_counts=True)
        spans = zip(unique.tolist(), begins.tolist(), counts.tolist(), strict=True)
        (reading,) = arrived.readings
        raws = ordered.column("raw").to_pylist()
        lines = np.array([lines_of(raw, reading.delimiter) for raw in raws], dtype=np.int64)
        starts = {night: (begin, count) for night, begin, count in spans}
        return _Placed(ordered.combine_chunks(), starts, reading, lines)

    def _nights(self, rows: pa.Table, spread: Spread | None) -> np.ndarray:
        schema, nights = self._spec.case_schema, self._spec.nights
        cells = [json.loads(raw) for raw in rows.column("raw").to_pylist()]
        # A row without a readable time still arrives: on the first night, where the contract refuses it.
        first = np.full(len(cells), nights.first_night, dtype=object)
        if spread is not None:
            ids = case_ids([[row.get(name) for row in cells] for name in id_columns(schema)], schema)
            keys = ids.values.astype("object").where(ids.values.notna(), rows.column("row_sha256").to_pandas())
            begins = on_day(spread.first, nights.time_zone, nights.every)
            count = distance(begins, nights.ends_with(spread.last)) + 1
            return np.array([_spread(key, begins, count) for key in keys], dtype=object)
        declared = schema.by_role(Role.TIME)
        if declared is None:
            raise SourceUnreadable(
                f"{self._spec.name}: nothing says to which night a row belongs; give one field `role: time`, or the "
                "file a `spread`"
            )
        times = parse([declared.cell(row, schema.missing) for row in cells], declared, schema).values
        placed = nights_of(times, schema.time_zone, self._spec.nights.every)
        return np.where(pd.isna(placed), first, placed)


def _spread(key: str, first: str, nights: int) -> str:
    place_in_span = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % nights
    return shifted(first, place_in_span)
