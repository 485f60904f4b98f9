"""Signing in and out: with a local account, or at an OpenID provider where one is named."""

from __future__ import annotations

import hmac
import secrets
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from pipeline_project.desk import known
from pipeline_project.desk.access import needs, own_origin, own_path, public
from pipeline_project.desk.backend import DeskPorts, Frame, Provider
from pipeline_project.desk.dependencies import FrameDep, PortsDep, SessionDep
from pipeline_project.desk.show import page
from pipeline_project.domain.core.errors import SignInRefused

router = APIRouter()

_FORM, _NEXT = "form", "next"


class SignInForm(BaseModel, frozen=True):
    """Name and password; `token` is what the form was given, `next` where to go on to."""

    name: str = Field(max_length=200)
    password: str = Field(max_length=2000)
    token: str = Field(default="", alias=_FORM, max_length=200)
    next: str = Field(default="/", max_length=2000)


@router.get("/sign-in", dependencies=[public()])
async def ask(request: Request, frame: FrameDep, next: str = "/") -> Response:
    """The form, or the way to the provider."""
    wanted = own_path(next, frame.url)
    if request.state.session is not None:
        return RedirectResponse(wanted, 303)
    return _form(request, frame, wanted)


@router.post("/sign-in", dependencies=[public()])
async def sign_in(request: Request, ports: PortsDep, frame: FrameDep, form: Annotated[SignInForm, Form()]) -> Response:
    """Takes name and password; the session begins anew, whatever cookie came along."""
    if frame.provider is not None:
        raise HTTPException(404)
    given, wanted = request.session.pop(_FORM, ""), own_path(form.next, frame.url)
    if not own_origin(request, frame) or not given or not hmac.compare_digest(given.encode(), form.token.encode()):
        return _form(request, frame, wanted, 403, "This form had grown old; try again.")
    try:
        account = form.name.strip().lower()
        person = await run_in_threadpool(ports.people.verify, account, form.password, _place(request, frame, account))
    except SignInRefused as error:
        return _form(request, frame, wanted, 401, str(error))
    return await _begin(request, ports, frame, person.name, wanted)


@router.get(known.LINK, dependencies=[public()])
async def make_known(request: Request, frame: FrameDep) -> Response:
    """Makes this browser known as the person's for whom the link was made; signing in is still to do."""
    browser = known.browser_of(request, frame)
    if browser is None:
        return _form(request, frame, "/", 403, "This link has grown old; ask for another one, or sign in without it.")
    answer = RedirectResponse(known.PATH, 303)
    known.mark(answer, frame, browser)
    return answer


@router.get("/sign-in/provider", dependencies=[public()])
async def to_provider(request: Request, frame: FrameDep, next: str = "/") -> Response:
    """Sends the browser to the provider, with state, nonce and a code challenge."""
    client = _client(frame)
    request.session[_NEXT] = own_path(next, frame.url)
    answer: Response = await client.authorize_redirect(request, f"{frame.url}/sign-in/answer")
    return answer


@router.get("/sign-in/answer", dependencies=[public()])
async def from_provider(request: Request, ports: PortsDep, frame: FrameDep) -> Response:
    """Takes the provider's answer: state, code, and an identity token whose signature, issuer and nonce must fit."""
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    client = _client(frame)
    assert frame.provider is not None
    try:
        token = await client.authorize_access_token(request)
    except (AuthlibBaseError, JoseError, ValueError):
        return _form(request, frame, "/", 401, "The provider's answer does not fit this sign-in; try again.")
    claims = token.get("userinfo") or {}
    if claims.get("iss") != frame.provider.issuer or not claims.get("sub"):
        return _form(request, frame, "/", 401, "The provider's answer does not fit this sign-in; try again.")
    wanted = own_path(request.session.pop(_NEXT, "/"), frame.url)
    try:
        person = await run_in_threadpool(
            ports.people.from_provider, claims["iss"], claims["sub"], claims.get("email"),
            claims.get("email_verified") is True,
        )  # fmt: skip
    except SignInRefused as error:
        return _form(request, frame, "/", 403, str(error))
    return await _begin(request, ports, frame, person.name, wanted)


@router.post("/sign-out", dependencies=[needs()])
def sign_out(ports: PortsDep, frame: FrameDep, session: SessionDep) -> Response:
    """Ends the session, here and in the database."""
    ports.sessions.end(session.token)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(frame.cookie, path="/")
    return answer


def _place(request: Request, frame: Frame, name: str) -> str:
    """Where a try is counted: with the browser, where this person's is known, else with its address."""
    browser = known.browser_of(request, frame)
    if browser is not None and browser.person == name:
        return f"browser {browser.number}"
    return f"address {request.client.host if request.client else 'unknown'}"


def _form(request: Request, frame: Frame, wanted: str, status: int = 200, error: str | None = None) -> Response:
    token = secrets.token_urlsafe(24)
    request.session[_FORM] = token
    if not wanted.startswith("/"):
        parts = urlsplit(wanted)
        request.state.onward = f"{parts.scheme}://{parts.netloc}"
    return page(request, "sign_in.html", status, form=token, next=wanted, error=error, provider=frame.provider)


async def _begin(request: Request, ports: DeskPorts, frame: Frame, person: str, wanted: str) -> Response:
    before = request.cookies.get(frame.cookie)
    if before:
        await run_in_threadpool(ports.sessions.end, before)
    session = await run_in_threadpool(ports.sessions.begin, person)
    answer = RedirectResponse(wanted, 303)
    answer.set_cookie(frame.cookie, session.token, httponly=True, secure=frame.secure, samesite="lax", path="/")
    browser = known.browser_of(request, frame)
    known.mark(answer, frame, browser if browser and browser.person == person else known.new_browser(person))
    return answer


def _client(frame: Frame) -> Any:
    if frame.provider is None:
        raise HTTPException(404)
    return _registered(frame.provider)


@lru_cache(maxsize=4)
def _registered(provider: Provider) -> Any:
    from authlib.integrations.starlette_client import OAuth

    return OAuth().register(
        "provider",
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256"},
    )
