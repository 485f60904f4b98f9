"""The desk as an application: routes, guards, and what people see when something goes wrong."""

from __future__ import annotations

import logging
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse
from sqlalchemy.exc import StatementError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pipeline_project.desk.access import declarations, public
from pipeline_project.desk.backend import DeskPorts, Frame
from pipeline_project.desk.dependencies import SignInFirst
from pipeline_project.desk.routes import actions, approvals, audit, case, cluster, login, models, nights, people, queue
from pipeline_project.desk.security import guard
from pipeline_project.desk.show import HERE, page
from pipeline_project.domain.core.errors import (
    ActionRefused,
    AnswerRefused,
    ClusterRefused,
    PersonRefused,
    PipelineError,
    PromotionRefused,
    SecondPersonNeeded,
    SignInRefused,
    StaleClaim,
    TaskTaken,
    ValueRefused,
)

log = logging.getLogger("pipeline.desk")

#: What people may mend: the status, by the error.
MENDABLE = {StaleClaim: 409, TaskTaken: 409, SecondPersonNeeded: 403, PromotionRefused: 409}
REFUSED = (AnswerRefused, ActionRefused, ClusterRefused, PersonRefused, SignInRefused, ValueRefused)
STATIC = {"desk.css": "text/css", "desk.js": "text/javascript", "mark.svg": "image/svg+xml"}


def build_app(ports: DeskPorts, frame: Frame, elsewhere: tuple[str, ...] = ()) -> FastAPI:
    """The desk.

    Args:
        elsewhere: beginnings of paths that guard themselves, such as the webhook receiver's.

    Raises:
        RuntimeError: a route does not declare who may open it.
    """
    app = FastAPI(title="Desk", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.ports, app.state.frame = ports, frame
    for room in (login, queue, case, cluster, approvals, nights, actions, models, audit, people):
        # the routes themselves, not a wrapper around them: `declarations` looks at each
        app.router.routes.extend(room.router.routes)

    @app.get("/static/{name}", dependencies=[public()])
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        return Response((HERE / "static" / name).read_bytes(), media_type=STATIC[name])

    @app.get("/livez", dependencies=[public()])
    async def alive() -> Response:
        # whether this process turns at all: a database that is away is no reason to start it again
        return PlainTextResponse("ok")

    @app.get("/healthz", dependencies=[public()])
    async def health() -> Response:
        await run_in_threadpool(ports.alive)
        return PlainTextResponse("ok")

    _error_pages(app)
    guard(app, ports, frame, elsewhere)
    # carries a provider's sign-in over to its answer, for ten minutes; sessions themselves are the database's
    app.add_middleware(
        SessionMiddleware, secret_key=frame.secret, session_cookie=frame.own_cookie("desk_sign_in"), max_age=600,
        same_site="lax", https_only=frame.secure,
    )  # fmt: skip
    host = urlsplit(frame.url).hostname or "127.0.0.1"
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list({host, "127.0.0.1", "localhost"}))
    app.state.declared = list(declarations(app))
    return app


def _error_pages(app: FastAPI) -> None:
    """What people see when something goes wrong: what to do next, and nothing of the inside."""

    @app.exception_handler(SignInFirst)
    async def sign_in(request: Request, _: Exception) -> Response:
        if request.method != "GET":
            return page(request, "error.html", 401, title="Your session has ended", words="Sign in, then try again.")
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}", 303)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: Exception) -> Response:
        code = error.status_code if isinstance(error, HTTPException) else 500
        explanations = {404: ("Nothing is here", "The address may be old; go back to the queue.")}
        detail = error.detail if isinstance(error, HTTPException) else ""
        title, explanation = explanations.get(code, ("That is not possible", str(detail)))
        return page(request, "error.html", code, title=title, words=explanation)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, _: Exception) -> Response:
        return page(
            request,
            "error.html",
            422,
            title="That form is not complete",
            words="Go back and fill in what is missing.",
        )

    @app.exception_handler(StatementError)
    async def beyond(request: Request, error: Exception) -> Response:
        # what is no day names nothing that is kept; everything else is a fault of ours
        if not isinstance(getattr(error, "orig", None), ValueError):
            raise error
        return page(request, "error.html", 422, title="That cannot be taken", words="A value here is out of range.")

    @app.exception_handler(PipelineError)
    async def mendable(request: Request, error: Exception) -> Response:
        code = next((status for kind, status in MENDABLE.items() if isinstance(error, kind)), None)
        if code is None:
            code = 422 if isinstance(error, REFUSED) else 503
        title = {409: "Somebody else was quicker", 403: "A second person is needed", 503: "The desk is not ready"}
        form = await request.form() if request.method == "POST" else {}
        note = str(form.get("note") or "")
        return page(
            request, "error.html", code, title=title.get(code, "That cannot be taken"), words=str(error), note=note
        )
