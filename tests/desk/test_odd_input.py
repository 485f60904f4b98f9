"""Whatever a browser or a program sends, the desk has a sentence for it and never an error of its own."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from pipeline_project.desk import known
from pipeline_project.desk.app import build_app
from pipeline_project.desk.known import link
from pipeline_project.desk.security import MOST_BYTES, oddity
from pipeline_project.domain.core.errors import SignInRefused
from pipeline_project.domain.core.people import PersonRole
from resources.ledger.people.accounts import MOST_FAILURES
from tests.desk.house import PASSWORD, Client, DeskHouse

ODD = (
    "\0", "a\0b", "²", "१२", "9" * 19, "9" * 5000, "-1", "1e999", "nan", "9999-12-31", "0000-00-00", "'", "%", "\ud7ff",
    "\u202e", "x" * 3000, "2147483648", "9223372036854775807", "-9223372036854775809", "nan:1", "1:²", "²:²", "inf:9",
)  # fmt: skip
FIELDS = (
    "workflow", "why", "state", "after", "said", "night", "case", "person", "kind", "since", "until", "before", "claim",
    "next", "version", "label", "option", "reason", "note", "name", "role", "hash", "stop", "dry_run", "old", "new",
    "password", "form", "shown", "email", "code",
)  # fmt: skip


def test_no_route_fails_by_itself_on_odd_input(house: DeskHouse) -> None:
    house.ask("A-1")
    house.add("ada", *PersonRole)
    ada, task = house.client("ada"), str(house.tasks["A-1"])
    own = build_app(house.ports, replace(house.frame, requests_a_minute=10**6, sign_ins_a_minute=10**6))
    failed: list[tuple[str, str, str]] = []
    signed = TestClient(own, base_url="http://testserver", follow_redirects=False, raise_server_exceptions=False)
    signed.cookies.update(ada.cookies)
    anybody = TestClient(own, base_url="http://testserver", follow_redirects=False, raise_server_exceptions=False)
    for route, _ in own.state.declared:
        for odd in ODD:
            keeping = {"claim": "00000000-0000-0000-0000-000000000000", "version": "1", "csrf": ada.csrf}
            names = [part for part in route.path.split("/") if part.startswith("{")]
            path = route.path
            for name in names:
                path = path.replace(name, "\1")
            for place in range(max(1, len(names))):
                usual = ["returns" if "workflow" in name else task for name in names]
                values = [odd if n == place else value for n, value in enumerate(usual)]
                address = path
                for value in values:
                    address = address.replace("\1", value.replace("%", "%25").replace("\0", "%00"), 1)
                for client in (signed, anybody):
                    for method in route.methods or ():
                        form = {**dict.fromkeys(FIELDS, odd), **keeping}
                        if route.path in ("/sign-out", "/me/end-sessions", "/people/{name}/end-sessions"):
                            form.pop("csrf")
                        data = form if method == "POST" else None
                        query = None if method == "POST" else dict.fromkeys(FIELDS, odd[:1000])
                        answer = client.request(method, address, data=data, params=query)
                        if answer.status_code >= 500:
                            failed.append((method, route.path, odd[:20]))
    assert sorted(set(failed)) == []


def test_a_nul_is_refused_before_anybody_signs_in(house: DeskHouse) -> None:
    client = house.client()
    for content in (b"name=a%00b&password=c", b"name=a\0&password=c"):
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert client.post("/sign-in", content=content, headers=form).status_code == 400
        pieces = (bytes([byte]) for byte in content)
        assert client.post("/sign-in", content=pieces, headers=form).status_code == 400
    assert client.get("/why/returns/a%00b").status_code == 400
    assert client.get("/sign-in?next=%00").status_code == 400
    assert MOST_BYTES > 100


@pytest.mark.parametrize(("path", "query", "odd"), [
    ("/tasks/12", b"", False),
    ("/tasks/" + "9" * 19, b"", True),
    ("/why/returns/" + "R" + "9" * 30, b"", False),
    ("/", b"after=1:" + b"9" * 25, True),
    ("/", b"a=%00", True),
])  # fmt: skip
def test_an_address_is_judged_before_it_is_looked_up(path: str, query: bytes, odd: bool) -> None:
    assert bool(oddity({"path": path, "query_string": query})) is odd


def test_made_up_cookies_do_not_pass_the_limit(house: DeskHouse) -> None:
    house.add("ada", PersonRole.REVIEWER)
    few = build_app(house.ports, replace(house.frame, requests_a_minute=6))
    signed, made_up = Client(few), Client(few)
    signed.sign_in("ada")
    codes = []
    for number in range(8):
        made_up.cookies.set("desk", f"made-up-{number}")
        codes.append(made_up.get("/nothing").status_code)
    assert 429 in codes
    assert signed.get("/me").status_code == 200, "a real session counts by itself"


def test_nobody_locks_somebody_else_out(house: DeskHouse) -> None:
    house.add("ada", PersonRole.REVIEWER)
    many = build_app(house.ports, replace(house.frame, sign_ins_a_minute=10**6))
    own, other = Client(many), Client(many)
    assert own.sign_in("ada").status_code == 303
    for _ in range(MOST_FAILURES + 1):
        other.sign_in("ada", "a guess")
    assert other.sign_in("ada").status_code == 401, "the place that guessed is locked, for the right word too"
    own.cookies.delete("desk")
    assert own.sign_in("ada").status_code == 303, "the browser of ada is not"
    other.cookies.set("desk_known", "0" * 64, path="/sign-in")
    assert other.sign_in("ada").status_code == 401
    with pytest.raises(SignInRefused):
        house.ports.people.verify("ada", PASSWORD, "address testclient")
    assert house.ports.people.verify("ada", PASSWORD, "address 192.0.2.7").name == "ada"


def test_a_link_keeps_a_new_browser_in_whoever_shares_its_address(house: DeskHouse) -> None:
    """Both browsers come from one address, and neither was ever signed in."""
    house.add("ada", PersonRole.REVIEWER)
    few = build_app(house.ports, replace(house.frame, sign_ins_a_minute=MOST_FAILURES + 2, requests_a_minute=200))
    other, invited, late = Client(few), Client(few), Client(few)
    for _ in range(MOST_FAILURES + 3):
        told = other.sign_in("ada", "a guess")
    assert told.status_code == 429, "the address has used up its tries"
    while other.get("/nothing").status_code != 429:
        pass
    assert late.sign_in("ada").status_code == 429
    opened = invited.get(link(few.state.frame, "ada").removeprefix(house.url))
    assert (opened.status_code, opened.headers["location"]) == (303, "/sign-in")
    assert invited.sign_in("ada").status_code == 303


def test_a_link_gives_no_tries_without_end(house: DeskHouse) -> None:
    house.add("ada", PersonRole.REVIEWER)
    house.add("bob", PersonRole.REVIEWER)
    many = build_app(house.ports, replace(house.frame, sign_ins_a_minute=10**6))
    where = link(many.state.frame, "ada").removeprefix(house.url)
    for _ in range(MOST_FAILURES + 1):
        guesser = Client(many)
        guesser.get(where)
        assert guesser.sign_in("ada", "a guess").status_code == 401
    assert guesser.sign_in("ada").status_code == 401, "opened again it is the same browser"
    # another secret's link, or none at all, makes nobody's browser known, and bob's not ada's
    frame = many.state.frame
    token = link(frame, "bob").partition("for=")[2]
    assert known.opened(replace(frame, secret="another"), token) is None
    assert known.opened(frame, token[:-2]) is None and known.opened(frame, "") is None
    bob = Client(many)
    bob.get(f"/sign-in/browser?for={token}")
    for _ in range(MOST_FAILURES):
        bob.sign_in("ada", "a guess")
    assert Client(many).sign_in("ada").status_code == 401, "what bob tries as ada counts with the address"
    assert bob.sign_in("bob").status_code == 303


def test_a_link_ends_and_one_s_own_page_shows_a_new_one(house: DeskHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.add("ada", PersonRole.REVIEWER)
    client = house.client("ada")
    shown = re.search(r"<code>http://testserver(/sign-in/browser\?for=[^<]+)</code>", client.get("/me").text)
    assert shown is not None
    assert house.client().get(html.unescape(shown[1])).status_code == 303
    monkeypatch.setattr(known, "LINK_SECONDS", -1)
    old = house.client().get(html.unescape(shown[1]))
    assert (old.status_code, known.COOKIE in old.cookies) == (403, False)
    assert "grown old" in old.text
