"""Where actions go: a signed request, a row, a file; the same key once, and no answer is no failure."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
import uvicorn
from pydantic import ValidationError

from pipeline_project.domain.core.errors import SettingInvalid, SourceUnreadable
from pipeline_project.domain.delivery.backoff import DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.domain.delivery.keys import fingerprint
from pipeline_project.sample.shop import Book, Faults, Ordered, build_shop
from pipeline_project.sample.shop_faults import Fault
from pipeline_project.settings import Settings
from pipeline_project.spec.actions import HttpDestination, SqlDestination
from pipeline_project.spec.base import Part
from resources.destinations import Destination, http
from resources.destinations.file_drop import FileDrop
from resources.destinations.http import HttpService, local
from resources.destinations.sql import SqlTable
from resources.keys.action_secrets import signing_secret
from tests.present import present
from tests.resources.sources.claim_specs import claims

SECRET = "whsec_" + "c2VjcmV0" * 4


def action(**payload: Any) -> ClaimedAction:
    told = {"action": "refund", "workflow": "claims", "case": "A", "amount": 12.5, "fields": {}, **payload}
    return ClaimedAction(1, "claims", "shop", "refund", uuid4(), fingerprint(told), told, 12.5, True, 1, 0.0, False)


class Shop:
    """A running fake shop."""

    def __init__(self, folder: Path) -> None:
        self.book, self.faults = Book(folder / "book.jsonl"), Faults()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        app = build_shop(self.book, SECRET, self.faults)
        port = int(self.url.rpartition(":")[2])
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Shop:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.book.close()

    def service(self, **more: Any) -> HttpService:
        usual = {
            "url": f"{self.url}/actions", "secret": SECRET, "lookup": f"{self.url}/actions/{{key}}",
            "remembers_seconds": 60.0, "timeout": 5.0, "attempts": 8,
        }  # fmt: skip
        return HttpService(**{**usual, **more})

    def order(self, *faults: Fault, **more: Any) -> None:
        self.faults.order(Ordered(next=list(faults), **more))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


def test_a_signed_request_is_taken_once(shop: Shop) -> None:
    wanted, service = action(), shop.service()
    assert [service.send(wanted).status for _ in range(2)] == [DeliveryStatus.DONE, DeliveryStatus.DONE]
    effect = shop.book.find(str(wanted.key))
    assert effect is not None
    assert effect.asked == 2
    assert present(service.look_up(wanted)).status is DeliveryStatus.DONE


@pytest.mark.parametrize(
    ("fault", "status", "maybe", "error"),
    [
        (Fault.ERROR_BEFORE, DeliveryStatus.AGAIN, True, "http_500"),
        (Fault.ERROR_AFTER, DeliveryStatus.AGAIN, True, "http_500"),
        (Fault.BUSY, DeliveryStatus.AGAIN, False, "http_429"),
        (Fault.REFUSED, DeliveryStatus.REFUSED, False, "http_400"),
    ],
)
def test_what_its_answers_mean(shop: Shop, fault: Fault, status: DeliveryStatus, maybe: bool, error: str) -> None:
    shop.order(fault, retry_after=9)
    answer = shop.service().send(action())
    assert (answer.status, answer.maybe, answer.error_class) == (status, maybe, error)
    assert answer.wait == (9.0 if fault is Fault.BUSY else None)


def test_no_answer_is_neither_done_nor_failed(shop: Shop) -> None:
    shop.order(Fault.SILENT_AFTER, silent_seconds=6.0)
    wanted = action()
    answer = shop.service(timeout=2).send(wanted)
    assert (answer.status, answer.maybe, answer.error_class) == (DeliveryStatus.UNKNOWN, True, "no_answer")
    assert present(shop.service().look_up(wanted)).status is DeliveryStatus.DONE


def test_who_was_not_reached_has_done_nothing(shop: Shop) -> None:
    answer = shop.service(url="http://127.0.0.1:9/actions").send(action())
    assert (answer.status, answer.maybe, answer.error_class) == (DeliveryStatus.AGAIN, False, "unreachable")


def test_what_was_never_seen_may_be_sent_again(shop: Shop) -> None:
    assert present(shop.service().look_up(action())).status is DeliveryStatus.AGAIN
    assert shop.service(lookup=None).look_up(action()) is None
    unsure = shop.service(lookup="http://127.0.0.1:9/{key}").look_up(action())
    assert unsure is not None
    assert unsure.status is DeliveryStatus.UNKNOWN


def test_a_wrong_secret_and_a_key_used_for_something_else_are_refused(shop: Shop) -> None:
    assert shop.service(secret="whsec_" + "b3RoZXIh" * 4).send(action()).error_class == "http_401"
    wanted = action()
    shop.service().send(wanted)
    other = replace(wanted, payload={**wanted.payload, "amount": 99})
    assert shop.service().send(other).error_class == "http_422"


class Echo(BaseHTTPRequestHandler):
    """Answers every request with all that it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        said = f"{self.requestline}\n{self.headers}\n{SECRET} {SECRET.removeprefix('whsec_')}".encode() + body
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Nothing; the test's output is its own."""


def test_a_service_that_repeats_what_it_was_sent_has_no_secret_kept() -> None:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"127.0.0.1:{server.server_port}/actions?token=canary%2Btoken&short=1"
        service = HttpService(f"http://canary-name:canary%40word@{where}", SECRET, None, 60.0, 60.0, 8)
        answer = service.send(action())
        server.shutdown()
    assert answer.status is DeliveryStatus.DONE
    said = str((answer.receipt or {})["said"])
    assert "POST /actions?token=***&short=1" in said and "webhook-id" in said.lower()
    packed = base64.b64encode(b"canary-name:canary@word").decode()
    assert not [secret for secret in (SECRET[8:], "canary", packed) if secret in said]
    assert not [secret for secret in (SECRET[8:], "canary") if secret in repr(service)]


@pytest.mark.parametrize("name", ["PIPELINE_POSTGRES_URL", "AWS_SECRET_ACCESS_KEY", "PIPELINE_OIDC_CLIENT_SECRET"])
def test_a_destination_names_no_secret_that_is_not_meant_for_it(name: str, tmp_path: Path) -> None:
    environ, settings = {name: SECRET}, Settings(tmp_path)
    spec = claims(tmp_path)
    table = SqlDestination(kind="sql", url=name, table="effects")
    service = HttpDestination(kind="http", url="https://shop.example/actions", secret=name)
    kinds: tuple[tuple[type[Destination], Part], ...] = ((SqlTable, table), (HttpService, service))
    for kind, part in kinds:
        with pytest.raises(SourceUnreadable, match=f"may not name the environment variable {name}; .*PIPELINE_SECRET_"):
            kind.of(part, spec, settings, environ)
    listed = Settings(tmp_path, spec_variables=(name,))
    assert HttpService.of(service, spec, listed, environ).secret == SECRET


@pytest.mark.parametrize("url", ["https://ann:hunter2@shop.example/", "https://shop.example/?password=hunter2"])
def test_a_spec_holds_no_password_in_an_address(url: str) -> None:
    with pytest.raises(ValidationError, match="never holds a password") as told:
        HttpDestination(kind="http", url=url, secret="PIPELINE_SHOP_SECRET")
    assert told.value.error_count() == 1


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_refusal_while_the_clocks_differ_is_tried_again_and_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=hours)

    monkeypatch.setattr(http, "datetime", Wrong)
    answer = shop.service().send(action())
    assert (answer.status, answer.error_class, answer.maybe) == (DeliveryStatus.AGAIN, "clocks_differ", False)
    assert answer.error is not None
    assert any(f" {seconds} seconds apart" in answer.error for seconds in range(3_590, 3_611))


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 31 Feb 2026 10:00:00 GMT", "Sat, 31 Jan 99999 10:00:00 GMT"])
def test_a_refusal_without_a_time_is_a_refusal(date: str) -> None:
    told = http._Exchange(left=True, status=401, date=date)
    assert http._clocks(told, 401, datetime.now(UTC)) is None


def test_it_remembers_for_so_long(shop: Shop) -> None:
    assert shop.service().remembers(59)
    assert not shop.service().remembers(60)
    assert SECRET not in repr(shop.service())


def test_a_file_appears_whole_and_once(tmp_path: Path) -> None:
    drop, wanted = FileDrop(tmp_path / "out", 8), action()
    assert present(drop.look_up(wanted)).status is DeliveryStatus.AGAIN
    with ThreadPoolExecutor(4) as pool:
        assert {answer.status for answer in pool.map(drop.send, [wanted] * 8)} == {DeliveryStatus.DONE}
    assert [file.name for file in (tmp_path / "out").iterdir()] == [f"{wanted.key}.json"]
    assert (tmp_path / "out" / f"{wanted.key}.json").read_bytes() == wanted.body
    assert present(drop.look_up(wanted)).status is DeliveryStatus.DONE
    other = drop.send(replace(wanted, payload={**wanted.payload, "amount": 99}))
    assert (other.status, other.error_class) == (DeliveryStatus.REFUSED, "other_content")


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    answer = FileDrop(tmp_path / "out", 8).send(action())
    assert (answer.status, answer.error_class) == (DeliveryStatus.AGAIN, "folder_unwritable")


def test_a_row_is_added_once(new_database: Callable[[], str]) -> None:
    table, wanted = SqlTable(new_database(), "effects", 8), action()
    with ThreadPoolExecutor(4) as pool:
        fates = [answer.status for answer in pool.map(table.send, [wanted] * 8)]
    assert DeliveryStatus.DONE in fates
    assert set(fates) <= {
        DeliveryStatus.DONE,
        DeliveryStatus.AGAIN,
    }  # the first ones may make the table at the same time
    assert table.send(wanted).status is DeliveryStatus.DONE
    assert present(table.look_up(wanted)).status is DeliveryStatus.DONE
    assert present(table.look_up(action())).status is DeliveryStatus.AGAIN
    other = table.send(replace(wanted, payload={}, fingerprint="0" * 64))
    assert (other.status, other.error_class) == (DeliveryStatus.REFUSED, "other_content")


def test_a_database_that_is_away_leaves_doubt_only_where_there_is_any() -> None:
    answer = SqlTable("postgresql+psycopg2://nobody@127.0.0.1:9/none", "effects", 8).send(action())
    assert answer.status in (DeliveryStatus.UNKNOWN, DeliveryStatus.AGAIN)


def test_a_secret_comes_from_the_environment_or_is_made_here_once(tmp_path: Path) -> None:
    assert signing_secret(tmp_path, {"SHOP": SECRET}, "SHOP") == SECRET
    with pytest.raises(SettingInvalid, match="SHOP is not set"):
        signing_secret(tmp_path, {}, "SHOP")
    with pytest.raises(SettingInvalid, match="holds no secret") as told:
        signing_secret(tmp_path, {"SHOP": "hunter2!"}, "SHOP")
    assert "hunter2" not in str(told.value)
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: signing_secret(tmp_path / "keys", {}, "SHOP", made_here=True), range(16)))
    assert len(made) == 1
    (file,) = (tmp_path / "keys").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("url", "here"),
    [("http://127.0.0.1:3006/actions", True), ("http://localhost/", True), ("https://shop.example/actions", False)],
)
def test_a_secret_is_made_only_for_this_machine(url: str, here: bool) -> None:
    assert local(url) is here
