"""The fake shop: signed actions only, each key once, across its own restart and under every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks import Webhook

from pipeline_project.sample.shop import build_shop
from pipeline_project.sample.shop_book import Book, Taking
from pipeline_project.sample.shop_faults import Fault, Faults, Ordered, mixed, uniform

SECRET = "whsec_" + "c2VjcmV0" * 4
FILE = "book.jsonl"
NOW = datetime(2025, 3, 5, 12, tzinfo=UTC)


class Caller:
    """Somebody who shares the shop's secret."""

    def __init__(self, client: TestClient, secret: str = SECRET) -> None:
        self.client, self.secret = client, secret

    def send(self, key: UUID, claimed: UUID | None = None, at: datetime | None = None, **said: Any) -> Response:
        body = json.dumps({"key": str(claimed or key), "action": "refund", "case": "C-1", **said})
        moment = at or datetime.now(UTC)
        headers = {
            "webhook-id": str(key),
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(str(key), moment, body),
        }
        return self.client.post("/actions", content=body, headers=headers)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / FILE)
    yield book
    book.close()


@pytest.fixture
def client(book: Book) -> Iterator[TestClient]:
    with TestClient(build_shop(book, SECRET)) as client:
        yield client


def _order(client: TestClient, **order: Any) -> None:
    assert client.post("/faults", json={"silent_seconds": 0, **order}).status_code == 200


def test_the_same_key_again_is_answered_and_not_acted_upon(client: TestClient) -> None:
    key = uuid4()
    first, second = (Caller(client).send(key, amount=12.5) for _ in range(2))
    assert first.json() == {"status": "effect", "effect": 1}
    assert second.json() == {"status": "known", "effect": 1}
    told = client.get("/book").json()
    assert [(each["key"], each["asked"], each["amount"]) for each in told["effects"]] == [(str(key), 2, 12.5)]
    assert told["twice"] == []


def test_the_same_key_with_other_content_is_refused(client: TestClient) -> None:
    key = uuid4()
    Caller(client).send(key, amount=1)
    assert Caller(client).send(key, amount=2).status_code == 422
    assert [each["amount"] for each in client.get("/book").json()["effects"]] == [1]


@pytest.mark.parametrize(
    ("caller", "more", "status"),
    [
        ({"secret": "whsec_" + "b3RoZXIh" * 4}, {}, 401),
        ({}, {"at": datetime.now(UTC) - timedelta(hours=1)}, 401),
        ({}, {"claimed": uuid4()}, 400),
        ({}, {"note": "x" * 70_000}, 413),
    ],
)
def test_a_request_without_a_ticket_has_no_effect(
    client: TestClient, caller: dict[str, str], more: dict[str, Any], status: int
) -> None:
    assert Caller(client, **caller).send(uuid4(), **more).status_code == status
    assert client.get("/book").json()["effects"] == []


def test_an_unsigned_request_is_turned_away(client: TestClient) -> None:
    assert client.post("/actions", json={"key": str(uuid4())}).status_code == 401


def test_its_book_survives_a_restart(tmp_path: Path) -> None:
    key = uuid4()
    for asked in (1, 2, 3):
        book = Book(tmp_path / FILE)
        with TestClient(build_shop(book, SECRET)) as client:
            assert Caller(client).send(key).json()["effect"] == 1
            assert [each["asked"] for each in client.get("/book").json()["effects"]] == [asked]
        book.close()


def test_half_a_line_has_not_happened(tmp_path: Path) -> None:
    book = Book(tmp_path / FILE)
    book.take("a", b'{"key": "a"}', NOW)
    book.close()
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + whole[: len(whole) // 2])
    book = Book(tmp_path / FILE)
    assert [each.key for each in book.effects()] == ["a"]
    assert book.take("b", b'{"key": "b"}', NOW)[0] is Taking.EFFECT
    book.close()
    book = Book(tmp_path / FILE)
    assert [each.key for each in book.effects()] == ["a", "b"]
    book.close()


def test_two_shops_cannot_share_a_book(tmp_path: Path, book: Book) -> None:
    with pytest.raises(BlockingIOError, match="stop it first"):
        Book(tmp_path / FILE)


def test_after_what_it_remembers_it_acts_again_and_says_so(book: Book) -> None:
    assert book.take("a", b"{}", NOW)[0] is Taking.EFFECT
    assert book.take("a", b"{}", NOW + timedelta(hours=23.9))[0] is Taking.KNOWN
    assert book.take("a", b"{}", NOW + timedelta(hours=24))[0] is Taking.EFFECT
    assert book.twice() == ["a"]


def test_the_fate_of_an_action_can_be_asked(client: TestClient) -> None:
    key = uuid4()
    assert client.get(f"/actions/{key}").status_code == 404
    Caller(client).send(key)
    assert client.get(f"/actions/{key}").json()["status"] == "done"


@pytest.mark.parametrize(
    ("fault", "status", "effects"),
    [
        (Fault.ERROR_BEFORE, 500, 0),
        (Fault.ERROR_AFTER, 500, 1),
        (Fault.BUSY, 429, 0),
        (Fault.REFUSED, 400, 0),
        (Fault.SILENT_BEFORE, 504, 0),
        (Fault.SILENT_AFTER, 504, 1),
        (Fault.TWICE, 200, 1),
    ],
)
def test_faults_to_order(client: TestClient, fault: Fault, status: int, effects: int) -> None:
    _order(client, next=[fault], retry_after=7)
    key = uuid4()
    answer = Caller(client).send(key)
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("7" if fault is Fault.BUSY else None)
    assert len(client.get("/book").json()["effects"]) == effects
    assert Caller(client).send(key).status_code == 200
    told = client.get("/book").json()
    assert len(told["effects"]) == 1
    assert told["faults"][fault] == 1


def test_an_order_that_makes_no_sense_is_refused(client: TestClient) -> None:
    assert client.post("/faults", json={"rates": {"busy": 0.7, "twice": 0.7}}).status_code == 422
    assert client.post("/faults", json={"rates": {"fire": 0.1}}).status_code == 422
    with pytest.raises(ValidationError):
        Ordered(rates={Fault.BUSY: -0.1})


@given(st.integers(), st.lists(st.uuids().map(str), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_a_seed_repeats_its_faults_in_whatever_order_requests_come(seed: int, keys: list[str], random: Any) -> None:
    ordered = Ordered(seed=seed, rates=mixed(0.6, [Fault.BUSY, Fault.ERROR_AFTER, Fault.TWICE]))

    def drawn(order: list[str]) -> dict[str, list[Fault]]:
        found: dict[str, list[Fault]] = {key: [] for key in order}
        faults = Faults(ordered)
        for key in order:
            found[key].append(faults.draw(key))
        return found

    shuffled = [*keys, *keys]
    random.shuffle(shuffled)
    assert drawn(shuffled) == drawn([*keys, *keys])


def test_rates_are_what_was_ordered() -> None:
    faults = Faults(Ordered(seed=3, rates={Fault.BUSY: 0.2, Fault.SILENT_AFTER: 0.1}))
    found = [faults.draw(str(number)) for number in range(5000)]
    assert 0.18 < found.count(Fault.BUSY) / len(found) < 0.22
    assert 0.085 < found.count(Fault.SILENT_AFTER) / len(found) < 0.115
    assert 0 <= uniform("a", 1) < 1


def test_the_page_shows_what_happened_and_runs_nothing(client: TestClient) -> None:
    assert "Nothing has come yet" in client.get("/").text
    Caller(client).send(uuid4(), amount=49.9, currency="EUR", case="<script>alert(1)</script>")
    page = client.get("/")
    assert "49.90 EUR" in page.text
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
