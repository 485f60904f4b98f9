"""A try ends when its time is over, however the other side keeps it waiting; what was not read is not remembered."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pipeline_project.domain.delivery import backoff as pace
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.operations.dispatch import Dispatcher
from resources.destinations import deadline, sql
from resources.destinations import file_drop as files
from resources.destinations.file_drop import FileDrop
from resources.destinations.http import HttpService
from resources.destinations.sql import SqlTable
from resources.postgres.databases import engine_of
from tests.resources.ledger.outbox.test_destinations import SECRET, action

TIME = 0.4
#: What a try may take beyond its time on a machine that is busy with other things.
BUSY = 20.0
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"

Talk = Callable[[socket.socket, threading.Event], None]


def drip(first: bytes, part: bytes) -> Talk:
    """Says something, then a little now and then, far more often than any timeout for one read."""

    def talk(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(first)
        while not over.wait(0.02):
            peer.sendall(part)

    return talk


def flood(peer: socket.socket, over: threading.Event) -> None:
    peer.sendall(HEAD + b"\r\n")
    while not over.is_set():
        peer.sendall(b"x" * 65_536)


def silence(peer: socket.socket, over: threading.Event) -> None:
    over.wait()


def say(words: bytes) -> Talk:
    def talk(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(words)

    return talk


@contextmanager
def server(talk: Talk, reads: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """A service that takes one request after another and talks as it likes; gives its address and what it heard."""
    over, heard = threading.Event(), []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            if reads:
                heard.append(peer.recv(65_536))
            talk(peer, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/actions", heard
    finally:
        over.set()
        listening.close()


def service(url: str, **more: Any) -> HttpService:
    usual = {"lookup": None, "remembers_seconds": 60.0, "timeout": TIME, "attempts": 8}
    return HttpService(url=url, secret=SECRET, **{**usual, **more})


def timed(call: Callable[[], Any]) -> Any:
    began = time.monotonic()
    answer = call()
    assert time.monotonic() - began < TIME + BUSY
    return answer


@pytest.mark.parametrize(
    "talk",
    [
        silence,
        drip(b"", b"H"),
        drip(b"HTTP/1.1 2", b"0"),
        drip(HEAD, b"x-more: y\r\n"),
        drip(HEAD + b"x-long: ", b"z"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["never answers", "drips a status", "drips a longer status", "drips headers", "drips one header", "says wait"],
)
def test_a_service_that_does_not_come_to_the_point_leaves_doubt_when_the_time_is_over(talk: Talk) -> None:
    with server(talk) as (url, heard):
        answer = timed(lambda: service(url).send(action()))
    assert (answer.status, answer.error_class, answer.maybe) == (DeliveryStatus.UNKNOWN, "no_answer", True)
    assert len(heard) == 1


@pytest.mark.parametrize(
    "talk",
    [
        drip(HEAD + b"\r\n", b"x"),
        drip(HEAD + b"content-length: 1000000\r\n\r\n", b"x"),
        drip(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        flood,
        say(HEAD + b"content-length: 1000\r\n\r\ncut off"),
        say(HEAD + b"content-length: 2\r\n\r\nok"),
    ],
    ids=["drips", "drips what it promised", "drips chunks", "sends without end", "cut off", "whole"],
)
def test_a_status_is_an_answer_however_little_of_the_body_follows_and_little_of_it_is_kept(talk: Talk) -> None:
    with server(talk) as (url, _):
        answer = timed(lambda: service(url).send(action()))
    assert answer.status is DeliveryStatus.DONE
    assert answer.receipt is not None
    assert answer.receipt["status"] == 200
    assert len(str(answer.receipt["said"])) <= 500


def test_what_is_read_of_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from resources.destinations import http

    read: list[int] = []
    kept = http._meaning
    monkeypatch.setattr(http, "_meaning", lambda told, status: (read.append(len(told.body)), kept(told, status))[1])
    with server(flood) as (url, _):
        service(url, timeout=30.0).send(action())
    assert read == [http._BODY]


def test_a_service_that_does_not_read_what_it_is_sent_holds_no_try() -> None:
    large = action(fields={"words": "x" * 30_000_000})
    with server(silence, reads=False) as (url, _):
        answer = timed(lambda: service(url).send(large))
    assert answer.status is DeliveryStatus.UNKNOWN


def test_a_redirect_is_refused_and_nothing_goes_elsewhere() -> None:
    with server(say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as (elsewhere, heard):
        for status in (301, 302, 303, 307, 308):
            moved = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n".encode()
            with server(say(moved)) as (url, _):
                answer = service(url).send(action())
                asked = service(url, lookup=url).look_up(action())
            assert (answer.status, answer.error_class) == (DeliveryStatus.REFUSED, f"http_{status}")
            assert asked is not None
            assert asked.status is DeliveryStatus.UNKNOWN
        assert heard == []


def test_asking_for_a_fate_ends_in_time_as_well() -> None:
    with server(drip(HEAD, b"x-more: y\r\n")) as (url, _):
        answer = timed(lambda: service(url, lookup=url + "/{key}").look_up(action()))
    assert answer.status is DeliveryStatus.UNKNOWN


@pytest.mark.parametrize("asked", ["nan", "inf", "-inf", "1e999", "-5", "soon", "9" * 400])
def test_no_wait_that_a_service_asks_for_stops_the_outbox(asked: str) -> None:
    busy = f"HTTP/1.1 429 Busy\r\nretry-after: {asked}\r\ncontent-length: 0\r\n\r\n".encode()
    with server(say(busy)) as (url, _):
        answer = service(url).send(action())
    assert answer.status is DeliveryStatus.AGAIN
    assert 0 <= pace.wait_before(1, 0.5, answer.wait) <= pace.LONGEST_ASKED


def test_a_table_that_somebody_locked_and_a_database_that_is_silent_hold_no_try(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "_BOUNDED", text("SET LOCAL lock_timeout = '200ms'"))
    monkeypatch.setattr(sql, "_EXCHANGE", TIME)
    table = SqlTable(new_database(), "effects", 8)
    assert table.send(action()).status is DeliveryStatus.DONE
    with engine_of(table.url).begin() as connection:
        connection.execute(text("LOCK TABLE effects"))
        answer = timed(lambda: table.send(action()))
    assert (answer.status, answer.error_class) in [
        (DeliveryStatus.AGAIN, "database"),
        (DeliveryStatus.UNKNOWN, "no_answer"),
    ]
    with server(silence) as (url, _):
        silent = SqlTable(
            url.replace("http://", "postgresql+psycopg2://me@").replace("/actions", "/none"), "effects", 8
        )
        answer = timed(lambda: silent.send(action()))
        assert (answer.status, answer.maybe) == (DeliveryStatus.UNKNOWN, True)
        assert timed(lambda: silent.look_up(action())).status is DeliveryStatus.UNKNOWN


def test_a_folder_that_hangs_holds_no_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(files, "_LONGEST", 2 * TIME)
    monkeypatch.setattr(FileDrop, "_written", lambda *_: over.wait())
    answer = timed(lambda: FileDrop(tmp_path, 8).send(action()))
    over.set()
    assert (answer.status, answer.maybe) == (DeliveryStatus.UNKNOWN, True)


def test_a_lease_outlasts_every_try_of_every_destination(tmp_path: Path) -> None:
    slow = service("http://127.0.0.1:9/", timeout=pace.LONGEST_DEADLINE, lookup="http://127.0.0.1:9/{key}")
    for place in (slow, service("http://127.0.0.1:9/"), FileDrop(tmp_path, 8), SqlTable("postgresql://a@b/c", "t", 8)):
        sender = Dispatcher(engine_of("postgresql+psycopg2://a@b/c"), {("flow", "place"): place}, {}, "test")
        assert sender.lease_seconds > place.longest_seconds
        assert sender.lease_seconds >= pace.TRIES_A_LEASE * place.longest_seconds
    # asking first and then sending, each until it is cut off
    assert slow.longest_seconds >= 2 * (pace.LONGEST_DEADLINE + deadline.GRACE)


def test_what_is_cancelled_has_ended_before_anybody_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The try itself is cut off at its end, and not only left alone: who goes on would send beside it otherwise."""
    monkeypatch.setattr(deadline, "GRACE", 60.0)
    ended: list[str] = []

    async def drips() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            # closing a connection takes its time
            await asyncio.sleep(0.2)
            ended.append("closed")

    with pytest.raises(TimeoutError):
        deadline.cancelled_after(TIME, drips)
    assert ended == ["closed"]


def test_a_call_that_fails_in_its_thread_fails_here() -> None:
    def fail() -> DeliveryResult:
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        deadline.left_after(5, fail)
