"""Bodies to events: the envelope is checked here, the rows themselves meet the workflow's contract like any other.

    {"type": "arrival", "workflow": "returns", "timestamp": "2025-03-01T10:00:00+01:00", "data": {"claim_id": "R1"}}

`timestamp` may be left out; `data` may be a list. A row's keys are the columns of the workflow's own source, its values
are written as there. An outcome's row is `case_id`, `label` and, where known, `known_at` and `true_at`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline_project.domain.core.errors import EventRefused
from pipeline_project.domain.intake.inbound.events import EventKind, InboundEvent

#: Bytes of a body, rows of an event, columns of a row, characters of a column's name.
MAX_BODY, MAX_ROWS, MAX_COLUMNS, MAX_NAME = 1024 * 1024, 1000, 200, 200
MAX_EVENT_ID = 200

ENVELOPE = ("type", "workflow", "timestamp", "data")
OUTCOME_COLUMNS = ("case_id", "label", "known_at", "true_at")
_REQUIRED_OUTCOME = ("case_id", "label")
_EVENT_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{MAX_EVENT_ID - 1}}}")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")


def is_event_id(text: str) -> bool:
    """Whether an id may be kept: it stands in file names of the lake's rows."""
    return _EVENT_ID.fullmatch(text) is not None


def read_event(body: bytes, kind: EventKind, workflow: str, event_id: str) -> InboundEvent:
    """The event that a body tells.

    Args:
        kind, workflow: what the address says; the body must say the same.

    Raises:
        EventRefused: with what to mend; no value of the body is repeated.
    """
    if not is_event_id(event_id):
        raise EventRefused(
            f"webhook-id: 1 to {MAX_EVENT_ID} letters, digits and . _ : -, beginning with one of the first"
        )
    if len(body) > MAX_BODY:
        raise EventRefused(f"the body is larger than {MAX_BODY // 1024} KiB; send several events")
    event = _object(body)
    if unknown := sorted(event.keys() - set(ENVELOPE)):
        raise EventRefused(f"{len(unknown)} unknown keys beside `data`; an event has {', '.join(ENVELOPE)}")
    if event.get("type") != kind:
        raise EventRefused(f'`type` must be "{kind}" at this address')
    if event.get("workflow") != workflow:
        raise EventRefused("`workflow` must name the workflow of the address")
    rows = _rows(event.get("data"))
    if kind == EventKind.OUTCOME:
        _check_outcomes(rows)
    return InboundEvent(workflow, kind, event_id, _occurred(event.get("timestamp")), tuple(map(_line, rows)), body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        # numbers stay as they are written: 12.50 in JSON and in a file are the same content
        parsed = json.loads(body.decode("utf-8"), parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise EventRefused("the body is no JSON in UTF-8") from None
    if not isinstance(parsed, dict):
        raise EventRefused(f"the body must be a JSON object with {', '.join(ENVELOPE)}")
    return parsed


def _rows(data: Any) -> list[dict[str, Any]]:
    rows = data if isinstance(data, list) else [data]
    if not rows or len(rows) > MAX_ROWS:
        raise EventRefused(f"`data` must hold 1 to {MAX_ROWS} rows; it holds {len(rows)}")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not row:
            raise EventRefused(f"row {number} of `data` must be an object of column: value")
        if len(row) > MAX_COLUMNS or any(not name.strip() or len(name) > MAX_NAME for name in row):
            raise EventRefused(
                f"row {number} of `data` may have {MAX_COLUMNS} columns, whose names have 1 to {MAX_NAME} characters"
            )
    return rows


def _check_outcomes(rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows, start=1):
        if row.keys() - set(OUTCOME_COLUMNS):
            raise EventRefused(f"row {number} of `data`: an outcome has {', '.join(OUTCOME_COLUMNS)} and nothing else")
        if any(not isinstance(value, str | None) for value in row.values()):
            raise EventRefused(f"row {number} of `data`: an outcome's values are texts")
        if missing := [name for name in _REQUIRED_OUTCOME if not (row.get(name) or "").strip()]:
            raise EventRefused(f"row {number} of `data`: {' and '.join(missing)} must be given")


def _occurred(timestamp: Any) -> datetime | None:
    if timestamp is None:
        return None
    wrong = EventRefused("`timestamp` must be a time with its offset, as in 2025-03-01T10:00:00+01:00")
    if not isinstance(timestamp, str) or not _ISO.match(timestamp):
        raise wrong
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        raise wrong from None
    if moment.tzinfo is None:
        raise wrong
    return moment


def _line(row: Mapping[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=True, separators=(",", ":"))
    except RecursionError:
        raise EventRefused("a value of `data` is nested too deeply; send it as a text") from None
