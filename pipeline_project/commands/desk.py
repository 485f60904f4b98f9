"""`pipeline desk`: the review desk with the webhook door, over the concrete resources."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import AppContext, prepare, workflows
from pipeline_project.commands.shared.console import Exit, complain
from pipeline_project.commands.shared.options import (
    command_app,
    example,
    port_option,
)
from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.serving.ports import Ports
from resources.files.small_files import made_once, set_aside

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipeline_project.desk.backend import Doors, Frame, Provider
    from pipeline_project.ports.sources import PhotoSource
    from pipeline_project.spec import WorkflowSpec

#: Connections of the desk: as many people at the same moment as may wait for the database.
CONNECTIONS = 16
#: Random bytes in what signs the sign-in's cookie.
_SECRET_BYTES = 48
_PROVIDER = ("PIPELINE_OIDC_ISSUER", "PIPELINE_OIDC_CLIENT_ID", "PIPELINE_OIDC_CLIENT_SECRET")

app = command_app()


@app.command(
    epilog=example("pipeline desk", "pipeline desk --port 3104"),
)
def desk(port: Annotated[int, port_option("The desk's.")] = 3004) -> None:
    """Serves the review desk and the webhook door on this machine until Ctrl-C."""
    raise typer.Exit(serve_desk(port))


def serve_desk(port: int) -> int:
    """Serves the desk on this machine until Ctrl-C; put a proxy with TLS before it for others."""
    import uvicorn

    app = open_desk(prepare(), port)
    complain(f"The desk is at http://127.0.0.1:{port}; Ctrl-C stops it.")
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="warning", access_log=False, server_header=False,
        proxy_headers=True, forwarded_allow_ips="127.0.0.1",
    )  # fmt: skip
    return Exit.DONE


def open_desk(context: AppContext, port: int) -> FastAPI:
    """The desk of a home, with every guard and every room."""
    from pipeline_project.commands.hooks import open_door
    from pipeline_project.desk.app import build_app
    from pipeline_project.desk.routes.hooks import PREFIX, build_hooks_router

    specs = workflows().specs
    app = build_app(open_doors(context, specs), open_frame(context, port), elsewhere=(PREFIX,))
    # after the desk's own rooms: the door's ticket is a signature, not a session
    app.include_router(build_hooks_router(open_door()))
    return app


def open_doors(context: AppContext, specs: Mapping[str, WorkflowSpec]) -> Doors:
    """What the desk stands on: the ledger as the role `pipeline_desk`, photos, keys."""
    from sqlalchemy import text

    from pipeline_project.desk.backend import Desk, Doors
    from resources.ledger.audit.trail import AuditTrail, Sought
    from resources.ledger.models.proposals import PostgresPromotions
    from resources.ledger.nights.ledger import PostgresLedger
    from resources.ledger.nights.story import PostgresStories
    from resources.ledger.outbox.overview import PostgresOutbox
    from resources.ledger.people.accounts import PostgresPeople
    from resources.ledger.people.sessions import PostgresSessions
    from resources.ledger.privacy.keyring import PostgresKeyring
    from resources.ledger.review.answers import ReviewAnswers
    from resources.ledger.review.clusters import PostgresClusters
    from resources.ledger.review.repeats import PostgresRepeats
    from resources.ledger.review.tasks import ReviewTasks
    from resources.ledger.roles import DESK
    from resources.ledger.unit_of_work import unit_of_work
    from resources.postgres.databases import pooled_engine, url_as

    url = url_as(context.databases.ledger_url, DESK)
    engine = partial(pooled_engine, size=CONNECTIONS)

    def alive() -> None:
        with unit_of_work(engine(url)) as connection:
            connection.execute(text("SELECT 1"))

    return Doors(
        people=PostgresPeople(url, engine),
        sessions=PostgresSessions(url, engine),
        tasks=ReviewTasks(url, engine),
        answers=ReviewAnswers(url, engine),
        clusters=PostgresClusters(url, engine),
        repeats=PostgresRepeats(url, engine),
        outbox=PostgresOutbox(url, engine),
        stories=PostgresStories(url, engine),
        nights=PostgresLedger(url),
        trail=AuditTrail(url),
        keyring=PostgresKeyring(engine(url), context.settings.keys),
        models=PostgresPromotions(url, engine),
        desks={name: Desk(spec.review_terms, spec.action_terms, spec.rollout) for name, spec in specs.items()},
        photos=partial(_photos, specs, context),
        sought=Sought,
        alive=alive,
        reports_url=context.settings.reports_url,
    )


def open_frame(context: AppContext, port: int) -> Frame:
    """How the desk is reached: at `PIPELINE_DESK_URL`, or on this machine."""
    from pipeline_project.desk.backend import Frame

    url = context.settings.desk_url
    if port != Ports.desk and not os.environ.get("PIPELINE_DESK_URL"):
        url = f"http://127.0.0.1:{port}"
    return Frame(url=url, secret=_secret(context.settings.keys), provider=provider_of(os.environ))


def provider_of(environ: Mapping[str, str]) -> Provider | None:
    """The OpenID provider that the environment names, or None for local accounts.

    Raises:
        SettingInvalid: only some of its variables are set, or it is not reached over TLS.
    """
    from urllib.parse import urlsplit

    from pipeline_project.desk.backend import Provider

    given = [environ.get(name) for name in _PROVIDER]
    if not any(given):
        return None
    issuer, client, secret = given
    if not (issuer and client and secret):
        missing = ", ".join(name for name, value in zip(_PROVIDER, given, strict=True) if not value)
        raise SettingInvalid(f"{missing} is not set; people sign in at a provider with all three, or here with none")
    parts = urlsplit(issuer)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise SettingInvalid("PIPELINE_OIDC_ISSUER must begin with https://")
    return Provider(issuer, client, secret)


def _photos(specs: Mapping[str, WorkflowSpec], context: AppContext, workflow: str) -> PhotoSource | None:
    from resources.sources import photo_source

    spec = specs.get(workflow)
    return photo_source(spec, context.settings) if spec and spec.image else None


def _secret(keys: Path) -> str:
    """What signs the sign-in's short-lived cookie; made once, so that a restart breaks no sign-in."""

    def new_secret() -> bytes:
        return secrets.token_urlsafe(_SECRET_BYTES).encode()

    file = keys / "desk.secret"
    kept = made_once(file, new_secret).decode("ascii", errors="replace").strip()
    if len(kept) < _SECRET_BYTES:
        # empty or half, from a start that was killed or a disk that was full: anybody could guess what it signs
        set_aside(file)
        kept = made_once(file, new_secret).decode("ascii")
    return kept
