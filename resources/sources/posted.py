"""Posted events as part of the workflow's own sources: a night is what the declared source gives, and what was posted.

Posted rows go through the reader of JSON-lines files, so that a value means the same whichever way it came; a row that
is in a file and was posted too has the same hash, and is an exact duplicate like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO

import pyarrow as pa

from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.domain.intake.inbound.events import POSTED_SOURCE, EventKind, PostedEvent, PostedEvents
from pipeline_project.domain.intake.outcomes import ArrivedOutcomes, OutcomeProblem
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.ports.sources import CaseSource, OutcomeSource
from pipeline_project.spec.source import FileFormat
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources import unhashed_columns
from resources.sources.arrivals import arrivals
from resources.sources.declared import case_columns
from resources.sources.json_rows import jsonl_rows
from resources.sources.lines import Reading
from resources.sources.night_files import fingerprint
from resources.sources.outcomes import OutcomeColumns, parsed_outcomes
from resources.sources.rows import SourceRow

CONTRADICTED = "contradicts what the declared source says of its case at the same time, which is used"
FORGOTTEN = "its subject was forgotten, and with the key what was posted"
_AS_POSTED = FileFormat(format="jsonl")


@dataclass
class InboundCases:
    """The declared source of a workflow's cases, and what was posted.

    Attributes:
        declared: as the spec says.
        posted: where events are kept; asked for the first time when something is read.
    """

    spec: WorkflowSpec
    declared: CaseSource
    posted: PostedEvents
    _prints: dict[str, str] | None = field(default=None, init=False)

    def read(self, window: NightWindow) -> ArrivedRows:
        """As `ports.CaseSource.read`; what was posted comes last."""
        events = self.posted.events(self.spec.name, window.night, EventKind.ARRIVAL)
        unhashed = unhashed_columns(self.spec)
        columns = case_columns(self.spec)
        parts = [
            ArrivedRows(arrivals(_rows(event, declared=columns), window.night, event.file, event.digest, unhashed))
            for event in events
        ]
        return ArrivedRows.joined([self.declared.read(window), *parts])

    def fingerprint(self, window: NightWindow) -> str:
        """As `ports.CaseSource.fingerprint`. Posted outcomes count too: one that comes after its night was run brings
        the night back. A night to which nothing was posted keeps the fingerprint of its declared source."""
        declared = self.declared.fingerprint(window)
        prints = self.posted.prints(self.spec.name, window.night) if self._prints is None else self._prints
        posted = prints.get(window.night)
        return fingerprint([declared, posted]) if posted else declared

    def nights_landed(self) -> list[str]:
        """As `ports.CaseSource.nights_landed`; the fingerprints asked for next are of this moment, in one query."""
        self._prints = self.posted.prints(self.spec.name)
        return sorted({*self.declared.nights_landed(), *self._prints})

    def places(self) -> tuple[str, ...]:
        """As `ports.CaseSource.places`; what is posted has the workflow's own name on it."""
        return self.declared.places()


@dataclass(frozen=True)
class InboundOutcomes:
    """The declared source of a workflow's outcomes, and what was posted."""

    spec: WorkflowSpec
    declared: OutcomeSource
    posted: PostedEvents

    def read(self, window: NightWindow) -> ArrivedOutcomes:
        """As `ports.OutcomeSource.read`. Of two that contradict each other about the same time the declared source's
        stays; the other is told about."""
        declared = self.declared.read(window)
        events = self.posted.events(self.spec.name, window.night, EventKind.OUTCOME)
        if not events:
            return declared
        parts = [arrivals(_rows(event, event.received_at.isoformat()), window.night, event.file, event.digest)
                 for event in events]  # fmt: skip
        columns = OutcomeColumns("case_id", "label", "known_at", "true_at", self.spec.outcome.values)
        until = max(window.end, *(event.received_at for event in events))
        posted = parsed_outcomes(pa.concat_tables(parts), columns, self.spec, POSTED_SOURCE, until)
        return _merged(declared, posted, events)


def _rows(
    event: PostedEvent, known_at: str | None = None, declared: DeclaredColumns | None = None
) -> Iterable[SourceRow]:
    """The rows of an event; `line` counts them from 1.

    Args:
        known_at: when an outcome that does not say so became known: when it was posted.
        declared: the columns of a case.
    """
    if event.wrong is not None:
        yield SourceRow(1, {"event": event.event_id}, event.wrong)
    for line, text in enumerate(event.rows, start=1):
        if text is None:
            yield SourceRow(line, {"event": event.event_id, "row": str(line)}, FORGOTTEN)
            continue
        if known_at is not None:
            outcome = json.loads(text)
            text = json.dumps({**outcome, "known_at": outcome.get("known_at") or known_at})
        (row,) = jsonl_rows(BytesIO(text.encode()), _AS_POSTED, event.file, Reading(), declared)
        yield replace(row, line=line)


def _merged(declared: ArrivedOutcomes, posted: ArrivedOutcomes, events: Sequence[PostedEvent]) -> ArrivedOutcomes:
    """Both; of what became known of a case at one and the same time, only what the declared source says."""
    declared_labels = {(row["case_id"], row["known_at"]): row["label"] for row in declared.rows.to_pylist()}
    rows = posted.rows.to_pylist()
    labels = [declared_labels.get((row["case_id"], row["known_at"])) for row in rows]
    contrary = [row["case_id"] for row, label in zip(rows, labels, strict=True) if label not in (None, row["label"])]
    unopposed = posted.rows.filter(pa.array([label is None for label in labels], pa.bool_()))
    problems = [*declared.problems, *posted.problems]
    where = _lines(events) if contrary else {}
    for case in contrary:
        file, line = where.get(case, (POSTED_SOURCE, 0))
        problems.append(OutcomeProblem(file, line, CONTRADICTED))
    return ArrivedOutcomes(pa.concat_tables([declared.rows, unopposed]), tuple(problems))


def _lines(events: Sequence[PostedEvent]) -> dict[str, tuple[str, int]]:
    """Where the first outcome of each case was posted."""
    places: dict[str, tuple[str, int]] = {}
    for event in events:
        for row in _rows(event):
            places.setdefault(row.cells.get("case_id", "").strip(), (event.file, row.line))
    return places
