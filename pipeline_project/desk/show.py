"""Pages: templates, and how numbers, times and words look in them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline_project.domain.core.nights import shown_locally
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.domain.core.reasons import words_of
from pipeline_project.domain.review.tasks import MOST_COUNTED

HERE = Path(__file__).parent


def money(value: float | None, currency: str = "") -> str:
    """`1,234.50 EUR`; nothing known is a dash."""
    return "–" if value is None else f"{value:,.2f} {currency}".strip()


def moment(value: datetime | str | None) -> str:
    """A time to the minute, in UTC."""
    if value is None:
        return "–"
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def readable(value: Any) -> str:
    """A slug as people read it."""
    return "–" if value is None else str(value).replace("_", " ")


def counted(values: Iterable[int]) -> str:
    """How many tasks there are of some states together; with a plus where they were not counted to the end."""
    values = list(values)
    beyond = "+" if any(value > MOST_COUNTED for value in values) else ""
    return f"{sum(min(value, MOST_COUNTED) for value in values):,}{beyond}"


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def shown(value: Any) -> str:
    """A field's value: a dash where nothing is, whole numbers without decimals."""
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.2f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)


def left(until: datetime | None) -> int:
    """Whole seconds until a time, at least 0."""
    return 0 if until is None else max(0, int((until - datetime.now(UTC)).total_seconds()))


ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
ENVIRONMENT.filters.update(
    money=money, moment=moment, words=readable, share=share, shown=shown, left=left, locally=shown_locally,
    counted=counted,
    why=lambda reason: words_of(reason).desk,
)  # fmt: skip

#: The pages in the bar, with the roles that see them.
BAR = (
    ("/", "Queue", frozenset({PersonRole.REVIEWER, PersonRole.APPROVER, PersonRole.AUDITOR, PersonRole.ADMIN})),
    ("/clusters", "Clusters", frozenset({PersonRole.REVIEWER})),
    ("/approvals", "Second person", frozenset({PersonRole.APPROVER})),
    ("/nights", "Nights", frozenset(PersonRole)),
    ("/actions", "Actions", frozenset({PersonRole.APPROVER, PersonRole.AUDITOR, PersonRole.ADMIN})),
    ("/models", "Models", frozenset({PersonRole.MODEL_APPROVER, PersonRole.AUDITOR, PersonRole.ADMIN})),
    ("/audit", "Audit", frozenset({PersonRole.AUDITOR, PersonRole.ADMIN})),
    ("/people", "People", frozenset({PersonRole.ADMIN})),
)


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page; the bar shows what the person's roles open."""
    session = getattr(request.state, "session", None)
    roles = session.person.roles if session else frozenset()
    bar = [(path, title) for path, title, needed in BAR if needed & roles]
    content = ENVIRONMENT.get_template(template).render(
        session=session, csrf=session.csrf if session else "", bar=bar, here=request.url.path, roles=roles, **context
    )
    return HTMLResponse(content, status)
