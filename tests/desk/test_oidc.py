"""Signing in at an OpenID provider, and what somebody may try who is none."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from joserfc import jwt
from joserfc.jwk import RSAKey

from pipeline_project.desk.app import build_app
from pipeline_project.desk.backend import Provider
from pipeline_project.domain.core.people import NewAccount, PersonRole
from tests.desk.house import Client, DeskHouse

CLIENT, SECRET = "desk", "a client's secret"


@dataclass
class FakeProvider:
    """The edge of the process: a provider that signs what the test says, and checks the code's verifier."""

    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    signer: RSAKey | None = None
    algorithm: str = "RS256"
    issuer: str = ""
    codes: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    verified: list[bool] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def metadata() -> dict[str, Any]:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            }

        @app.get("/keys")
        def keys() -> dict[str, Any]:
            return {"keys": [self.key.as_dict(private=False, use="sig", alg="RS256")]}

        @app.post("/token")
        async def token(request: Request) -> dict[str, Any]:
            asked = await request.form()
            challenge, claims = self.codes.pop(str(asked["code"]))
            digest = hashlib.sha256(str(asked.get("code_verifier", "")).encode()).digest()
            fits = base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge
            self.verified.append(fits)
            if not fits:
                raise HTTPException(400, "the verifier does not fit")
            return {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": self._signed(claims)}

        return app

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.algorithm == "none":
            parts = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"none"}', _json(claims))]
            return ".".join([*parts, ""])
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.signer or self.key)


def _json(claims: dict[str, Any]) -> bytes:
    import json

    return json.dumps(claims).encode()


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    made = FakeProvider()
    server = uvicorn.Server(uvicorn.Config(made.app(), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 300
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the provider did not start"
        thread.join(0.05)
    made.issuer = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield made
    server.should_exit = True
    thread.join(20)


@dataclass
class SignIn:
    """One try at signing in, from the desk's first redirect to the provider's answer."""

    client: Client
    provider: FakeProvider

    def begin(self, wanted: str = "/nights") -> dict[str, str]:
        where = self.client.get(f"/sign-in/provider?next={wanted}").headers["location"]
        return {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}

    def end(self, asked: dict[str, str], state: str | None = None, **changed: Any) -> Any:
        now = int(time.time())
        claims = {
            "iss": self.provider.issuer, "aud": CLIENT, "sub": "ada-at-provider", "email": "Ada@example.org",
            "email_verified": True, "nonce": asked["nonce"], "iat": now, "exp": now + 60, **changed,
        }  # fmt: skip
        self.provider.codes["code"] = (asked["code_challenge"], claims)
        return self.client.get(f"/sign-in/answer?code=code&state={state or asked['state']}")


@pytest.fixture
def sign_in(house: DeskHouse, provider: FakeProvider) -> SignIn:
    provider.signer, provider.algorithm = None, "RS256"
    house.people.add(NewAccount("ada", "Ada", [PersonRole.REVIEWER], email="ada@example.org"), "test")
    frame = replace(house.frame, provider=Provider(provider.issuer, CLIENT, SECRET))
    return SignIn(Client(build_app(house.ports, frame)), provider)


def test_an_invited_person_signs_in_and_is_known_by_the_subject_from_then_on(house: DeskHouse, sign_in: SignIn) -> None:
    asked = sign_in.begin()
    assert asked["code_challenge_method"] == "S256"
    answer = sign_in.end(asked)
    assert (answer.status_code, answer.headers["location"]) == (303, "/nights")
    assert sign_in.client.get("/nights").status_code == 200
    assert sign_in.provider.verified[-1]
    sign_in.client.cookies.clear()
    assert sign_in.end(sign_in.begin(), email="moved@example.org").status_code == 303
    assert house.rows("SELECT name, subject FROM people") == [{"name": "ada", "subject": "ada-at-provider"}]


ATTACKS: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "for somebody else": {"aud": "another-client"},
    "from somebody else": {"iss": "https://evil.example"},
    "too old": {"exp": 1, "iat": 0},
    "an address nobody verified": {"email_verified": False},
    "an address nobody invited": {"email": "eve@example.org"},
    "no subject": {"sub": ""},
}


@pytest.mark.parametrize("changed", ATTACKS.values(), ids=ATTACKS)
def test_a_token_that_does_not_fit_signs_nobody_in(house: DeskHouse, sign_in: SignIn, changed: dict[str, Any]) -> None:
    answer = sign_in.end(sign_in.begin(), **changed)
    assert answer.status_code in (401, 403)
    assert house.rows("SELECT 1 FROM sessions") == []


def test_another_state_signs_nobody_in(house: DeskHouse, sign_in: SignIn) -> None:
    assert sign_in.end(sign_in.begin(), state="made-up").status_code == 401
    assert house.rows("SELECT 1 FROM sessions") == []


@pytest.mark.parametrize("how", ["another key", "none"])
def test_a_token_that_the_provider_did_not_sign_signs_nobody_in(house: DeskHouse, sign_in: SignIn, how: str) -> None:
    if how == "none":
        sign_in.provider.algorithm = "none"
    else:
        sign_in.provider.signer = RSAKey.generate_key(2048, {"kid": "one"})
    assert sign_in.end(sign_in.begin()).status_code == 401
    assert house.rows("SELECT 1 FROM sessions") == []


def test_with_a_provider_no_password_opens_the_desk(house: DeskHouse, sign_in: SignIn) -> None:
    house.add("bob", PersonRole.REVIEWER)
    assert sign_in.client.post("/sign-in", data={"name": "bob", "password": "whatever it is"}).status_code == 404


def test_an_answer_leads_nowhere_else(sign_in: SignIn) -> None:
    assert sign_in.end(sign_in.begin("//evil.example")).headers["location"] == "/"
