"""A service that takes actions as signed requests, after the Standard Webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pipeline_project.domain.acting.pace import Answer, Fate, fate_of_status
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.acting import HttpDestination
from resources.actions.secrets import signing_secret
from resources.actions.sent import Sent
from resources.sources.places import environment, expand

if TYPE_CHECKING:
    import httpx

#: How much of an answer is kept as a receipt, in characters.
_RECEIPT = 500
_SERVER_FAILED = 500


@dataclass(frozen=True)
class HttpService:
    """One service; a connection is kept open between actions."""

    url: str
    secret: str = field(repr=False)
    lookup: str | None
    remembers_seconds: float
    timeout: float
    attempts: int

    @classmethod
    def of(cls, part: HttpDestination, spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str]) -> Self:
        known = environment(settings, environ)
        url = expand(part.url, known)
        return cls(
            url=url,
            secret=signing_secret(settings.keys, environ, part.secret, made_here=local(url)),
            lookup=None if part.lookup is None else expand(part.lookup, known),
            remembers_seconds=part.remembers_hours * 3600,
            timeout=part.timeout_seconds,
            attempts=part.attempts,
        )

    @property
    def longest_seconds(self) -> float:
        # connecting, writing and reading may each take the timeout
        return 3 * self.timeout

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        # redirects are not followed: a signed payment goes where it was meant to go, or nowhere
        return httpx.Client(timeout=self.timeout, follow_redirects=False, trust_env=False)

    def send(self, action: Sent) -> Answer:
        """Posts the action under its key; no answer in time means that nobody knows."""
        import httpx
        from standardwebhooks import Webhook

        now, body = datetime.now(UTC), action.body
        headers = {
            "content-type": "application/json",
            "webhook-id": str(action.key),
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(str(action.key), now, body.decode()),
        }
        try:
            answer = self._client.post(self.url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Answer(Fate.AGAIN, "unreachable", f"{type(error).__name__}: the service was not reached")
        except httpx.HTTPError as error:
            return Answer(Fate.UNKNOWN, "no_answer", f"{type(error).__name__}: sent, but no answer came", maybe=True)
        return self._meaning(answer)

    def look_up(self, action: Sent) -> Answer | None:
        import httpx

        if self.lookup is None:
            return None
        try:
            answer = self._client.get(self.lookup.replace("{key}", str(action.key)))
        except httpx.HTTPError as error:
            return Answer(Fate.UNKNOWN, "no_answer", f"{type(error).__name__}: the fate could not be asked")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return Answer(Fate.AGAIN, "never_seen", "the service has never seen it")
        if fate_of_status(answer.status_code) is Fate.DONE:
            return Answer(Fate.DONE, receipt={"looked_up": answer.text[:_RECEIPT]})
        return Answer(Fate.UNKNOWN, "no_answer", f"asked for its fate, the service said {answer.status_code}")

    def remembers(self, seconds: float) -> bool:
        return seconds < self.remembers_seconds

    def _meaning(self, answer: httpx.Response) -> Answer:
        fate = fate_of_status(answer.status_code)
        if fate is Fate.DONE:
            return Answer(fate, receipt={"status": answer.status_code, "said": answer.text[:_RECEIPT]})
        words = f"the service said {answer.status_code}"
        # a server that fails may do so after the effect; one that is busy or refuses has done nothing
        maybe = answer.status_code >= _SERVER_FAILED
        return Answer(fate, f"http_{answer.status_code}", words, wait=_asked_wait(answer), maybe=maybe)


def _asked_wait(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers.get("retry-after", "")))
    except ValueError:
        return None


def local(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
