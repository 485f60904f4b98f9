"""The webhook receiver: other systems post arrivals and outcomes here; a signature of the raw body is the only ticket.

    POST /hooks/{workflow}/arrivals
    POST /hooks/{workflow}/outcomes

202 means that the event is kept in the database and will be part of its night. Whoever cannot sign learns nothing: a
wrong signature, an old one, a workflow that is not there and one whose door is shut all get the same 401.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any

from fastapi import APIRouter, BackgroundTasks, FastAPI, Request
from fastapi.responses import JSONResponse
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from pipeline_project.desk.signatures import MOST_SECRETS, SHORTEST, is_signed
from pipeline_project.domain.core.errors import DatabaseUnreachable, EventRefused, PipelineError
from pipeline_project.domain.intake.inbound.events import EventKind, EventVerdict, InboundStore, Receipt
from pipeline_project.domain.intake.inbound.reading import MAX_BODY, read_event

#: For the desk: these need no session, no role and no CSRF token.
PUBLIC_ROUTES = ("/hooks/{workflow}/arrivals", "/hooks/{workflow}/outcomes")
PREFIX = "/hooks/"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HookLimits:
    """What the door takes.

    Attributes:
        body: bytes of an event.
        events: signed events of a workflow in a minute.
        failures, all_failures: refused signatures in a minute, of one address and of all; what comes after them is not
            even counted. Who can sign is not held up by those who cannot.
        chain_seconds: between two batches of the audit chain for a night; what a night takes in is added by then.
    """

    body: int = MAX_BODY
    events: int = 120_000
    failures: int = 60
    all_failures: int = 1000
    chain_seconds: float = 5.0


def _made_up() -> tuple[str, ...]:
    """As many secrets as a workflow may have, which nobody knows."""
    return tuple("whsec_" + base64.b64encode(token_bytes(SHORTEST)).decode() for _ in range(MOST_SECRETS))


@dataclass
class HookReceiver:
    """What the door stands on.

    Attributes:
        store: keeps events.
        secrets: a workflow's secrets, none where it has no door; names come from the address and may be anything.
        clock: seconds that only go forward.
    """

    store: InboundStore
    secrets: Callable[[str], Sequence[str]]
    limits: HookLimits = field(default_factory=HookLimits)
    clock: Callable[[], float] = time.monotonic
    _nobodys: tuple[str, ...] = field(default_factory=_made_up)
    _limiter: FixedWindowRateLimiter = field(default_factory=lambda: FixedWindowRateLimiter(MemoryStorage()))
    _chained: dict[tuple[str, str], float] = field(default_factory=dict)

    def is_signed(self, workflow: str, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether the workflow has a receiver, and one of its secrets signed this. As many secrets are tried for every
        name, so that the time it takes does not tell which workflows there are."""
        secrets = tuple(self.secrets(workflow))
        tried = (*secrets, *self._nobodys)[: len(self._nobodys)]
        return is_signed(body, headers, tried) and bool(secrets)

    def may_fail(self, address: str) -> bool:
        """Counts a refused signature; False when this address, or all of them together, had too many."""
        one, all_of_them = self.limits.failures, self.limits.all_failures
        return self._limiter.hit(RateLimitItemPerMinute(one), "failures", address) and self._limiter.hit(
            RateLimitItemPerMinute(all_of_them), "failures"
        )

    def may_post(self, workflow: str) -> bool:
        """Counts a signed event; False when the workflow has had too many."""
        return self._limiter.hit(RateLimitItemPerMinute(self.limits.events), "events", workflow)

    def chain_is_due(self, workflow: str, night: str) -> bool:
        """Whether the night's events are to join the audit chain now: one batch of many costs little more than one
        of one, and holds up everybody else who writes to the chain just as long."""
        now, key = self.clock(), (workflow, night)
        if now - self._chained.get(key, -self.limits.chain_seconds) < self.limits.chain_seconds:
            return False
        self._chained[key] = now
        return True


class _Refused(Exception):
    """Ends a request with an answer; `reason` is counted, and `told` is all that the sender learns."""

    def __init__(self, status: int, reason: str, detail: str, workflow: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.told, self.workflow = status, reason, detail, workflow


def build_hooks_router(receiver: HookReceiver) -> APIRouter:
    """The two addresses, to be mounted without any login in front of them."""
    router = APIRouter(tags=["hooks"])

    async def take(workflow: str, kind: EventKind, request: Request, later: BackgroundTasks) -> JSONResponse:
        try:
            receipt = await _receive(receiver, workflow, kind, request)
        except _Refused as refused:
            if refused.reason:
                later.add_task(_count, receiver, refused)
            headers = {"Retry-After": "60"} if refused.status in (429, 503) else None
            return JSONResponse({"detail": refused.told}, refused.status, headers, background=later)
        if receiver.chain_is_due(workflow, receipt.night):
            later.add_task(_chain, receiver, workflow, receipt.night)
        content = {"status": receipt.verdict.value, "night": receipt.night}
        return JSONResponse(content, 202, background=later)

    @router.post("/hooks/{workflow}/arrivals", status_code=202)
    async def arrivals(workflow: str, request: Request, later: BackgroundTasks) -> JSONResponse:
        """Takes cases in, as rows of the workflow's own source."""
        return await take(workflow, EventKind.ARRIVAL, request, later)

    @router.post("/hooks/{workflow}/outcomes", status_code=202)
    async def outcomes(workflow: str, request: Request, later: BackgroundTasks) -> JSONResponse:
        """Takes in what turned out to be true of cases."""
        return await take(workflow, EventKind.OUTCOME, request, later)

    return router


def build_hooks_app(receiver: HookReceiver) -> FastAPI:
    """The door alone, without the desk: no pages, no documentation, nothing but the two addresses."""
    app = FastAPI(title="Webhook receiver", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(build_hooks_router(receiver))
    return app


async def _receive(receiver: HookReceiver, workflow: str, kind: EventKind, request: Request) -> Receipt:
    body = await _body(request, receiver.limits.body)
    if not receiver.is_signed(workflow, body, request.headers):
        if not receiver.may_fail(request.client.host if request.client else ""):
            raise _Refused(429, "", "too many requests; slow down")
        raise _Refused(401, "bad signature", "not accepted", workflow if receiver.secrets(workflow) else "")
    if not receiver.may_post(workflow):
        raise _Refused(429, "too many", "too many requests; send the same event again in a minute", workflow)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Refused(415, "no json", "send content-type: application/json", workflow)
    try:
        event = read_event(body, kind, workflow, request.headers["webhook-id"])
        receipt = await run_in_threadpool(receiver.store.accept, event)
    except EventRefused as refused:
        raise _Refused(422, "cannot be kept", str(refused), workflow) from None
    except PipelineError as error:
        # nothing was kept, so the sender must come again; why is ours to know
        _log.error("an event of %s could not be kept: %s", workflow, error)
        reason = "" if isinstance(error, DatabaseUnreachable) else "not kept"
        raise _Refused(503, reason, "not kept; send the same event again later", workflow) from None
    if receipt.verdict == EventVerdict.CONFLICT:
        raise _Refused(409, "", "this webhook-id was used before with another body; give every event its own")
    return receipt


async def _body(request: Request, most: int) -> bytes:
    """The raw body; it is not read beyond what the door takes."""
    too_large = _Refused(413, "", f"an event may have {most // 1024} KiB; send several")
    length = request.headers.get("content-length", "0")
    # a number of thousands of digits is none that Python reads
    if not length.isdecimal() or len(length) > 12 or int(length) > most:
        raise too_large
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise too_large
            parts.append(part)
    except ClientDisconnect:
        raise _Refused(400, "", "the body ended early") from None
    return b"".join(parts)


def _count(receiver: HookReceiver, refused: _Refused) -> None:
    _after(lambda: receiver.store.refuse(refused.workflow, refused.reason))


def _chain(receiver: HookReceiver, workflow: str, night: str) -> None:
    _after(lambda: receiver.store.chain(workflow, night))


def _after(work: Callable[[], Any]) -> None:
    """What is done when the sender has its answer: a database that is away then costs it nothing."""
    try:
        work()
    except PipelineError as error:
        _log.warning("left for later: %s", error)
