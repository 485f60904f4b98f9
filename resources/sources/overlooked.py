"""What lies at a source and is read for no night: files with nearly the right name, empty ones, rows of other days."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pipeline_project.domain.core.locations import below
from pipeline_project.domain.core.nights import Cadence, cadence_of, day_of
from pipeline_project.domain.intake.landing import Overlooked
from pipeline_project.domain.intake.near_misses import NearMiss, near_misses
from pipeline_project.ports.files import Files
from pipeline_project.settings import Settings
from pipeline_project.spec.outcome import FilesOutcome
from pipeline_project.spec.source import FilesSource, TableSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.night_files import NightFiles
from resources.sources.places import location
from resources.sources.table import TableCases

#: Names looked at below one folder; photos may lie there by the hundred thousand.
MOST = 50_000
_ISO = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


def overlooked(
    spec: WorkflowSpec, settings: Settings, variables: Mapping[str, str], night: str | None = None
) -> list[Overlooked]:
    """What lies at the sources of a workflow's cases and outcomes and is read for no night.

    Args:
        night: only what may be meant for this night.

    Raises:
        SourceUnreadable: a table is missing, a variable is not set, or a file went away meanwhile.
    """
    entries: list[Overlooked] = []
    if isinstance(spec.source, TableSource) and night is None:
        entries += _of_no_night(spec, settings, variables)
    declared = [feed for feed in (spec.source, spec.outcome) if isinstance(feed, FilesSource | FilesOutcome)]
    every = spec.nights.every
    feeds = [NightFiles.at(location(feed.folder, spec, variables), feed.pattern, every) for feed in declared]
    # A file of the one may lie in the folder of the other, and be much like a name of both.
    misses = [(files, miss) for files in feeds for miss in _near(files, feeds, night)]
    sure = {below(files.files.url, miss.path) for files, miss in misses if miss.sure}
    for files, miss in misses:
        if miss.sure or below(files.files.url, miss.path) not in sure:
            entries.append(Overlooked(miss.night, miss.sentence(files.pattern), miss.sure))
    for files in feeds:
        entries += _empty(files, night)
        entries += [] if night else _outside(spec, files)
    return list(dict.fromkeys(entry for entry in entries if night is None or entry.night == night))


def _near(files: NightFiles, feeds: list[NightFiles], night: str | None) -> Iterator[NearMiss]:
    def is_read(name: str) -> bool:
        path = below(files.files.url, name)
        roots = [(feed, f"{feed.files.url}/") for feed in feeds]
        return any(path.startswith(root) and feed.reads(path.removeprefix(root)) for feed, root in roots)

    names = _names(files.files, files.pattern.count("/") + 2, night)
    likely = (name for name in names if night is None or _may_mean(name, night))
    return near_misses(likely, files.pattern, is_read, files.every)


def _may_mean(name: str, night: str) -> bool:
    """Whether a name may speak of a night, in whatever way it is spelled; one that plainly names others may not."""
    if cadence_of(night) is Cadence.WEEK:
        return night[2:4] in name
    day = day_of(night).isoformat()
    rest = _ISO.sub(lambda match: match[0] if match[0] == day else "", name)
    return day[2:4] in rest and day[-1] in rest


def _names(files: Files, depth: int, night: str | None) -> Iterator[str]:
    """Names of files below a place, at most MOST; folders of other nights than the one asked for are passed over."""
    waiting, left = [("", 0)], MOST
    while waiting and left > 0:
        folder, deep = waiting.pop()
        folders, names = files.level(folder)
        yield from names[:left]
        left -= len(folders) + len(names)
        if deep < depth:
            waiting += [(name, deep + 1) for name in folders if not _other_night(name.rpartition("/")[2], night)]


def _other_night(name: str, night: str | None) -> bool:
    match = _ISO.search(name)
    if night is None or match is None:
        return False
    return cadence_of(night) is not Cadence.WEEK and match[0] != day_of(night).isoformat()


def _empty(files: NightFiles, night: str | None) -> Iterator[Overlooked]:
    for of_night in [night] if night else files.nights():
        for name in files.of(of_night):
            if not files.stamp(name)[0]:
                yield Overlooked(of_night, f"{name} has no bytes, not even a header; deliver it again")


def _outside(spec: WorkflowSpec, files: NightFiles) -> Iterator[Overlooked]:
    outside = [night for night in files.nights() if not spec.has_night(night)]
    if outside:
        yield Overlooked(None, f"files for {_nights(outside)} are read for no night: {_bounds(spec)}")


def _of_no_night(spec: WorkflowSpec, settings: Settings, variables: Mapping[str, str]) -> Iterator[Overlooked]:
    counts = TableCases(spec, settings, variables, ()).rows_by_night()
    outside = {night: rows for night, rows in counts.items() if not spec.has_night(night)}
    if outside:
        sentence = f"{sum(outside.values()):,} rows of {_nights(sorted(outside))} belong to no night: {_bounds(spec)}"
        yield Overlooked(None, sentence)


def _nights(nights: list[str]) -> str:
    return nights[0] if len(nights) == 1 else f"{len(nights)} nights from {nights[0]} to {nights[-1]}"


def _bounds(spec: WorkflowSpec) -> str:
    last = f" and end with {spec.nights.last}, nights.last" if spec.nights.last else ""
    return f"nights begin with {spec.nights.first}, nights.first{last}"
