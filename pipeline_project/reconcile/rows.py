"""Source lines ↔ arrivals ↔ cases, quarantine and duplicates, night by night."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import PurePosixPath

from pipeline_project.reconcile.lines import Counted, count
from pipeline_project.reconcile.places import content_at, names_at
from pipeline_project.reconcile.scope import DeclaredWorkflow, Link, Span, Where
from pipeline_project.reconcile.stores import Rows

_REPAIR, _POSTED = "repair:", "webhook"
#: How contents begin that are kept under a key, which this checker does not have.
_KEYED = "k-"
_REPAIR_FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@dataclass
class NightTables:
    """What the lake holds of one night; None where nothing was ever written."""

    arrivals: Rows | None = None
    cases: Rows | None = None
    quarantine: Rows | None = None


@dataclass
class WorkflowTables:
    """The three tables of one workflow, by night."""

    nights: dict[str, NightTables] = field(default_factory=lambda: defaultdict(NightTables))

    @classmethod
    def of(cls, tables: Mapping[str, tuple[Rows, set[str]]]) -> WorkflowTables:
        """The nights of tables named arrivals, cases and quarantine, from their rows and the nights written."""
        lake = cls()
        for asset_name, (rows, written) in tables.items():
            for night in written:
                setattr(lake.nights[night], asset_name, [])
            for row in rows:
                getattr(lake.nights[row["night"]], asset_name).append(row)
        return lake


# -- source lines ↔ arrivals -------------------------------------------------------------------------------------


def check_lines(
    declared: DeclaredWorkflow, where: Where, span: Span, lake: WorkflowTables, posted: Mapping[str, int]
) -> Link:
    """Every physical line of what lies at the source beside the arrivals of its night."""
    link = Link(declared.name, "source lines ↔ arrivals")
    lost: list[str] = []
    invented: list[str] = []
    twice: list[str] = []
    changed: list[str] = []
    gone: list[str] = []
    untaken: list[str] = []
    lines = rows = 0
    for night, has in sorted(lake.nights.items()):
        if night not in span or has.arrivals is None:
            continue
        rows += len(has.arrivals)
        by_file: dict[str, Rows] = defaultdict(list)
        for row in has.arrivals:
            by_file[row["file"]].append(row)
        there = _files(declared, where, night)
        for name, (place, path) in sorted(there.items()):
            arrivals = by_file.pop(name, [])
            counted = _counted(place, path, name, declared)
            if counted.why_not is not None:
                link.note(f"{name}: {counted.why_not}")
                continue
            lines += len(counted.needed) if counted.rows is None else counted.rows
            mine = Counter(row["line"] for row in arrivals)
            if arrivals and {row["file_sha256"] for row in arrivals} != {counted.sha256}:
                changed.append(f"{night} {name}")
                continue
            if not arrivals and (counted.needed or counted.rows):
                untaken.append(f"{night} {name}")
                continue
            if counted.rows is not None:
                if len(arrivals) != counted.rows:
                    (lost if len(arrivals) < counted.rows else invented).append(
                        f"{name}: {len(arrivals)} of {counted.rows}"
                    )
                continue
            lost += [f"{name}:{number}" for number in sorted(counted.needed - mine.keys())]
            invented += [f"{name}:{number}" for number in sorted(mine.keys() - counted.needed - counted.allowed)]
            twice += [f"{name}:{number}" for number, times in sorted(mine.items()) if times > 1]
        arrived = sum(len(by_file.pop(name)) for name in [*by_file] if name.startswith(_POSTED))
        lines += posted.get(night, 0)
        if arrived != posted.get(night, 0):
            (lost if arrived < posted.get(night, 0) else invented).append(
                f"{night}: {arrived} of {posted.get(night, 0)} posted"
            )
        gone += _left_over(link, declared, night, by_file)
    link.counted = (lines, rows)
    link.expect_none("lines that no arrival was made of", lost)
    link.expect_none("arrivals of lines that are not there", invented)
    link.expect_none("lines that arrived twice", twice)
    link.expect_none("files that are not what was taken in; run their night again", changed)
    link.expect_none("files that arrivals were made of and that are gone", gone)
    link.expect_none("files that a night never took in; run it again", untaken)
    return link


def _files(declared: DeclaredWorkflow, where: Where, night: str) -> dict[str, tuple[str, str]]:
    """The files of a night, by the name that arrivals have for them: the place and the name below it."""
    source, files = declared.source, dict[str, tuple[str, str]]()
    if source.folder is not None and source.pattern is not None:
        folder = source.folder
        files |= {name: (folder, name) for name in names_at(folder, _of_night(source.pattern, night))}
    repairs = f"{where.repairs}/{declared.name}/{night}"
    return files | {f"{_REPAIR}{name}": (repairs, name) for name in names_at(repairs, "*")}


def _of_night(pattern: str, night: str) -> str:
    """A pattern with the night filled in: its key, or when it begins (an hour of UTC, a day, a Monday)."""
    begins = datetime.fromisoformat(night)
    return re.sub(r"\{night(?::([^{}]*))?\}", lambda match: begins.strftime(match[1]) if match[1] else night, pattern)


def _counted(place: str, path: str, name: str, declared: DeclaredWorkflow) -> Counted:
    source, kind = declared.source, declared.source.format
    if name.startswith(_REPAIR):
        kind = next(
            (_REPAIR_FORMATS[end.lower()] for end in PurePosixPath(path).suffixes if end.lower() in _REPAIR_FORMATS),
            kind,
        )
        # a repair has the form of the source's files and a header of its own
        source = replace(source, header=0, skip_lines=0, sheet=None)
    try:
        return count(content_at(place, path), kind, source)
    except (OSError, LookupError) as error:
        return Counted("", why_not=f"cannot be read ({type(error).__name__})")


def _left_over(link: Link, declared: DeclaredWorkflow, night: str, by_file: Mapping[str, Rows]) -> list[str]:
    """Arrivals of files that the source does not have for this night: gone, where it has files by night at all."""
    if not by_file:
        return []
    if declared.source.folder is not None:
        return [f"{night} {name}" for name in by_file]
    note = "rows of tables and queries are not counted at their source"
    if note not in link.notes:
        link.note(note)
    return []


# -- arrivals ↔ cases, quarantine, duplicates --------------------------------------------------------------------


def check_rows(workflow: str, span: Span, lake: WorkflowTables, renamed: Collection[str] = ()) -> Link:
    """Every arrival beside what became of it; contents are compared by their digests.

    Args:
        renamed: contents of cases that the workflow has under earlier names; they may be let go when they come again.
    """
    link = Link(workflow, "arrivals ↔ cases + quarantine + duplicates")
    breaks: dict[str, list[str]] = defaultdict(list)
    before: set[str] = set()
    ids: Counter[str] = Counter()
    total = settled = 0
    for night, has in sorted(lake.nights.items()):
        admitted = [row["row_sha256"] for row in has.cases or ()]
        if night in span and has.arrivals is not None:
            if has.cases is None and has.quarantine is None and has.arrivals:
                link.note(f"{night}: {len(has.arrivals)} arrivals are not sorted yet")
                continue
            arrived = [row["row_sha256"] for row in has.arrivals]
            refused = [row["row_sha256"] for row in has.quarantine or ()]
            apart = _incomparable([*arrived], {*admitted, *refused}, before.union(renamed))
            if apart:
                link.note(
                    f"{night}: {len(apart)} rows cannot be compared with earlier nights, whose "
                    f"contents are kept without a key; run `pipeline keys hashes {workflow}` once"
                )
            total += len(arrived)
            settled += len(apart)
            settled += len(admitted) + len(refused) + _duplicates(arrived, [*admitted, *refused], before.union(renamed))
            _judge(night, has.arrivals, admitted, refused, (before, before.union(renamed, apart)), breaks)
        elif night in span and (has.cases or has.quarantine):
            breaks["nights with cases or refused rows and no arrivals"].append(night)
        before.update(admitted)
        ids.update(row["case_id"] for row in has.cases or ())
    link.counted = (total, settled)
    for mismatch, several in breaks.items():
        link.expect_none(mismatch, several)
    link.expect_none("cases admitted more than once", (case for case, times in ids.items() if times > 1))
    if total != settled and not link.breaks:
        link.expect_none("arrivals that are not as many as what became of them", [f"{total} and {settled}"])
    return link


def _duplicates(arrived: Sequence[str], sorted_: Sequence[str], before: set[str]) -> int:
    """Rows whose content came before: in this night, or as a case of an earlier one."""
    repeated = len(arrived) - len(set(arrived))
    return repeated + len({digest for digest in arrived if digest in before and digest not in set(sorted_)})


def _incomparable(arrived: Sequence[str], sorted_: set[str], before: set[str]) -> set[str]:
    """Contents under a key that went nowhere, where earlier cases' are without one: only who has the key can tell."""
    if all(digest.startswith(_KEYED) for digest in before):
        return set()
    return {
        digest for digest in arrived if digest.startswith(_KEYED) and digest not in sorted_ and digest not in before
    }


def _judge(
    night: str,
    arrivals: Rows,
    admitted: Sequence[str],
    refused: Sequence[str],
    earlier: tuple[set[str], set[str]],
    breaks: dict[str, list[str]],
) -> None:
    """Adds what is wrong with a night; `earlier` are the contents of earlier nights, and those under earlier names."""
    before, let_go = earlier
    arrived = {row["row_sha256"] for row in arrivals}
    settled = {*admitted, *refused}
    for row in arrivals:
        if row["row_sha256"] not in settled and row["row_sha256"] not in let_go:
            breaks["arrivals that are neither case nor refused nor a duplicate"].append(f"{row['file']}:{row['line']}")
    for mismatch, some in (("cases of no arrival", admitted), ("refused rows of no arrival", refused)):
        breaks[mismatch] += [f"{night} {digest[:12]}" for digest in {*some} - arrived]
        doubled = [digest for digest, times in Counter(some).items() if times > 1]
        breaks[f"{mismatch.split()[0]} there more than once"] += [f"{night} {digest[:12]}" for digest in doubled]
    breaks["rows both admitted and refused"] += [f"{night} {digest[:12]}" for digest in {*admitted} & {*refused}]
    breaks["cases whose content an earlier night admitted"] += [
        f"{night} {digest[:12]}" for digest in {*admitted} & before
    ]
