"""Poison in the queue of what other systems post: bodies that a sender may sign, and rows changed where they are kept.

A body is refused in words or kept, and what is kept is read; rows that a night cannot use are refused one by one, and
every whole event beside them is admitted. What was changed where it is kept is never read as if it were what came.
`--without digests` reads what stands there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

from fastapi.testclient import TestClient
from sqlalchemy import text

from benchmarks.chaos.tally import Came, Given, Tally, run
from pipeline_project.desk.routes.hooks import HookLimits, HookReceiver, build_hooks_app
from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.intake.admission import admit
from pipeline_project.domain.intake.inbound.events import EventKind, InboundTerms, PostedEvent
from pipeline_project.domain.intake.typed_rows import read_rows
from pipeline_project.settings import Settings
from resources.contracts.arrivals import cases_contract
from resources.ledger.inbound.sealing import RowSealer
from resources.ledger.inbound.store import PostgresInbound
from resources.ledger.migrate import upgrade
from resources.postgres.databases import engine_of, pooled_engine
from resources.postgres.embedded import EmbeddedServer
from resources.sources import case_source
from resources.sources.posted import InboundCases
from tests.resources.sources.claim_specs import claims

FLOW, ZONE, FIRST = "claims", "Europe/Berlin", date(2010, 1, 1)
KEY = b"c" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()
DEEP = 3_000


def _row(case: str, **more: Any) -> dict[str, Any]:
    whole = {"claim_id": case, "price": "12.50", "category": "shoes", "message": f"torn, says {case}", "photos": ""}
    return {**whole, **more}


def _told(data: Any, **more: Any) -> bytes:
    return json.dumps({"type": "arrival", "workflow": FLOW, "data": data, **more}).encode()


def _with(name: str, value: str) -> Callable[[str, Random], bytes]:
    """A body in which one value of a whole row stands as this JSON."""
    marked = "the value"
    return lambda case, _: _told(_row(case, **{name: marked})).replace(f'"{marked}"'.encode(), value.encode())


#: By kind, the body of an event about a case.
BODIES: dict[str, Callable[[str, Random], bytes]] = {
    "noise": lambda _, draw: draw.randbytes(draw.randrange(1, 900)),
    "cut off": lambda case, draw: _told(_row(case))[: draw.randrange(1, 60)],
    "a list": lambda case, _: json.dumps([_row(case)]).encode(),
    "no rows": lambda *_: _told([]),
    "rows that are numbers": lambda *_: _told([1, 2]),
    "UTF-16": lambda case, _: _told(_row(case)).decode().encode("utf-16"),
    "a time without an offset": lambda case, _: _told(_row(case), timestamp="2025-03-05T12:00:00"),
    "a time beyond years": lambda case, _: _told(_row(case), timestamp="99999-03-05T12:00:00Z"),
    "nested beyond reading": _with("message", "[" * DEEP + "]" * DEEP),
    "a number beyond numbers": _with("price", "1" + "0" * 5_000),
    "an exponent beyond numbers": _with("price", "1e999999"),
    "NaN": _with("price", "NaN"),
    "half a pair of letters": _with("message", '"\\ud800"'),
    "a NUL in a text": _with("message", '"a\\u0000b"'),
    "an id that is a list": _with("claim_id", '["A", {"b": null}]'),
    "an id that is null": _with("claim_id", "null"),
    "a time that is an object": _with("claimed_at", '{"at": []}'),
    "a time that does not exist": _with("claimed_at", '"2025-02-30T25:61:00"'),
    "a photo's name that leads out": _with("photos", '"../../../etc/passwd"'),
    "a long text": lambda case, draw: _told(_row(case, message="x" * draw.randrange(100_000, 900_000))),
    "columns that nobody declared": lambda case, _: _told(_row(case, **{f"more {n}": "x" for n in range(150)})),
    "names that nobody can read": lambda case, _: _told({**_row(case), "\u202e\u0000": "x"}),
    "a thousand rows alike": lambda case, _: _told([_row(case)] * 1_000),
}
#: By kind, what is done to a kept event; `other` is another event's `sealed`.
CHANGES = {
    "another event's rows": "sealed = :other",
    "half of its rows": "sealed = left(sealed, length(sealed) / 2)",
    "nothing": "sealed = ''",
    "noise": "sealed = 'f:' || md5(sealed)",
    "another digest": "sealed_sha256 = repeat('0', 64)",
}


def suite(given: Given) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="pipeline-posted-") as name, _without(given.without):
        server = EmbeddedServer(Path(name) / "postgres")
        try:
            server.start()
            url = server.superuser_url
            upgrade(url)
            terms = {FLOW: InboundTerms(FLOW, ZONE, FIRST, None, None)}
            store = PostgresInbound(pooled_engine(url, 4), RowSealer(Path(name) / "keys"), terms)
            house = _House(store, Path(name), url)
            if given.without is None:
                for number in range(given.times):
                    house.bodies(FIRST + timedelta(days=number), Random(given.seed + number), tally)
            for number in range(given.times):
                for place, kind in enumerate(CHANGES):
                    night = FIRST + timedelta(days=1_000 + number * len(CHANGES) + place)
                    tally.note(f"kept as {kind}", *house.changed(night, kind))
        finally:
            server.stop()
    return tally


class _House:
    """A webhook's door, its store, and the source of cases that reads it."""

    def __init__(self, store: PostgresInbound, folder: Path, url: str) -> None:
        self.store, self.url = store, url
        limits = HookLimits(events=10_000_000)
        self.receiver = TestClient(build_hooks_app(HookReceiver(store, lambda _: (SECRET,), limits)))
        (folder / "in").mkdir()
        self.spec = claims(folder)
        self.source = InboundCases(self.spec, case_source(self.spec, Settings(home=folder / "home"), {}), store)

    def post(self, night: date, event: str, body: bytes) -> int:
        at = str(int(datetime.now(UTC).timestamp()))
        # as the standard has it: a signature is over bytes, whatever they are
        signed = hmac.digest(KEY, f"{event}.{at}.".encode() + body, "sha256")
        headers = {
            "content-type": "application/json",
            "webhook-id": event,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }
        return self.receiver.post(f"/hooks/{FLOW}/arrivals", content=body, headers=headers).status_code

    def whole(self, night: date, case: str) -> bytes:
        at = f"{night}T12:00:00+01:00"
        return _told(_row(case, claimed_at=at), timestamp=at)

    def bodies(self, night: date, draw: Random, tally: Tally) -> None:
        """Every kind of body once, each between two whole events."""
        came: dict[str, tuple[Came, str]] = {}
        beside = []
        for number, (kind, make) in enumerate(BODIES.items()):
            beside.append(f"W-{number}")
            self.post(night, f"{night}-w-{number}", self.whole(night, beside[-1]))
            at = f"{night}T12:00:00+01:00"
            body = make(f"P-{number}", draw)
            if b'"timestamp"' not in body and body.endswith(b"}"):
                body = body[:-1] + f', "timestamp": "{at}"}}'.encode()
            said = self.post(night, f"{night}-p-{number}", body)
            if said >= HTTPStatus.INTERNAL_SERVER_ERROR:
                came[kind] = (Came.SILENT, f"the door says {said}")
        try:
            window = window_of(night.isoformat(), ZONE)
            typed = read_rows(self.source.read(window).rows, self.spec.case_schema)
            admitted = admit(typed, cases_contract(self.spec).validate(typed), None, window)
            there = set(admitted.cases.column("case_id").to_pylist())
        except Exception as error:  # noqa: BLE001 - whatever it is, one body stopped the night
            tally.note("a night of poison", Came.LOST, f"it cannot be read: {type(error).__name__}")
            return
        for kind in BODIES:
            tally.note(f"posted: {kind}", *came.get(kind, (Came.WELL, "")))
        for case in beside:
            if case not in there:
                tally.note("whole events beside", Came.LOST, f"{night}: {case} was not admitted")

    def changed(self, night: date, kind: str) -> tuple[Came, str]:
        """A night of three events, one of which is changed where it is kept."""
        for number in range(3):
            self.post(night, f"{night}-{number}", self.whole(night, f"C-{number}"))
        before = self.store.events(FLOW, night.isoformat(), EventKind.ARRIVAL)
        with engine_of(self.url).begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            here = {"night": night, "event": f"{night}-1", "other": None}
            if "other" in CHANGES[kind]:
                other = text("SELECT sealed FROM inbound_events WHERE night = :night AND event_id = :event")
                here["other"] = connection.scalar(other, {"night": night, "event": f"{night}-2"})
            change = f"UPDATE inbound_events SET {CHANGES[kind]} WHERE night = :night AND event_id = :event"
            connection.execute(text(change), {name: value for name, value in here.items() if value is not None})
        try:
            after: list[PostedEvent] = self.store.events(FLOW, night.isoformat(), EventKind.ARRIVAL)
        except SourceUnreadable as error:
            return (Came.WELL, "") if f"{night}-1" in str(error) else (Came.SILENT, "the event is not named")
        told = [each.event_id for each in after if each.wrong]
        rest = [each for each in before if each.event_id not in told]
        if told not in ([], [f"{night}-1"]) or [each for each in after if not each.wrong] != rest:
            return Came.SILENT, f"{night} is read with other rows"
        if told and any(each.rows for each in after if each.wrong):
            return Came.SILENT, f"{night}: what was changed is read all the same"
        return Came.WELL, ""


@contextmanager
def _without(protection: str | None) -> Iterator[None]:
    if protection is None:
        yield
        return

    whole = PostgresInbound._opened

    def believing(self: PostgresInbound, row: Any, _changed: bool) -> PostedEvent | SourceUnreadable:
        digest = hashlib.sha256(row.sealed.encode()).hexdigest()
        return whole(self, SimpleNamespace(**{**row._mapping, "sealed_sha256": digest}), False)

    with mock.patch.object(PostgresInbound, "_opened", believing):
        yield


if __name__ == "__main__":
    raise SystemExit(run("posted", str(__doc__), ["digests"], 6, suite))
