"""What every request and every answer go through: size, rate, session, headers."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from urllib.parse import unquote_plus

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline_project.desk import known
from pipeline_project.desk.backend import DeskPorts, Frame

log = logging.getLogger("pipeline.desk")

MOST_BYTES = 64 * 1024
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cache-control": "no-store",
}
_LASTING = "public, max-age=3600"
_HSTS = "max-age=31536000; includeSubDomains"

_NUL = re.compile(rb"%00|\0")
_NO_NUL = "a NUL character is no text"
#: Row numbers have 64 bits; other long runs of digits, in case ids, stand in letters or are no row numbers.
_LONG_NUMBER = re.compile(r"(?:^|[/=:&-])\d{19,}(?:$|[/=:&?])")
#: Sessions known to be real, so that only real ones count by themselves.
_KNOWN_SESSIONS = 4096

Next = Callable[[Request], Awaitable[Response]]


class Odd(Exception):
    """A form holds a character that no text of a database can hold."""


class TooLarge(Exception):
    """A body is larger than any form of the desk."""


class BodyLimit:
    """Refuses bodies larger than any form of the desk, also those that do not say how large they are."""

    def __init__(self, app: ASGIApp, elsewhere: tuple[str, ...]) -> None:
        self.app, self.elsewhere = app, elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(self.elsewhere):
            await self.app(scope, receive, send)
            return
        if odd := oddity(scope):
            await PlainTextResponse(odd, 400)(scope, receive, send)
            return
        received, answered, odd_form, tail = 0, False, False, b""

        async def counted() -> Message:
            nonlocal received, odd_form, tail
            message = await receive()
            body = message.get("body", b"")
            received += len(body)
            # a NUL may come in two pieces, as it is written in a form
            if _NUL.search(tail + body):
                odd_form = True
                raise Odd
            tail = body[-2:]
            if received > MOST_BYTES:
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            if received > MOST_BYTES and message["type"] == "http.response.start":
                # whoever read the form has made its own answer of it
                message = {**message, "status": 413}
            elif odd_form and message["type"] == "http.response.start":
                message = {**message, "status": 400}
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except Exception:
            # where the form is read decides in what this arrives wrapped
            refused = (413, "more than a form of the desk holds") if received > MOST_BYTES else (400, _NO_NUL)
            if answered or not (odd_form or received > MOST_BYTES):
                raise
            await PlainTextResponse(refused[1], refused[0])(scope, receive, send)


def oddity(scope: Scope) -> str | None:
    """Why an address can name nothing of the desk, or None: NULs, and numbers longer than any number of a row."""
    asked = unquote_plus(scope.get("query_string", b"").decode("latin-1"))
    for text in (scope["path"], asked):
        if "\0" in text:
            return _NO_NUL
        if _LONG_NUMBER.search(text):
            return "a number in the address is longer than any number here"
    return None


def guard(app: FastAPI, ports: DeskPorts, frame: Frame, elsewhere: tuple[str, ...]) -> None:
    """Puts the guards before an application.

    Args:
        elsewhere: beginnings of paths that have a body limit and a rate limit of their own, and no session.
    """
    window = MovingWindowRateLimiter(MemoryStorage())
    real: OrderedDict[str, None] = OrderedDict()
    each_session = RateLimitItemPerMinute(frame.requests_a_minute)
    each_sign_in = RateLimitItemPerMinute(frame.sign_ins_a_minute)

    @app.middleware("http")
    async def through(request: Request, call_next: Next) -> Response:
        request.state.session, request.state.onward = None, None
        if not request.url.path.startswith((*elsewhere, "/static/", "/healthz", "/livez")):
            token = request.cookies.get(frame.cookie)
            address = request.client.host if request.client else "unknown"
            if browser := known.browser_of(request, frame):
                # whoever shares the address uses up none of what a known browser may do
                address = f"browser {browser.number}"
            signing_in = request.url.path.startswith(known.PATH) and request.method == "POST"
            if signing_in and not window.hit(each_sign_in, "sign-in", address):
                return _dressed(PlainTextResponse("too many tries from here; wait a minute", 429), request, frame)
            # a cookie that nobody gave out counts by the address it comes from, however many are made up
            own = token if token in real else None
            if not window.hit(each_session, "session", own or address):
                return _dressed(PlainTextResponse("too many requests; wait a minute", 429), request, frame)
            if token:
                request.state.session = await run_in_threadpool(ports.sessions.find, token)
                _remember(real, token, request.state.session is not None)
        answer = await call_next(request)
        route = request.scope.get("route")
        # the route's pattern, not the address: an address names cases
        log.info("%s %s %d", request.method, getattr(route, "path", "unknown"), answer.status_code)
        return _dressed(answer, request, frame)

    app.add_middleware(BodyLimit, elsewhere=elsewhere)


def _remember(real: OrderedDict[str, None], token: str, valid: bool) -> None:
    if not valid:
        real.pop(token, None)
        return
    real[token] = None
    real.move_to_end(token)
    if len(real) > _KNOWN_SESSIONS:
        real.popitem(last=False)


def _dressed(answer: Response, request: Request, frame: Frame) -> Response:
    for name, value in HEADERS.items():
        answer.headers[name] = value
    if onward := getattr(request.state, "onward", None):
        # the sign-in form may lead on to the page that asked for it, under this same name on another port
        policy = HEADERS["content-security-policy"].replace("form-action 'self'", f"form-action 'self' {onward}")
        answer.headers["content-security-policy"] = policy
    if request.url.path.startswith("/static/"):
        answer.headers["cache-control"] = _LASTING
    if frame.secure:
        answer.headers["strict-transport-security"] = _HSTS
    return answer
