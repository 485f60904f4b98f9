"""A service that takes actions as signed requests, after the Standard Webhooks."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from pipeline_project.domain.core.variables import Use
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus, delivery_status
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.actions import HttpDestination
from resources.destinations import declared_as
from resources.destinations.deadline import GRACE, cancelled_after
from resources.keys.action_secrets import PREFIX, signing_secret
from resources.sources.places import allowed, environment, expand

if TYPE_CHECKING:
    import httpx

#: How much of an answer is read, in bytes, and how much of it is kept as a receipt, in characters.
_BODY, _RECEIPT = 16_384, 500
_HIDDEN, _SHORTEST = "***", 6
_SERVER_FAILED = 500
#: By the Standard Webhooks: seconds between two clocks from which on a signature is refused, and what may say that.
_TOLERANCE, _REFUSED_FOR_ITS_TIME = 300.0, (400, 401, 403)
#: The trace event after which the service may have what was sent.
_LEAVING = "send_request_headers.started"


@dataclass
class _Exchange:
    """One request, as far as it came: an answer's status is its word, however little of its body follows.

    Attributes:
        left: whether something may have reached the service.
        status: None where no answer came.
        date: what the service says its time is.
        body: its beginning.
        hidden: what of the request is no word of the service's: one that repeats what it was sent is kept without it.
    """

    left: bool = False
    status: int | None = None
    retry_after: str = ""
    date: str = ""
    body: bytearray = field(default_factory=bytearray)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    async def note(self, event: str, _: Any) -> None:
        """What httpx tells on the way."""
        self.left = self.left or event.endswith(_LEAVING)

    @property
    def response_text(self) -> str:
        text = bytes(self.body).decode("utf-8", "replace")
        for secret in self.hidden:
            text = text.replace(secret, _HIDDEN)
        return text[:_RECEIPT]


@declared_as(HttpDestination)
@dataclass(frozen=True)
class HttpService:
    """One service; a connection is kept open between actions.

    Attributes:
        timeout: seconds for one whole exchange: connecting, sending, the whole answer.
    """

    url: str = field(repr=False)
    secret: str = field(repr=False)
    lookup: str | None = field(repr=False)
    remembers_seconds: float
    timeout: float
    attempts: int

    @classmethod
    def of(cls, part: HttpDestination, spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str]) -> Self:
        variables = environment(settings, environ)
        url = expand(part.url, variables)
        allowed(part.secret, variables, Use.SECRET)
        return cls(
            url=url,
            secret=signing_secret(settings.keys, environ, part.secret, made_here=local(url)),
            lookup=None if part.lookup is None else expand(part.lookup, variables),
            remembers_seconds=part.remembers_hours * 3600,
            timeout=part.timeout_seconds,
            attempts=part.attempts,
        )

    @property
    def longest_seconds(self) -> float:
        # before it is sent again the service may be asked what became of it
        exchanges = 1 if self.lookup is None else 2
        return exchanges * (self.timeout + GRACE)

    @cached_property
    def _hidden(self) -> tuple[str, ...]:
        """What a service may know of us and nobody else, in every spelling in which a request holds it."""
        return spellings(self.secret, self.url, self.lookup or "")

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        import httpx

        # redirects are not followed: a signed payment goes where it was meant to go, or nowhere. An answer that is
        # packed could grow without end when it is unpacked, so none is asked for
        return httpx.AsyncClient(
            timeout=self.timeout, follow_redirects=False, trust_env=False, headers={"accept-encoding": "identity"}
        )

    def send(self, action: ClaimedAction) -> DeliveryResult:
        """Posts the action under its key; no answer in time means that nobody knows."""
        from standardwebhooks import Webhook

        now, body = datetime.now(UTC), action.body
        headers = {
            "content-type": "application/json",
            "webhook-id": str(action.key),
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(str(action.key), now, body.decode()),
        }
        exchange, went_wrong = self._exchanged("POST", self.url, body, headers)
        if exchange.status is not None:
            return _clocks(exchange, exchange.status, now) or _meaning(exchange, exchange.status)
        if not exchange.left:
            return DeliveryResult(DeliveryStatus.AGAIN, "unreachable", f"{went_wrong}: the service was not reached")
        return DeliveryResult(
            DeliveryStatus.UNKNOWN, "no_answer", f"{went_wrong}: sent, but no answer came", maybe=True
        )

    def look_up(self, action: ClaimedAction) -> DeliveryResult | None:
        if self.lookup is None:
            return None
        exchange, went_wrong = self._exchanged("GET", self.lookup.replace("{key}", str(action.key)))
        if exchange.status is None:
            return DeliveryResult(DeliveryStatus.UNKNOWN, "no_answer", f"{went_wrong}: the fate could not be asked")
        if exchange.status == HTTPStatus.NOT_FOUND:
            return DeliveryResult(DeliveryStatus.AGAIN, "never_seen", "the service has never seen it")
        if delivery_status(exchange.status) is DeliveryStatus.DONE:
            return DeliveryResult(DeliveryStatus.DONE, receipt={"looked_up": exchange.response_text})
        return DeliveryResult(
            DeliveryStatus.UNKNOWN, "no_answer", f"asked for its fate, the service said {exchange.status}"
        )

    def _exchanged(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[_Exchange, str]:
        """What came of a request within its time, and the name of what went wrong, if anything."""
        import httpx

        exchange = _Exchange(hidden=self._hidden)
        try:
            cancelled_after(self.timeout, lambda: self._exchange(exchange, method, url, body, headers))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            return exchange, type(error).__name__
        return exchange, ""

    async def _exchange(
        self, exchange: _Exchange, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> None:
        watched = {"trace": exchange.note}
        async with self._client.stream(method, url, content=body, headers=headers, extensions=watched) as answer:
            exchange.retry_after, exchange.date = answer.headers.get("retry-after", ""), answer.headers.get("date", "")
            exchange.status = answer.status_code
            async for part in answer.aiter_raw():
                exchange.body += part[: _BODY - len(exchange.body)]
                if len(exchange.body) >= _BODY:
                    break

    def remembers(self, seconds: float) -> bool:
        return seconds < self.remembers_seconds


def _clocks(exchange: _Exchange, status: int, now: datetime) -> DeliveryResult | None:
    """A refusal whose reason may be that the clocks differ, which is over once they are set; None where they agree."""
    if status not in _REFUSED_FOR_ITS_TIME:
        return None
    try:
        theirs = parsedate_to_datetime(exchange.date)
        apart = (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    seconds = round(apart.total_seconds())
    if abs(seconds) <= _TOLERANCE:
        return None
    detail = f"the service said {status} and its clock and ours are {abs(seconds)} seconds apart; set this machine's"
    return DeliveryResult(DeliveryStatus.AGAIN, "clocks_differ", detail)


def _meaning(exchange: _Exchange, status: int) -> DeliveryResult:
    became = delivery_status(status)
    if became is DeliveryStatus.DONE:
        return DeliveryResult(became, receipt={"status": status, "said": exchange.response_text})
    detail = f"the service said {status}"
    # a server that fails may do so after the effect; one that is busy or refuses has done nothing
    return DeliveryResult(
        became, f"http_{status}", detail, wait=_asked_wait(exchange.retry_after), maybe=status >= _SERVER_FAILED
    )


def _asked_wait(retry_after: str) -> float | None:
    try:
        seconds = float(retry_after)
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def spellings(secret: str, *urls: str) -> tuple[str, ...]:
    """A secret, and the names, passwords and values in addresses, as a request may spell them; the longest first."""
    forms = {secret, secret.removeprefix(PREFIX)}
    for parts in map(urlsplit, urls):
        given = [part for part in (parts.username, parts.password) if part]
        if parts.password is not None:
            plain = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
            forms.add(base64.b64encode(plain.encode()).decode())
        given += [value for pair in parts.query.split("&") if (value := pair.partition("=")[2])]
        for value in given:
            forms |= {value, unquote(value), unquote_plus(value), quote(unquote(value), safe="")}
    # what is shorter says nothing by itself, and would be struck from ordinary words
    return tuple(sorted((form for form in forms if len(form) >= _SHORTEST), key=lambda form: (-len(form), form)))


def local(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
