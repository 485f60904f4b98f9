"""Browsers that the desk knows as somebody's: what others try in that person's name does not count against them.

A browser becomes known when somebody signs in with it, or by a link that is handed to its person beforehand. What it is
given is signed, names the person and itself, and opens nothing: it only says with whom its tries are counted.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from itsdangerous import BadData, URLSafeTimedSerializer

if TYPE_CHECKING:
    from fastapi import Request, Response

    from pipeline_project.desk.backend import Frame

COOKIE, PATH = "desk_known", "/sign-in"
LINK = f"{PATH}/browser"
COOKIE_SECONDS, LINK_SECONDS = 90 * 24 * 3600, 7 * 24 * 3600
_LONGEST = 500


@dataclass(frozen=True)
class KnownBrowser:
    """A browser and whose it is.

    Attributes:
        person: the sign-in name.
        number: of the browser; tries are counted by it.
    """

    person: str
    number: str


def browser_of(request: Request, frame: Frame) -> KnownBrowser | None:
    """The browser that a request comes from, by its cookie or by the link that it opens."""
    if request.url.path == LINK:
        return opened(frame, request.query_params.get("for", ""))
    return _read(frame, "cookie", request.cookies.get(frame.own_cookie(COOKIE), ""), COOKIE_SECONDS)


def link(frame: Frame, person: str) -> str:
    """An address that makes the browser in which it is opened known as this person's, for a week."""
    token = _signer(frame, "link").dumps([person, secrets.token_urlsafe(12)])
    return f"{frame.url}{LINK}?for={quote(token if isinstance(token, str) else token.decode(), safe='')}"


def opened(frame: Frame, token: str) -> KnownBrowser | None:
    """The browser that a link makes; the same one however often it is opened, so that no link gives new tries."""
    return _read(frame, "link", token, LINK_SECONDS)


def new_browser(person: str) -> KnownBrowser:
    """A browser in which somebody has just signed in."""
    return KnownBrowser(person, secrets.token_urlsafe(12))


def mark(answer: Response, frame: Frame, browser: KnownBrowser) -> None:
    """Gives a browser its mark."""
    value = _signer(frame, "cookie").dumps([browser.person, browser.number])
    answer.set_cookie(
        frame.own_cookie(COOKIE), value if isinstance(value, str) else value.decode(), max_age=COOKIE_SECONDS,
        httponly=True, secure=frame.secure, samesite="lax", path=PATH,
    )  # fmt: skip


def _read(frame: Frame, what: str, value: str, seconds: int) -> KnownBrowser | None:
    if not value or len(value) > _LONGEST:
        return None
    try:
        person, number = _signer(frame, what).loads(value, max_age=seconds)
    except (BadData, ValueError, TypeError):
        return None
    return KnownBrowser(str(person), str(number))


def _signer(frame: Frame, what: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        frame.secret, salt=f"desk known {what}", signer_kwargs={"digest_method": hashlib.sha256}
    )
