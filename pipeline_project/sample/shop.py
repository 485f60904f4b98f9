"""A fake shop: takes signed actions, does each once, and keeps a book of what it did. For the demo and the tests.

POST /actions          one action (Standard Webhooks); the same key again is answered, not acted upon
GET  /actions/{key}    what became of it; 404 where it was never seen
GET  /                 the book, for people
GET  /book             the book, for programs
POST /faults           faults to order (`shop_faults.Ordered`)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from pipeline_project.sample.shop_book import Book, Taking
from pipeline_project.sample.shop_faults import Fault, Faults, Ordered

__all__ = ["Book", "Faults", "Ordered", "build_shop", "serve"]

PORT = 3006
#: Bytes of an action, and how many effects the page shows.
MOST_BYTES, SHOWN = 64_000, 200
_PAGES = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def build_shop(
    book: Book, secret: str, faults: Faults | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> FastAPI:
    """The shop as an ASGI application.

    Args:
        secret: what actions are signed with (`whsec_...`).
        clock: aware times; a test moves it past what the book remembers.
    """
    app = FastAPI(title="Fake shop", docs_url=None, redoc_url=None, openapi_url=None)
    wrong = faults or Faults()
    _take_actions(app, book, Webhook(secret), wrong, clock)
    _show_book(app, book, wrong)

    @app.post("/faults")
    def order_faults(ordered: Ordered) -> Ordered:
        """From now on these faults; an empty order ends them."""
        wrong.order(ordered)
        return ordered

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


def _take_actions(app: FastAPI, book: Book, signed: Webhook, faults: Faults, clock: Callable[[], datetime]) -> None:
    @app.post("/actions")
    async def act(request: Request) -> Response:
        """Does what is asked, once."""
        try:
            body = await request.body()
        except ClientDisconnect:
            # the caller died while it asked: nobody hears the answer
            return Response(status_code=400)
        key, refusal = _ticket(signed, request, body)
        if key is None:
            return refusal
        fault = faults.draw(key)
        if fault in _BEFORE:
            return await _failed(fault, faults.ordered)
        taking, effect = await run_in_threadpool(book.take, key, body, clock())
        if fault is Fault.TWICE:
            taking, effect = await run_in_threadpool(book.take, key, body, clock())
        if fault in _AFTER:
            return await _failed(fault, faults.ordered)
        if taking is Taking.OTHER_CONTENT:
            return JSONResponse({"detail": "this key was used for something else"}, 422)
        return JSONResponse({"status": taking.value, "effect": effect.number})

    @app.get("/actions/{key}")
    def look_up(key: UUID) -> Response:
        """What became of one action, however long ago it was asked for."""
        effect = book.find(str(key))
        if effect is None:
            return JSONResponse({"detail": "never seen"}, 404)
        return JSONResponse({"status": "done", "effect": effect.number, "at": effect.at.isoformat()})


def _show_book(app: FastAPI, book: Book, faults: Faults) -> None:
    page = Environment(loader=FileSystemLoader(_PAGES), autoescape=True).get_template("shop.html")

    @app.get("/book")
    def read_book(after: int = 0) -> dict[str, Any]:
        """Every effect, and what went wrong by order."""
        return {
            "effects": [effect.as_json() for effect in book.effects(max(0, after))],
            "twice": book.twice(),
            "faults": dict(faults.happened),
        }

    @app.get("/", response_class=HTMLResponse)
    def show_book() -> HTMLResponse:
        """The newest effects, and what they add up to."""
        effects = book.effects()
        shown = [effect.as_json() for effect in reversed(effects[-SHOWN:])]
        paid = sum(float(effect.as_json()["amount"]) for effect in effects)
        html = page.render(effects=shown, count=len(effects), paid=paid, twice=len(book.twice()))
        return HTMLResponse(html, headers=_HEADERS)


_BEFORE = (Fault.ERROR_BEFORE, Fault.BUSY, Fault.SILENT_BEFORE, Fault.REFUSED)
_AFTER = (Fault.ERROR_AFTER, Fault.SILENT_AFTER)


def _ticket(signed: Webhook, request: Request, body: bytes) -> tuple[str | None, Response]:
    """The key of a request that may come in; else the answer that turns it away."""
    if len(body) > MOST_BYTES:
        return None, JSONResponse({"detail": "too large"}, 413)
    try:
        signed.verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        # ValueError: a body or a signature that is no text at all
        return None, JSONResponse({"detail": "not signed with the shop's secret, or too long ago"}, 401)
    key = request.headers["webhook-id"]
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict) or payload.get("key") != key:
        return None, JSONResponse({"detail": "the body is an object whose `key` is the webhook-id"}, 400)
    return key, Response()


async def _failed(fault: Fault, ordered: Ordered) -> Response:
    if fault is Fault.BUSY:
        return JSONResponse({"detail": "busy"}, 429, {"Retry-After": str(ordered.retry_after)})
    if fault is Fault.REFUSED:
        return JSONResponse({"detail": "refused"}, 400)
    if fault in (Fault.SILENT_BEFORE, Fault.SILENT_AFTER):
        await asyncio.sleep(ordered.silent_seconds)
        return JSONResponse({"detail": "too late"}, 504)
    return JSONResponse({"detail": "out of order"}, 500)


def serve(path: Path, secret: str, port: int = PORT, faults: Ordered | None = None) -> None:
    """Serves the shop on this machine until it is stopped.

    Args:
        path: the file of its book, which stays for the next time.

    Raises:
        BlockingIOError: another shop has the book.
    """
    import uvicorn

    book = Book(path)
    try:
        app = build_shop(book, secret, Faults(faults))
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
    finally:
        book.close()
