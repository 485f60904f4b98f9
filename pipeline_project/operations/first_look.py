"""What the first data say of a spec, before any night runs (`pipeline check --data`). Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.costs import case_costs
from pipeline_project.domain.core.errors import PhotoUnreadable, PipelineError
from pipeline_project.domain.core.schema import ARRIVALS, FieldType
from pipeline_project.domain.deciding.worth_asking import distinct_costs, most_saved
from pipeline_project.domain.features.series_rows import from_strings
from pipeline_project.domain.intake.file_hints import column_advice
from pipeline_project.domain.intake.first_look import (
    Seen,
    look_at_contract,
    look_at_ids,
    look_at_lookup,
    look_at_outcomes,
    look_at_rows,
)
from pipeline_project.domain.intake.lookups.matching import Reference
from pipeline_project.domain.intake.outcomes import OUTCOMES, ArrivedOutcomes
from pipeline_project.domain.intake.photo_opener import plain_photo
from pipeline_project.domain.intake.typed_rows import LookedIn, read_rows
from pipeline_project.domain.vectors.modalities import MODALITIES, InlineModality, file_modalities
from pipeline_project.partitions import last_ended, window
from pipeline_project.ports.encoders import FileEncoder, TextEncoder
from pipeline_project.services.aggregating import source_columns
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.outcome import ColumnOutcome, FilesOutcome

if TYPE_CHECKING:
    from pipeline_project.ports.sources import CaseSource

_Look = Callable[[WorkflowSpec, Settings], Iterator[Seen]]
#: Nights opened, rows looked at, photos looked for.
NIGHTS, ROWS, PHOTOS = 3, 20_000, 200
#: Different cost matrices looked at, those of the most cases first.
MATRICES = 300
LISTED = 8
_EVER = datetime(9999, 12, 31, tzinfo=UTC)
#: What libraries raise for weights that are missing, half there or of another kind.
UNLOADABLE = (PipelineError, ValueError, OSError, ImportError, KeyError, RuntimeError)


def look(spec: WorkflowSpec, chosen: Settings) -> list[Seen]:
    """Everything that is worth saying about a workflow's data; what cannot be reached is a finding like others."""
    findings: list[Seen] = []
    looks: tuple[Callable[[WorkflowSpec, Settings], Iterator[Seen]], ...] = (
        _lookups,
        _cases,
        _outcomes,
        _photos,
        _encoders,
        _asking,
        _series,
        _unread,
    )
    for check in looks:
        try:
            findings += check(spec, chosen)
        except (PipelineError, ValueError, OSError) as error:
            if str(error) not in {seen.sentence for seen in findings}:
                findings.append(Seen(_ABOUT[check.__name__], str(error)))
    return list(dict.fromkeys(findings))


_ABOUT: dict[str, tuple[str, ...]] = {
    "_lookups": ("lookups",), "_cases": ("source",), "_outcomes": ("outcome",), "_photos": ("fields",),
    "_encoders": ("text",), "_unread": ("source",), "_asking": ("review", "cost"),
    "_series": ("series",),
}  # fmt: skip


def _source(spec: WorkflowSpec, chosen: Settings) -> CaseSource:
    # What was posted needs a database, and is in the reader's own form already.
    from resources.sources import case_source

    return case_source(spec, chosen)


def _nights(spec: WorkflowSpec, chosen: Settings) -> list[str]:
    """The first nights for which something lies there; of a query, which cannot say, some that have ended."""
    # a look at what lies there decides nothing, and needs no database
    ended = last_ended(spec, datetime.now(UTC))
    if not spec.source.tells_nights:
        asked = {spec.nights.first_night, spec.nights.first_decided, ended}
        return sorted(night for night in asked if spec.has_night(night) and night <= ended)
    landed = (night for night in _source(spec, chosen).nights_landed() if spec.has_night(night))
    return list(islice(landed, NIGHTS))


def _rows(spec: WorkflowSpec, chosen: Settings) -> pa.Table:
    source = _source(spec, chosen)
    parts = [source.read(window(spec, night)).rows for night in _nights(spec, chosen)]
    return pa.concat_tables(parts).slice(0, ROWS) if parts else ARRIVALS.empty_table()


def _cases(spec: WorkflowSpec, chosen: Settings) -> Iterator[Seen]:
    from resources.contracts.arrivals import cases_contract

    nights, rows = _nights(spec, chosen), _rows(spec, chosen)
    if not nights:
        # Reading a night says whether the folder itself is missing.
        _source(spec, chosen).read(window(spec, spec.nights.first_night))
        yield Seen(("source",), "nothing lies there for any night, so nothing was looked at")
        return
    if not len(rows):
        yield Seen(("source",), f"not one row lies there for {', '.join(nights)}")
        return
    limit = spec.contract.quarantine_limit
    yield Seen(("source",), f"looked at {len(rows):,} rows of {', '.join(nights)}", mistake=False)
    yield from look_at_rows(rows, spec.case_schema, limit)
    typed = read_rows(rows, spec.case_schema, _looked_in(spec, chosen, nights[-1]))
    yield from look_at_ids(typed)
    yield from look_at_contract(cases_contract(spec).validate(typed), len(rows), limit)


def _lookups(spec: WorkflowSpec, chosen: Settings) -> Iterator[Seen]:
    from resources.sources import lookup_source

    source = lookup_source(spec, chosen)
    nights = _nights(spec, chosen) if spec.lookups else []
    of_night = window(spec, (nights or [spec.nights.first_night])[-1])
    for terms in spec.lookup_terms:
        try:
            table = source.table(spec.lookups[terms.name], terms, of_night)
            yield from look_at_lookup(Reference(terms, table.rows, _EVER), datetime.now(UTC))
        except PipelineError as error:
            yield Seen(("lookups", terms.name), str(error))


def _looked_in(spec: WorkflowSpec, chosen: Settings, night: str) -> LookedIn | None:
    """The reference tables as they lie there now."""
    from resources.sources import lookup_source

    if not spec.lookups:
        return None
    of_night = window(spec, night)
    read = lookup_source(spec, chosen).read(of_night)
    tables = [(terms, [Reference(terms, read[terms.name].rows, of_night.end)]) for terms in spec.lookup_terms]
    return LookedIn(tables, of_night.start)


def _outcomes(spec: WorkflowSpec, chosen: Settings) -> Iterator[Seen]:
    from resources.sources import outcome_source

    source, feed = outcome_source(spec, chosen), spec.outcome
    nights = _nights(spec, chosen)
    if isinstance(feed, FilesOutcome):
        from resources.sources.outcomes import FilesOutcomes

        assert isinstance(source, FilesOutcomes)
        nights = [night for night in source.nights() if spec.has_night(night)][:NIGHTS]
        if not nights:
            yield Seen(("outcome", "pattern"), "no file of outcomes lies there; without any nothing is ever learned")
            return
    if isinstance(feed, ColumnOutcome):
        names = {name for raw in _rows(spec, chosen)["raw"].to_pylist() for name in _keys(raw)}
        if names and feed.column not in names:
            yield Seen(("outcome", "column"), column_advice(feed.column, sorted(names), "outcome.column"))
            return
    read = [source.read(window(spec, night)) for night in nights]
    rows = pa.concat_tables([arrived.rows for arrived in read]) if read else OUTCOMES.empty_table()
    problems = tuple(problem for arrived in read for problem in arrived.problems)
    yield from look_at_outcomes(ArrivedOutcomes(rows, problems), spec.labels)


def _keys(raw: str) -> list[str]:
    import json

    return list(json.loads(raw))


def _photos(spec: WorkflowSpec, chosen: Settings) -> Iterator[Seen]:
    fields = spec.case_schema.of_type(*(modality.field_type for modality in file_modalities()))
    if not fields:
        return
    from resources.sources import photo_source
    from resources.sources.photos import FolderPhotos

    photos = photo_source(spec, chosen)
    assert isinstance(photos, FolderPhotos)
    frame = read_rows(_rows(spec, chosen), spec.case_schema).frame
    for field in fields:
        where, folder = ("fields", field.name), photos.folder()
        cells = frame[field.name].tolist() if field.name in frame else []
        paths = list(islice((path for cell in cells if isinstance(cell, list) for path in cell), PHOTOS))
        missing = sum(not _opens(photos, path) for path in paths)
        sentence = f"photos are looked for below {folder}"
        if missing:
            sentence += f"; {missing} of the first {len(paths)} cannot be opened there"
        yield Seen(where, sentence, mistake=bool(paths) and missing == len(paths))


def _series(spec: WorkflowSpec, chosen: Settings) -> Iterator[Seen]:
    from resources.sources.places import environment
    from resources.sources.series import series_rows

    nights = _nights(spec, chosen)[:1]
    for name, series in spec.series.items():
        if series.source is None or not nights:
            continue
        rows = series_rows(spec, name, window(spec, nights[0]), environment(chosen, None)).slice(0, ROWS)
        if not len(rows):
            yield Seen(("series", name, "source"), f"not one row lies there that {nights[0]} may see")
            continue
        read = from_strings(rows, source_columns(spec, series), spec.case_schema)
        if read.unusable:
            sentence = f"{read.unusable:,} of the first {len(rows):,} rows have no key or moment that can be read"
            yield Seen(("series", name), sentence, mistake=read.unusable == len(rows))
        for i, (value, column) in enumerate(read.values.items()):
            if len(column) and not np.isfinite(column).any():
                yield Seen(("series", name, "values", i), f"{value} holds no number in the first {len(rows):,} rows")


def _opens(photos: object, path: str) -> bool:
    try:
        photos.read(path)  # type: ignore[attr-defined]
    except PhotoUnreadable:
        return False
    return True


def _encoders(spec: WorkflowSpec, chosen: Settings) -> Iterator[Seen]:
    from resources.encoders import encoder_of

    for name, terms in spec.encoders.items():
        try:
            encoder = encoder_of(name, terms, chosen.device, spec.folder, chosen.engines_folder)
            if isinstance(MODALITIES[name], InlineModality):
                cast(TextEncoder, encoder).encode(["a"])
            else:
                cast(FileEncoder, encoder).encode([plain_photo()])
        except UNLOADABLE as error:
            yield Seen((name, "encoder"), f"cannot be loaded: {error}")


def _asking(spec: WorkflowSpec, chosen: Settings) -> Iterator[Seen]:
    """Whether asking a person can pay off by these costs, and whether chance alone takes all places."""
    read, nights = read_rows(_rows(spec, chosen), spec.case_schema).frame, len(_nights(spec, chosen))
    numbers = [field.name for field in spec.case_schema.of_type(FieldType.NUMBER)]
    if not len(read) or not {*numbers} <= {*read}:
        return
    columns = {name: read[name].to_numpy(dtype=float) for name in numbers}
    matrices, counts = distinct_costs(case_costs(spec.cost_matrix, columns, len(read)))
    terms = spec.policy_terms
    most = np.argsort(-counts, kind="stable")[:MATRICES]
    saved = max((most_saved(matrices[at], np.array(terms.denies)) for at in most), default=np.inf)
    if saved <= terms.review_cost:
        sentence = (
            f"an answer costs {terms.review_cost:g} and can by `options` never save more than {saved:.4g}: nobody is "
            "asked but at random and where something fails"
        )
        yield Seen(("review", "cost"), sentence, mistake=False)
    usual = len(read) // max(nights, 1)
    drawn = round(terms.exploration * usual)
    if drawn and terms.places(usual) <= drawn:
        sentence = (
            f"of {usual:,} cases in a night {drawn:,} are sent to people at random and there are "
            f"{terms.places(usual):,} places: no doubt is ever asked about; raise `capacity`, or lower `exploration`"
        )
        yield Seen(("review", "capacity"), sentence, mistake=False)


def _unread(spec: WorkflowSpec, chosen: Settings) -> Iterator[Seen]:
    from resources.sources.overlooked import overlooked
    from resources.sources.places import environment

    sentences = list(dict.fromkeys(unread.sentence for unread in overlooked(spec, chosen, environment(chosen, None))))
    for sentence in sentences[:LISTED]:
        yield Seen(("source",), sentence, mistake=False)
    if len(sentences) > LISTED:
        yield Seen(("source",), f"and {len(sentences) - LISTED} more that are not read", mistake=False)
