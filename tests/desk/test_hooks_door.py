"""The webhook receiver: who cannot sign learns nothing, and 202 means that the event is in the database."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text
from standardwebhooks import Webhook

from pipeline_project.desk.routes import hooks as hooks_module
from pipeline_project.desk.routes.hooks import PUBLIC_ROUTES, HookLimits, HookReceiver, build_hooks_app
from pipeline_project.desk.signatures import secrets_of, signed_headers
from pipeline_project.domain.core.errors import DatabaseUnreachable, SettingInvalid
from pipeline_project.domain.intake.inbound.events import EventKind, InboundEvent, InboundTerms, Receipt
from resources.ledger.inbound.sealing import RowSealer
from resources.ledger.inbound.store import PostgresInbound
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import pooled_engine

NIGHT = "2025-03-05"
NEW, OLD, WRONG = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
TERMS = {"claims": InboundTerms("claims", "Europe/Berlin", date(2025, 3, 1), None, "customer")}
SECRETS = {"claims": (NEW, OLD), "shut": ()}
NOBODY = {"detail": "not accepted"}


@pytest.fixture
def store(ledger: PostgresLedger, tmp_path: Path) -> PostgresInbound:
    return PostgresInbound(pooled_engine(ledger.url, 8), RowSealer(tmp_path / "keys"), TERMS)


@pytest.fixture
def client(store: PostgresInbound) -> TestClient:
    return at(store)


def at(store: Any, **limits: Any) -> TestClient:
    return TestClient(build_hooks_app(HookReceiver(store, lambda name: SECRETS.get(name, ()), HookLimits(**limits))))


def body(case: str = "C1", kind: str = "arrival", **more: Any) -> bytes:
    data = {"case": case, "customer": "K1"} if kind == "arrival" else {"case_id": case, "label": "worn"}
    told = {"type": kind, "workflow": "claims", "timestamp": f"{NIGHT}T12:00:00+01:00", "data": data, **more}
    return json.dumps(told).encode()


def headers(raw: bytes, event_id: str = "evt_1", secret: str = NEW, ago: float = 0, **more: str) -> dict[str, str]:
    signed = signed_headers(secret, event_id, datetime.now(UTC) - timedelta(seconds=ago), raw)
    return {"content-type": "application/json", **signed, **more}


def post(client: TestClient, raw: bytes, given: dict[str, str], path: str = "/hooks/claims/arrivals") -> Response:
    return client.post(path, content=raw, headers=given)


def kept(store: PostgresInbound) -> int:
    with store.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM inbound_events")).scalar_one())


def test_a_signed_event_is_kept_and_answered_with_its_night(client: TestClient, store: PostgresInbound) -> None:
    raw = body()
    answer = post(client, raw, headers(raw))
    assert (answer.status_code, answer.json()) == (202, {"status": "new", "night": NIGHT})
    again = post(client, raw, headers(raw, ago=60))
    assert (again.status_code, again.json()) == (202, {"status": "known", "night": NIGHT})
    assert kept(store) == 1
    truth = body(kind="outcome")
    assert post(client, truth, headers(truth, "evt_2"), "/hooks/claims/outcomes").status_code == 202
    assert len(store.events("claims", NIGHT, EventKind.OUTCOME)) == 1


def test_the_row_is_committed_before_the_answer(store: PostgresInbound) -> None:
    seen: list[int] = []

    class Watching:
        def accept(self, event: InboundEvent) -> Receipt:
            receipt = store.accept(event)
            # over another connection: what is not committed is not seen
            seen.append(kept(store))
            return receipt

        def refuse(self, workflow: str, reason: str) -> None:
            raise AssertionError(reason)

        def chain(self, workflow: str, night: str) -> int:
            return store.chain(workflow, night)

    raw = body()
    assert post(at(Watching()), raw, headers(raw)).status_code == 202
    assert seen == [1]


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_both_secrets_of_a_pair_are_valid(client: TestClient, secret: str) -> None:
    raw = body()
    assert post(client, raw, headers(raw, secret=secret)).status_code == 202


def test_a_header_may_carry_several_signatures(client: TestClient) -> None:
    raw = body()
    given = headers(raw)
    given["webhook-signature"] = (
        f"v2,abc {headers(raw, secret=WRONG)['webhook-signature']} {given['webhook-signature']}"
    )
    assert post(client, raw, given).status_code == 202


def _without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda given: {key: value for key, value in given.items() if key != name}


def _with(**changed: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda given: {**given, **{name.replace("_", "-"): value for name, value in changed.items()}}


@pytest.mark.parametrize(
    "spoiled",
    [
        _without("webhook-id"),
        _without("webhook-timestamp"),
        _without("webhook-signature"),
        _with(webhook_id="evt_2"),
        _with(webhook_timestamp="nan"),
        _with(webhook_timestamp="soon"),
        _with(webhook_signature="v1"),
        _with(webhook_signature="v1,%%%"),
        _with(webhook_signature="v1,"),
        _with(webhook_signature=""),
        _with(webhook_signature="v1a," + "A" * 44),
    ],
)
def test_headers_that_are_missing_or_changed(
    client: TestClient, store: PostgresInbound, spoiled: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    raw = body()
    answer = post(client, raw, spoiled(headers(raw)))
    assert (answer.status_code, answer.json()) == (401, NOBODY)
    assert kept(store) == 0


@pytest.mark.parametrize("ago", [301, 3600, -302])
def test_a_signature_older_or_younger_than_five_minutes(client: TestClient, ago: float) -> None:
    raw = body()
    assert post(client, raw, headers(raw, ago=ago)).status_code == 401
    assert post(client, raw, headers(raw, ago=280 if ago > 0 else -280)).status_code == 202


def test_every_byte_of_the_body_is_signed(client: TestClient, store: PostgresInbound) -> None:
    raw = body()
    given = headers(raw)
    for place in range(0, len(raw), 7):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert post(client, changed, given).status_code in (401, 429)
    assert post(client, raw + b" ", given).status_code == 401
    assert post(client, b"\xff" + raw, given).status_code == 401
    assert kept(store) == 0
    assert post(client, raw, given).status_code == 202, "and what was signed is still taken"


def test_nobody_learns_which_workflows_there_are(client: TestClient, store: PostgresInbound) -> None:
    raw = body()
    answers = [
        post(client, raw, headers(raw, secret=WRONG)),
        post(client, raw, headers(raw), "/hooks/shut/arrivals"),
        post(client, raw, headers(raw), "/hooks/nothing/arrivals"),
        post(client, raw, headers(raw, secret="whsec_" + "A" * 43 + "="), "/hooks/nothing/arrivals"),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (401, json.dumps(NOBODY, separators=(",", ":")))
    }
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1
    assert store.overview("claims").refused == {"bad signature": 1}
    assert store.overview("nothing").refused == {}, "names from outside are not kept"
    assert store.overview("").refused == {"bad signature": 3}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "no JSON in UTF-8"),
        (body(kind="outcome"), "`type` must be"),
        (body(workflow="others"), "`workflow` must name"),
        (body(timestamp="2020-01-01T00:00:00Z"), "no night of the workflow"),
        (body(timestamp="2999-01-01T00:00:00Z"), "in the future"),
    ],
)
def test_who_can_sign_is_told_what_to_mend(client: TestClient, store: PostgresInbound, raw: bytes, why: str) -> None:
    answer = post(client, raw, headers(raw))
    assert answer.status_code == 422
    assert why in answer.json()["detail"]
    assert kept(store) == 0
    assert store.overview("claims").refused == {"cannot be kept": 1}


def test_another_body_under_a_known_id_is_a_conflict(client: TestClient, store: PostgresInbound) -> None:
    for raw, status in ((body("C1"), 202), (body("C2"), 409), (body("C1"), 202)):
        assert post(client, raw, headers(raw)).status_code == status
    assert kept(store) == 1


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_taken(client: TestClient, kind: str) -> None:
    raw = body()
    assert post(client, raw, headers(raw) | {"content-type": kind}).status_code == 415
    assert post(client, raw, headers(raw) | {"content-type": "application/json; charset=utf-8"}).status_code == 202


def test_a_huge_body_is_not_read_to_its_end(store: PostgresInbound) -> None:
    client, given = at(store, body=1000), headers(b"x")
    assert client.post("/hooks/claims/arrivals", content=b"x" * 1001, headers=given).status_code == 413
    read = 0

    def endless() -> Any:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"x" * 500

    # without a length in front of it
    assert client.post("/hooks/claims/arrivals", content=endless(), headers=given).status_code == 413
    for length in ("5000000", "9" * 5000, "-1", "x"):
        lying = {**given, "content-length": length}
        assert client.post("/hooks/claims/arrivals", content=b"x", headers=lying).status_code == 413
    raw = body()
    assert post(client, raw, headers(raw)).status_code == 202


def test_an_address_that_only_fails_is_slowed_down_and_who_can_sign_is_not(store: PostgresInbound) -> None:
    client, raw = at(store, failures=3), body()
    bad = headers(raw, secret=WRONG)
    assert [post(client, raw, bad).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    assert store.overview("claims").refused == {"bad signature": 3}, "beyond the limit nothing is written"
    assert post(client, raw, headers(raw)).status_code == 202


def test_many_addresses_that_only_fail_write_little(store: PostgresInbound) -> None:
    client, raw = at(store, all_failures=2), body()
    bad = headers(raw, secret=WRONG)
    assert [post(client, raw, bad).status_code for _ in range(3)] == [401, 401, 429]
    assert post(client, raw, headers(raw)).status_code == 202


def test_as_many_secrets_are_tried_for_every_name(store: PostgresInbound, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def counted(raw: bytes, given: Mapping[str, str], secrets: Sequence[str]) -> bool:
        tried.append(len(set(secrets)))
        return False

    monkeypatch.setattr(hooks_module, "is_signed", counted)
    known = {"two": (NEW, OLD), "one": (NEW,)}
    client = TestClient(build_hooks_app(HookReceiver(store, lambda name: known.get(name, ()))))
    for name in ("two", "one", "nothing"):
        assert post(client, b"{}", {}, f"/hooks/{name}/arrivals").status_code == 401
    assert tried == [2, 2, 2]


def test_a_workflow_s_events_have_a_limit(store: PostgresInbound) -> None:
    client = at(store, events=2)
    answers = []
    for number in range(3):
        raw = body(f"C{number}")
        answers.append(post(client, raw, headers(raw, f"evt_{number}")))
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[2].headers["retry-after"] == "60"


def test_a_database_that_is_away_means_try_again(caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def accept(self, event: InboundEvent) -> Receipt:
            raise DatabaseUnreachable("PostgreSQL at db:5432 cannot be used")

        def refuse(self, workflow: str, reason: str) -> None:
            raise DatabaseUnreachable("PostgreSQL at db:5432 cannot be used")

        chain = None

    client, raw = at(Away()), body("Erika")
    answer = post(client, raw, headers(raw))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert "PostgreSQL" not in answer.text
    assert "Erika" not in caplog.text
    assert post(client, raw, headers(raw, secret=WRONG)).status_code == 401, "what cannot be counted is still answered"


def test_only_posting_and_only_there(client: TestClient) -> None:
    assert sorted(client.app.openapi()["paths"]) == sorted(PUBLIC_ROUTES)  # type: ignore[attr-defined]
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        assert client.request(method, "/hooks/claims/arrivals").status_code == 405
    assert client.post("/hooks/claims/other").status_code == 404


def test_many_events_at_once_are_each_kept_once(client: TestClient, store: PostgresInbound) -> None:
    def send(number: int) -> int:
        raw = body(f"C{number % 20}")
        return post(client, raw, headers(raw, f"evt_{number % 20}")).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(send, range(80))) == {202}
    assert kept(store) == 20


def test_events_join_the_chain_in_batches(store: PostgresInbound) -> None:
    now = [0.0]
    receiver = HookReceiver(store, lambda name: SECRETS.get(name, ()), clock=lambda: now[0])
    client = TestClient(build_hooks_app(receiver))
    for number, at_second in enumerate((0, 1, 4, 5, 6)):
        now[0] = at_second
        raw = body(f"C{number}")
        assert post(client, raw, headers(raw, f"evt_{number}")).status_code == 202
    with store.engine.connect() as connection:
        sizes = connection.scalars(text("SELECT count FROM audit_batches ORDER BY number")).all()
    assert sizes == [1, 3], "the last one waits for the next batch, or for its night"


# -- secrets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [" ", ",", ", ", "\n"])
def test_secrets_come_in_pairs(between: str) -> None:
    assert secrets_of("claims", {"PIPELINE_HOOK_SECRET_CLAIMS": f"{NEW}{between}{OLD}"}) == (NEW, OLD)
    assert secrets_of("claims", {}) == ()


def test_workflows_of_one_name_have_secrets_of_their_own() -> None:
    variables = {"PIPELINE_HOOK_SECRET_ACME__CLAIMS": NEW, "PIPELINE_HOOK_SECRET_CLAIMS": OLD}
    assert [secrets_of("claims", variables, tenant) for tenant in ("acme", "beta", "")] == [(NEW,), (), (OLD,)]


@pytest.mark.parametrize("value", ["hunter2hunter2", "whsec_", "whsec_c2hvcnQ=", "whsec_!", f"{NEW} {OLD} {WRONG}"])
def test_what_is_no_pair_of_secrets_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(SettingInvalid, match="PIPELINE_HOOK_SECRET_CLAIMS holds") as refused:
        secrets_of("claims", {"PIPELINE_HOOK_SECRET_CLAIMS": value})
    assert value.split()[0] not in str(refused.value)


def test_headers_are_those_of_the_standard() -> None:
    raw = body()
    Webhook(NEW).verify(raw, headers(raw))
