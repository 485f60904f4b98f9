"""What every request goes through: tokens, sessions, limits, headers; and what never leaves."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from pipeline_project.desk.app import build_app
from pipeline_project.desk.security import HEADERS, MOST_BYTES
from pipeline_project.domain.core.errors import SignInRefused
from pipeline_project.domain.core.people import PersonRole
from resources.ledger.people.accounts import MOST_FAILURES
from tests.desk.house import PASSWORD, Client, DeskHouse


@pytest.fixture
def ada(house: DeskHouse) -> Client:
    house.add("ada", *PersonRole)
    return house.client("ada")


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nothing", "/healthz", "/static/desk.css", "/tasks/99"])
def test_every_answer_carries_the_headers(ada: Client, path: str) -> None:
    answer = ada.get(path)
    wanted = {**HEADERS, **({"cache-control": "public, max-age=3600"} if "static" in path else {})}
    assert {name: answer.headers.get(name) for name in wanted} == wanted
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("token", ["", "wrong", None])
def test_a_form_without_the_session_s_token_is_refused(ada: Client, token: str | None) -> None:
    answer = ada.post("/next", data={} if token is None else {"csrf": token})
    assert answer.status_code == 403
    assert "from another session" in answer.text


def test_another_session_s_token_is_refused(house: DeskHouse, ada: Client) -> None:
    other = house.client("ada")
    assert ada.post("/next", data={"csrf": other.csrf}).status_code == 403
    assert ada.post("/next", data={"csrf": ada.csrf}).status_code == 303


@pytest.mark.parametrize("header", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
def test_a_form_from_elsewhere_is_refused(ada: Client, header: dict[str, str]) -> None:
    answer = ada.post("/next", data={"csrf": ada.csrf}, headers=header)
    assert answer.status_code == 403
    assert "own pages" in answer.text


def test_signing_in_begins_a_new_session_and_ends_the_old_one(house: DeskHouse, ada: Client) -> None:
    before = ada.cookies["desk"]
    # signed in already: the form is asked for by a browser without a session, with the old cookie put back
    ada.cookies.delete("desk")
    page = ada.get("/sign-in").text
    form = page.split('name="form" value="')[1].split('"')[0]
    ada.cookies.set("desk", before, domain="testserver.local", path="/")
    assert ada.post("/sign-in", data={"name": "ada", "password": PASSWORD, "form": form}).status_code == 303
    assert house.ports.sessions.find(before) is None


def test_a_sign_in_needs_the_token_of_its_own_form(house: DeskHouse) -> None:
    house.add("ada", PersonRole.REVIEWER)
    client = house.client()
    answer = client.post("/sign-in", data={"name": "ada", "password": PASSWORD, "form": "made up"})
    assert answer.status_code == 403
    assert "desk" not in client.cookies


def test_what_is_taken_away_is_gone_at_the_next_request(house: DeskHouse, ada: Client) -> None:
    house.add("bob", PersonRole.ADMIN)
    assert ada.get("/people").status_code == 200
    house.people.revoke("ada", PersonRole.ADMIN, "bob")
    assert ada.get("/people").status_code == 403
    house.people.close("ada", "bob")
    assert ada.get("/").headers["location"].startswith("/sign-in")


@pytest.mark.parametrize(
    "moved", ["expires_at = now() - interval '1 second'", "seen_at = now() - interval '61 minutes'"]
)
def test_a_session_ends_by_the_database_s_clock(house: DeskHouse, ada: Client, moved: str) -> None:
    house.write(f"UPDATE sessions SET {moved}")
    assert ada.get("/").status_code == 303


def test_signing_out_ends_the_session_in_the_database(house: DeskHouse, ada: Client) -> None:
    token = ada.cookies["desk"]
    ada.submit("/sign-out")
    assert house.ports.sessions.find(token) is None


def test_the_database_keeps_no_token_and_no_password(house: DeskHouse, ada: Client) -> None:
    kept = str(house.rows("SELECT * FROM sessions")) + str(house.rows("SELECT * FROM people"))
    assert ada.cookies["desk"] not in kept
    assert PASSWORD not in kept
    assert "$argon2id$" in kept


def test_too_many_wrong_passwords_lock_a_name_even_for_the_right_one(house: DeskHouse) -> None:
    house.add("ada", PersonRole.REVIEWER)
    for _ in range(MOST_FAILURES):
        with pytest.raises(SignInRefused):
            house.ports.people.verify("ada", "wrong password")
    with pytest.raises(SignInRefused, match="name or password is wrong"):
        house.ports.people.verify("ada", PASSWORD)
    house.write("ALTER TABLE sign_ins DISABLE TRIGGER facts_stay; UPDATE sign_ins SET at = at - interval '16 minutes'")
    assert house.ports.people.verify("ada", PASSWORD).name == "ada"


def test_a_wrong_name_says_what_a_wrong_password_says(house: DeskHouse) -> None:
    house.add("ada", PersonRole.REVIEWER)
    client = house.client()
    told = [client.sign_in(name, "wrong password") for name in ("ada", "nobody")]
    assert {answer.status_code for answer in told} == {401}
    assert told[0].text.replace(told[0].text.split('name="form"')[1][:60], "") is not None
    assert all("name or password is wrong" in answer.text for answer in told)


def test_more_than_a_form_holds_is_refused(ada: Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert ada.post("/next", content=b"x" * (MOST_BYTES + 1), headers=form).status_code == 413
    chunks = (b"x" * 4096 for _ in range(20))
    assert ada.post("/next", content=chunks, headers=form).status_code == 413


def test_too_many_requests_wait(house: DeskHouse) -> None:
    few = build_app(house.ports, replace(house.frame, requests_a_minute=3, sign_ins_a_minute=2))
    client = Client(few)
    assert [client.get("/nothing").status_code for _ in range(4)] == [404, 404, 404, 429]
    tries = [client.post("/sign-in", data={"name": "a", "password": "b"}).status_code for _ in range(3)]
    assert tries[-1] == 429


def test_another_host_is_refused(ada: Client) -> None:
    assert ada.get("/healthz", headers={"host": "evil.example"}).status_code == 400


def test_over_tls_the_cookie_insists_on_it(house: DeskHouse) -> None:
    house.add("ada", PersonRole.REVIEWER)
    secure = build_app(house.ports, replace(house.frame, url="https://testserver"))
    client = Client(secure, "https://testserver")
    cookie = client.sign_in("ada").headers["set-cookie"]
    assert "__Host-desk=" in cookie
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"))
    assert "max-age=31536000" in client.get("/").headers["strict-transport-security"]


def test_the_log_names_routes_and_nobody(house: DeskHouse, caplog: pytest.LogCaptureFixture) -> None:
    house.add("ada", *PersonRole)
    house.ask("CASE-7")
    with caplog.at_level(logging.INFO):
        client = house.client("ada")
        client.get("/why/returns/CASE-7")
        client.sign_in("ada", "a wrong password")
    # the browser of the test has a log of its own
    told = " ".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert "/why/{workflow}" in told
    for word in ("CASE-7", PASSWORD, "a wrong password", client.csrf, client.cookies["desk"]):
        assert word not in told
