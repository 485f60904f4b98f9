"""Secrets of every kind, each of which nothing else in the project says, and everything that could make one speak."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from unittest import mock
from urllib.parse import quote

from starlette.testclient import TestClient

from benchmarks.passed import passed
from pipeline_project.commands.desk import open_desk
from pipeline_project.container.outbox import usable_destinations
from pipeline_project.desk.signatures import secret_variable, signed_headers
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.domain.review.night_work import NightWork
from pipeline_project.operations.dispatch import Dispatcher, run_workers
from resources.postgres.databases import engine_of
from tests.integration import shop
from tests.integration.house import House

#: In every value below, and nowhere else.
SIGN = "zeisig"


def _signing(number: int) -> str:
    return "whsec_" + base64.b64encode(f"{SIGN} {number} {'x' * 24}".encode()).decode()


DESK_PASSWORD = f"{SIGN}-at-the-desk"
HOOK, SHOP, OTHER_HOOK = _signing(1), _signing(2), _signing(3)
#: By variable: databases of sources and destinations, secrets that sign, tokens, and what specs may not name at all.
GIVEN: Mapping[str, str] = {
    "PIPELINE_SECRET_CLAIMS": f"postgresql://reader:{SIGN}-source@127.0.0.1:9/claims",
    "PIPELINE_SECRET_ILL": f"postgresql://reader:{SIGN}-ill@[/claims",
    "PIPELINE_SECRET_OTHER": f"mysql://reader:{SIGN}-other@127.0.0.1/claims",
    "PIPELINE_SECRET_BOOKS": f"postgresql://writer:{SIGN}-books@127.0.0.1:9/books",
    "PIPELINE_SECRET_NONE": f"{SIGN} is no secret of a webhook",
    "PIPELINE_SHOP_SECRET": SHOP,
    "PIPELINE_SOURCE_TOKEN": f"{SIGN}-token+1",
    "PIPELINE_SOURCE_PLACE": f"postgresql://ann:{SIGN}-place@db/claims",
    "AWS_SECRET_ACCESS_KEY": f"{SIGN}-aws",
}
#: What a wrong spec asks for; each of its nights fails, or its file does.
ASKED: Mapping[str, Mapping[str, Any]] = {
    "unreachable": {"kind": "sql", "url_variable": "PIPELINE_SECRET_CLAIMS"},
    "ill": {"kind": "sql", "url_variable": "PIPELINE_SECRET_ILL"},
    "other": {"kind": "sql", "url_variable": "PIPELINE_SECRET_OTHER"},
    "forbidden": {"kind": "sql", "url_variable": "AWS_SECRET_ACCESS_KEY"},
    "read": {"kind": "files", "folder": "in/${AWS_SECRET_ACCESS_KEY}", "pattern": "{night}.csv"},
    "placed": {"kind": "files", "folder": "${PIPELINE_SOURCE_PLACE}/in", "pattern": "{night}.csv"},
}
_QUERY = "SELECT * FROM claims WHERE at >= :start AND at < :end"
#: How the service answers each kind of action.
ANSWERS = ("repeats", "fails", "leads_on", "is_silent", "is_away", "writes", "unsigned")


class Service(BaseHTTPRequestHandler):
    """Repeats in every answer what it was sent."""

    def do_POST(self) -> None:
        how = self.path.partition("?")[0].strip("/")
        body = self.rfile.read(int(self.headers["content-length"]))
        if how == "is_silent":
            silent.wait()
            return
        self.send_response({"repeats": 200, "leads_on": 302}.get(how, 500))
        if how == "leads_on":
            port = cast(ThreadingHTTPServer, self.server).server_port
            self.send_header("location", f"http://127.0.0.1:{port}/repeats?{self.path}")
        self.end_headers()
        self.wfile.write(f"{self.requestline}\n{self.headers}\n{SHOP}\n".encode() + body)

    def log_message(self, *_: object) -> None:
        """Nothing: what this service writes down is its own."""


silent = threading.Event()


@contextmanager
def service() -> Iterator[str]:
    """The address of the service."""
    silent.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            silent.set()
            server.shutdown()


def actions(address: str) -> dict[str, Any]:
    """One destination for each way of answering, each tried once."""
    there = {"kind": "http", "secret": "PIPELINE_SHOP_SECRET", "attempts": 1, "timeout_seconds": 60}
    asked = "?token=${PIPELINE_SOURCE_TOKEN}"
    found: dict[str, Any] = {how: {**there, "url": f"{address}/{how}{asked}"} for how in ANSWERS[:4]}
    found["is_silent"]["timeout_seconds"] = 2
    found["is_away"] = {**there, "url": f"http://127.0.0.1:9/{asked}"}
    found["writes"] = {"kind": "sql", "url": "PIPELINE_SECRET_BOOKS", "table": "effects", "attempts": 1}
    found["unsigned"] = {**there, "url": f"{address}/repeats", "secret": "PIPELINE_SECRET_NONE"}
    return {"live": True, "destinations": found, "kinds": {f"do_{how}": {"destination": how} for how in ANSWERS}}


def options() -> dict[str, Any]:
    """Options that no night chooses by itself, one for each way of answering."""
    dear = {"honest": 9000, "fraud": 9000}
    return {f"via_{how}": {"title": how, "actions": [f"do_{how}"], "costs": dear} for how in ANSWERS}


def send_all(house: House, night: str) -> list[dict[str, Any]]:
    """A released night whose every case leads to another destination; what became of its actions."""
    spec, ledger = house.spec, house.ledger
    cases = {f"CASE-{how}": f"via_{how}" for how in ANSWERS}
    ledger.record_workflow(house.name, spec.spec_hash, spec.model_dump(mode="json"))
    attempt = ledger.begin_attempt(house.name, night, "run")
    common: dict[str, Any] = {
        "spec_hash": spec.spec_hash,
        "data_versions": {"cases": 1},
        "propensity": 0.0,
        "amount": 1.0,
    }
    rows = [NewDecision(case, option, "cheapest", **common) for case, option in cases.items()]
    plans = {case: plan_actions(spec.action_terms, night, case, 1, option, {}) for case, option in cases.items()}
    work = NightWork(spec.review_terms, spec.action_terms, {}, plans)
    ledger.record_decisions(house.name, night, attempt, rows, work, basis=passed(ledger, house.name, night))
    ledger.release(house.name, night, "run", basis=passed(ledger, house.name, night, "release"))
    known, left_alone = usable_destinations({house.name: spec}, house.settings, house.environ)
    run_workers([Dispatcher(engine_of(ledger.url), known, {house.name: "team:x"}, "here", left_alone=left_alone)], True)
    return house.sql("SELECT destination, state, error_class FROM actions WHERE night = :night", night=night)


def declare_wrong(house: House) -> list[str]:
    """Workflows whose sources cannot be read; their names."""
    for name, source in ASKED.items():
        asked = {**source, **({"query": _QUERY} if source["kind"] == "sql" else {})}
        shop.write_spec(house.folder, shop.spec(f"wrong_{name}", source=asked))
    return [f"wrong_{name}" for name in ASKED]


def visit_the_desk(house: House) -> None:
    """Somebody signs in, wrongly and rightly, with the password where none is asked for, too; and at a provider."""
    client = _desk(house)
    for name, password in (("kai", DESK_PASSWORD), ("kai", f"{DESK_PASSWORD}!"), (DESK_PASSWORD, "x")):
        form = re.search(r'name="form" value="([^"]+)"', client.get("/sign-in").text)
        sent = {"name": name, "password": password, "form": form[1] if form else ""}
        client.post("/sign-in", data=sent, follow_redirects=False)
    client.get(f"/why/{house.name}/{quote(DESK_PASSWORD)}")
    body = json.dumps({"type": "arrival", "workflow": house.name, "timestamp": "x", "data": [{}]}).encode()
    for secret in (HOOK, OTHER_HOOK):
        signed = signed_headers(secret, "evt_1", datetime.now(UTC), body)
        where = f"/hooks/{house.name}/arrivals"
        client.post(where, content=body, headers={"content-type": "application/json", **signed})
    # nobody answers there
    there = {"PIPELINE_OIDC_ISSUER": "http://127.0.0.1:9", "PIPELINE_OIDC_CLIENT_ID": "desk"}
    provider = _desk(house, **there, PIPELINE_OIDC_CLIENT_SECRET=f"{SIGN}-oidc")
    provider.get("/sign-in/provider", follow_redirects=False)


def _desk(house: House, **more: str) -> TestClient:
    from pipeline_project.commands.shared.app_context import prepare

    with house.entered(), mock.patch.dict(os.environ, more):
        app = open_desk(prepare(), 3004)
    return TestClient(app, base_url="http://127.0.0.1:3004", raise_server_exceptions=False)


def kept_secrets(house: House) -> list[str]:
    """Every value in every spelling: those given, those made here, passwords of the database, private keys."""
    made = [
        path.read_text(encoding="ascii", errors="ignore").strip()
        for path in [*Path(house.settings.keys).rglob("*"), *(house.home / "postgres").glob("*password*")]
        if path.is_file()
    ]
    # a key's file may have lines of its own that are no secret; each long one is
    values = [line for content in made for line in content.splitlines() if len(line) >= 20 and "-----" not in line]
    values += [*GIVEN.values(), HOOK, OTHER_HOOK, DESK_PASSWORD, SIGN]
    packed = [value.removeprefix("whsec_") for value in (HOOK, SHOP, OTHER_HOOK)]
    basic = [base64.b64encode(value.encode()).decode().rstrip("=") for value in values]
    return [*dict.fromkeys([*values, *packed, *basic, *(quote(value, safe="") for value in values)])]


def environment(house: House) -> dict[str, str]:
    return {**GIVEN, secret_variable(house.name): HOOK}
