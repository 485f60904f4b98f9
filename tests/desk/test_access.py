"""Every route, every role, every method: who gets in stands in this table and nowhere else."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from pipeline_project.desk.access import declarations, own_path
from pipeline_project.desk.app import build_app
from pipeline_project.domain.core.people import NewAccount, PersonRole
from tests.desk.house import PASSWORD, DeskHouse
from tests.present import present

R, A, M, U, D = PersonRole
EVERY = frozenset(PersonRole)
NOBODY_NEEDED: frozenset[PersonRole] = frozenset()
#: method and path -> the roles that open it; an empty set is everybody, signed in or not.
TABLE = {
    "GET /sign-in": NOBODY_NEEDED,
    "POST /sign-in": NOBODY_NEEDED,
    "GET /sign-in/browser": NOBODY_NEEDED,
    "GET /sign-in/provider": NOBODY_NEEDED,
    "GET /sign-in/answer": NOBODY_NEEDED,
    "GET /static/{name}": NOBODY_NEEDED,
    "GET /healthz": NOBODY_NEEDED,
    "GET /livez": NOBODY_NEEDED,
    "POST /sign-out": EVERY,
    "GET /me": EVERY,
    "POST /me/password": EVERY,
    "POST /me/end-sessions": EVERY,
    "GET /": {R, A, U, D},
    "POST /next": {R, A},
    "GET /tasks/{task_id}": {R, A, U},
    "POST /tasks/{task_id}/claim": {R, A},
    "POST /tasks/{task_id}/renew": {R, A},
    "POST /tasks/{task_id}/give-back": {R, A},
    "POST /tasks/{task_id}/reveal": {R, A},
    "POST /tasks/{task_id}/answer": {R, A},
    "GET /tasks/{task_id}/photos/{number}": {R, A},
    "GET /clusters": {R},
    "GET /clusters/{workflow}/{cluster}": {R},
    "POST /clusters/{workflow}/{cluster}": {R},
    "GET /approvals": {A},
    "GET /approvals/{proposal}": {A},
    "POST /approvals/{proposal}/approve": {A},
    "POST /approvals/{proposal}/send-back": {A},
    "GET /nights": EVERY,
    "GET /nights/{workflow}/{night}": EVERY,
    "POST /nights/{workflow}/switch": {A, D},
    "GET /actions": {A, U, D},
    "POST /actions/{key}/again": {A},
    "POST /actions/requests/{number}/agree": {A},
    "GET /models": {M, U, D},
    "GET /models/{proposal}": {M, U, D},
    "POST /models/{proposal}/sign": {M},
    "POST /models/{proposal}/refuse": {M},
    "GET /audit": {U, D},
    "GET /why/{workflow}/{case:path}": EVERY,
    "GET /people": {D},
    "POST /people": {D},
    "POST /people/{name}/grant": {D},
    "POST /people/{name}/revoke": {D},
    "POST /people/{name}/end-sessions": {D},
    "POST /people/{name}/close": {D},
}
FILLED = {
    "task_id": "1", "number": "0", "workflow": "returns", "cluster": "c", "proposal": "1", "night": "2026-03-04",
    "key": "00000000-0000-0000-0000-000000000001", "case:path": "C", "case": "C", "name": "nobody.here",
}  # fmt: skip
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _address(path: str) -> str:
    for name, value in FILLED.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def test_the_table_names_every_route(house: DeskHouse) -> None:
    found = {
        f"{method} {route.path}": roles for route, roles in declarations(house.app) for method in present(route.methods)
    }
    assert found == {name: frozenset(roles) for name, roles in TABLE.items()}


@pytest.mark.parametrize("role", [*PersonRole, None, "no role"])
def test_who_gets_in(house: DeskHouse, role: PersonRole | str | None) -> None:
    if role is None:
        client = house.client()
    else:
        own = [role] if isinstance(role, PersonRole) else []
        house.people.add(NewAccount("somebody", "Somebody", own, PASSWORD), "test")
        client = house.client("somebody")
        if not own:
            # the page that holds the token is closed as well
            client.csrf = house.rows("SELECT csrf FROM sessions")[0]["csrf"]
    for name, roles in TABLE.items():
        method, path = name.split()
        if path in ("/sign-out", "/me/end-sessions", "/me/password"):
            continue
        answer = client.request(method, _address(path), data={"csrf": client.csrf} if method == "POST" else None)
        refused = answer.status_code == 403 and "your roles do not open" in answer.text
        if not roles:
            assert not refused, name
        elif role is None:
            assert answer.status_code == (303 if method == "GET" else 401), name
            assert "/sign-in" in answer.headers.get("location", "/sign-in")
        else:
            assert refused == (role not in roles), (name, answer.status_code)


def test_methods_that_a_route_does_not_have_are_refused(house: DeskHouse) -> None:
    house.add("root", *PersonRole)
    client = house.client("root")
    for path in {name.split()[1] for name in TABLE}:
        there = {name.split()[0] for name in TABLE if name.split()[1] == path}
        for method in set(METHODS) - there:
            assert client.request(method, _address(path), data={"csrf": client.csrf}).status_code in (404, 405), path


def test_a_route_that_declares_nothing_keeps_the_desk_from_starting(
    house: DeskHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline_project.desk.routes import models

    bare = APIRouter()
    bare.add_api_route("/open", lambda: "hello")
    monkeypatch.setattr(models, "router", bare)
    with pytest.raises(RuntimeError, match="/open must declare once who may open it"):
        build_app(house.ports, house.frame)


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/x\nSet-Cookie: a", "", None],
)
def test_no_link_leads_out_of_here(path: str | None) -> None:
    assert own_path(path) == "/"


def test_a_path_of_the_desk_is_kept() -> None:
    assert own_path("/tasks/3?claim=x") == "/tasks/3?claim=x"


DESK = "https://night.example:3004"


@pytest.mark.parametrize("page", ["https://night.example/runs", "https://night.example:3000/assets?view=a%20b"])
def test_pages_under_the_desk_s_own_name_may_be_gone_on_to(page: str) -> None:
    assert own_path(page, DESK) == page


@pytest.mark.parametrize(
    "page",
    ["http://night.example:3000/", "https://night.example.evil.example/", "https://night.example@evil.example/",
     "https://night.example:3000@evil.example/", "https://evil.example\\@night.example/", "https://nightxexample/",
     "https://evil.example/https://night.example/", "https:night.example", "https://[", "https://night.example:3000 /",
     "\thttps://night.example:3000/", "//night.example:3000/"],
)  # fmt: skip
def test_a_page_that_only_looks_like_one_under_the_desk_s_name_is_none(page: str) -> None:
    assert own_path(page, DESK) == "/"
