"""Bodies to events: what is kept as it came, and what the sender is told to mend, without a value of its own."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.core.errors import EventRefused
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.inbound.events import EventKind, InboundEvent, InboundTerms, PostedEvent
from pipeline_project.domain.intake.inbound.placing import night_for
from pipeline_project.domain.intake.inbound.reading import MAX_BODY, MAX_ROWS, is_event_id, read_event

SECRET_VALUE = "Erika Mustermann"


def body(data: Any = None, **changes: Any) -> bytes:
    told = {"type": "arrival", "workflow": "claims", "data": data or {"claim_id": "C1"}} | changes
    return json.dumps(told).encode()


def read(raw: bytes, kind: EventKind = EventKind.ARRIVAL, event_id: str = "evt_1") -> InboundEvent:
    return read_event(raw, kind, "claims", event_id)


def test_a_row_and_rows_are_kept_with_numbers_as_they_are_written() -> None:
    raw = b'{"type":"arrival","workflow":"claims","data":{"claim_id":"C1","price":12.50,"n":1e400,"ok":true,"x":null}}'
    event = read(raw)
    assert event.rows == ('{"claim_id":"C1","price":"12.50","n":"1e400","ok":true,"x":null}',)
    assert (event.workflow, event.kind, event.event_id, event.occurred_at, event.body) == (
        "claims", EventKind.ARRIVAL, "evt_1", None, raw,
    )  # fmt: skip
    assert len(read(body([{"claim_id": "C1"}, {"claim_id": "Ä\ud800"}])).rows) == 2


def test_a_time_with_its_offset_is_when_it_occurred() -> None:
    event = read(body(timestamp="2025-03-01T10:00:00+01:00"))
    assert event.occurred_at == datetime(2025, 3, 1, 9, tzinfo=UTC)
    assert read(body(timestamp="2025-03-01T10:00:00Z")).occurred_at == datetime(2025, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "must be a JSON object"),
        (body(kind="arrival"), "1 unknown keys"),
        (body(type="outcome"), '`type` must be "arrival"'),
        (body(type=None), "`type` must be"),
        (body(workflow="returns"), "`workflow` must name"),
        (body(workflow=["claims"]), "`workflow` must name"),
        (body(data="C1"), "row 1 of `data` must be an object"),
        (body([{"claim_id": "C1"}, []]), "row 2 of `data` must be an object"),
        (body([{"claim_id": "C1"}, {}]), "row 2 of `data` must be an object"),
        (b'{"type":"arrival","workflow":"claims","data":[]}', "must hold 1 to 1000 rows; it holds 0"),
        (body([{"a": "b"}] * (MAX_ROWS + 1)), "it holds 1001"),
        (body({" ": SECRET_VALUE}), "columns, whose names"),
        (body({"x" * 201: "b"}), "columns, whose names"),
        (body({f"c{n}": "b" for n in range(201)}), "columns, whose names"),
        (body(timestamp="2025-03-01T10:00:00"), "with its offset"),
        (body(timestamp="2025-02-30T10:00:00Z"), "with its offset"),
        (body(timestamp=1740787200), "with its offset"),
        (body(timestamp="2025-03-01"), "with its offset"),
        (body({"text": "x" * MAX_BODY}), "larger than 1024 KiB"),
    ],
)
def test_what_is_wrong_with_an_envelope(raw: bytes, why: str) -> None:
    with pytest.raises(EventRefused, match=why) as refused:
        read(raw)
    assert SECRET_VALUE not in str(refused.value)


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "a\n", "é", "-a", "x" * 201])
def test_an_id_that_could_not_stand_in_a_name_is_refused(name: str) -> None:
    assert not is_event_id(name)
    with pytest.raises(EventRefused, match="webhook-id"):
        read(body(), event_id=name)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"case_id": "C1"}, "row 1 of `data`: label must be given"),
        ({"label": "worn"}, "case_id must be given"),
        ({"case_id": " ", "label": None}, "case_id and label must be given"),
        ({"case_id": "C1", "label": "worn", "name": SECRET_VALUE}, "and nothing else"),
        ({"case_id": "C1", "label": ["worn"]}, "values are texts"),
        ({"case_id": "C1", "label": True}, "values are texts"),
    ],
)
def test_what_is_wrong_with_an_outcome(row: dict[str, Any], why: str) -> None:
    with pytest.raises(EventRefused, match=why) as refused:
        read(body(row, type="outcome"), EventKind.OUTCOME)
    assert SECRET_VALUE not in str(refused.value)


def test_an_outcome_needs_no_times() -> None:
    event = read(body({"case_id": 17, "label": "worn"}, type="outcome"), EventKind.OUTCOME)
    assert event.rows == ('{"case_id":"17","label":"worn"}',)


@given(st.binary(max_size=300) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(
    lambda value: json.dumps({"type": "arrival", "workflow": "claims", "data": value}).encode()
))  # fmt: skip
def test_no_body_ends_in_anything_but_an_event_or_a_refusal(raw: bytes) -> None:
    try:
        event = read(raw)
    except EventRefused:
        return
    assert all(isinstance(json.loads(row), dict) for row in event.rows)


# -- nights ------------------------------------------------------------------------------------------------------

TERMS = InboundTerms("claims", "Europe/Berlin", date(2025, 3, 1), date(2025, 3, 31), None)
RECEIVED = datetime(2025, 3, 10, 22, 59, 59, tzinfo=UTC)


def test_a_night_is_that_of_the_workflow_s_zone() -> None:
    assert night_for(None, RECEIVED, TERMS) == "2025-03-10"
    assert night_for(None, RECEIVED + timedelta(seconds=1), TERMS) == "2025-03-11"
    assert night_for(datetime(2025, 3, 1, 23, 30, tzinfo=UTC), RECEIVED, TERMS) == "2025-03-02", "an earlier night"


@pytest.mark.parametrize(
    ("occurred", "why"),
    [
        (RECEIVED + timedelta(minutes=6), "lies in the future"),
        (datetime(2025, 2, 28, 22, tzinfo=UTC), "nights go from 2025-03-01 to 2025-03-31"),
        (datetime(1, 1, 1, tzinfo=UTC), "nights go from"),
        (datetime.fromisoformat("0001-01-01T00:00+23:00"), "beyond the calendar"),
    ],
)
def test_times_in_no_night(occurred: datetime, why: str) -> None:
    with pytest.raises(EventRefused, match=why):
        night_for(occurred, RECEIVED, TERMS)


def test_after_the_last_night_nothing_is_taken() -> None:
    later = datetime(2025, 4, 1, tzinfo=UTC)
    with pytest.raises(EventRefused, match="no night of the workflow"):
        night_for(None, later, TERMS)
    assert night_for(RECEIVED, later, TERMS) == "2025-03-10"


def test_a_clock_a_little_ahead_is_forgiven() -> None:
    assert night_for(RECEIVED + timedelta(minutes=5), RECEIVED, TERMS) == "2025-03-11"


def test_terms_of_a_schema_name_the_subject_s_column() -> None:
    subject = Field("customer", FieldType.IDENTIFIER, "customer_no", Role.SUBJECT)
    schema = CaseSchema((subject,), "Europe/Berlin")
    assert InboundTerms.of("claims", schema, TERMS.first, None).subject == "customer_no"
    assert InboundTerms.of("claims", CaseSchema((), "UTC"), TERMS.first, None).subject is None


def test_names_of_events_are_in_the_order_in_which_they_were_kept() -> None:
    names = [PostedEvent(number, "evt", "d", RECEIVED, ()).file for number in (9, 10, 100_000)]
    assert names == sorted(names)
