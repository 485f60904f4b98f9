"""What every request and every answer go through: size, rate, session, headers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline_project.review.doors import Doors, Frame

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

Next = Callable[[Request], Awaitable[Response]]


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
        taken, answered = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BYTES:
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            if taken > MOST_BYTES and message["type"] == "http.response.start":
                # whoever read the form has made its own answer of it
                message = {**message, "status": 413}
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except TooLarge:
            if not answered:
                await PlainTextResponse("more than a form of the desk holds", 413)(scope, receive, send)


def guard(app: FastAPI, doors: Doors, frame: Frame, elsewhere: tuple[str, ...]) -> None:
    """Puts the guards before an application.

    Args:
        elsewhere: beginnings of paths that have a body limit and a rate limit of their own, and no session.
    """
    window = MovingWindowRateLimiter(MemoryStorage())
    each_session = RateLimitItemPerMinute(frame.requests_a_minute)
    each_sign_in = RateLimitItemPerMinute(frame.sign_ins_a_minute)

    @app.middleware("http")
    async def through(request: Request, call_next: Next) -> Response:
        request.state.session = None
        if not request.url.path.startswith((*elsewhere, "/static/", "/healthz")):
            token = request.cookies.get(frame.cookie)
            address = request.client.host if request.client else "unknown"
            signing_in = request.url.path.startswith("/sign-in") and request.method == "POST"
            if signing_in and not window.hit(each_sign_in, "sign-in", address):
                return _dressed(PlainTextResponse("too many tries from here; wait a minute", 429), request, frame)
            if not window.hit(each_session, "session", token or address):
                return _dressed(PlainTextResponse("too many requests; wait a minute", 429), request, frame)
            if token:
                request.state.session = await run_in_threadpool(doors.sessions.find, token)
        answer = await call_next(request)
        route = request.scope.get("route")
        # the route's pattern, not the address: an address names cases
        log.info("%s %s %d", request.method, getattr(route, "path", "unknown"), answer.status_code)
        return _dressed(answer, request, frame)

    app.add_middleware(BodyLimit, elsewhere=elsewhere)


def _dressed(answer: Response, request: Request, frame: Frame) -> Response:
    for name, value in HEADERS.items():
        answer.headers[name] = value
    if request.url.path.startswith("/static/"):
        answer.headers["cache-control"] = _LASTING
    if frame.secure:
        answer.headers["strict-transport-security"] = _HSTS
    return answer
