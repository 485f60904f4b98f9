"""Rows of a series: files by night, or a whole table, as strings; read when a night's features are made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.locations import is_url
from pipeline_project.domain.core.nights import NightWindow, shifted
from pipeline_project.domain.core.schema import ARRIVALS
from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.spec.features import SeriesSpec
from pipeline_project.spec.source import FilesSource, TableFile, TableSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.arrivals import FileTerms, read_file
from resources.sources.night_files import NightFiles
from resources.sources.places import location
from resources.sources.whole_files import WholeFiles

_PARSED: WholeFiles[pa.Table] = WholeFiles("series")


def series_rows(spec: WorkflowSpec, name: str, window: NightWindow, variables: Mapping[str, str]) -> pa.Table:
    """The rows of a series that a night may see, as `ARRIVALS`; of files by night those of its `nights` and no later.

    Raises:
        SourceUnreadable, SourceStillGrowing: as `CaseSource.read`.
    """
    series = spec.series[name]
    terms = FileTerms(declared=_columns(name, series))
    if isinstance(series.source, FilesSource):
        return _of_nights(spec, series, series.source, window, variables, terms)
    assert isinstance(series.source, TableSource)

    def rows_of(file: TableFile) -> pa.Table:
        return _PARSED.of(spec, file, variables, lambda path: read_file(path, file, "", path.name, terms).rows, name)

    return pa.concat_tables([rows_of(file) for file in series.source.files])


def _columns(name: str, series: SeriesSpec) -> DeclaredColumns:
    named = {series.column_of_key: f"series.{name}.key", series.at: f"series.{name}.at"}
    return DeclaredColumns(named | dict.fromkeys(series.values, f"series.{name}.values"), strict=True)


def _of_nights(
    spec: WorkflowSpec,
    series: SeriesSpec,
    source: FilesSource,
    window: NightWindow,
    variables: Mapping[str, str],
    terms: FileTerms,
) -> pa.Table:
    place = location(source.folder, spec, variables)
    if not is_url(place) and not Path(place).is_dir():
        raise SourceUnreadable(
            f"{spec.name}: there is no folder {place}; create it, or correct the source of the series"
        )
    files = NightFiles.at(place, source.pattern, spec.nights.every, spec.tenant)
    parts = [ARRIVALS.empty_table()]
    for back in range(series.nights - 1, -1, -1):
        night = shifted(window.night, -back)
        parts += [files.read(name, source, night, terms).rows for name in files.of(night)]
    return pa.concat_tables(parts)
