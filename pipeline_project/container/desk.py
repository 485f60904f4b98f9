"""What the desk stands on, as the ledger's role of the desk, and how it is reached."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import SettingInvalid
from resources.keys.key_files import keys_at

if TYPE_CHECKING:
    from pipeline_project.container.owner import OwnerStores
    from pipeline_project.desk.backend import DeskPorts, Frame, Provider
    from pipeline_project.ports.sources import PhotoSource
    from pipeline_project.settings import Settings
    from pipeline_project.spec import WorkflowSpec
    from resources.ledger.people.sessions import PostgresSessions

#: Connections of the desk: as many people at the same moment as may wait for the database.
CONNECTIONS = 16
#: Random bytes in what signs the sign-in's cookie.
_SECRET_BYTES = 48
_PROVIDER = ("PIPELINE_OIDC_ISSUER", "PIPELINE_OIDC_CLIENT_ID", "PIPELINE_OIDC_CLIENT_SECRET")


def open_desk_ports(stores: OwnerStores, specs: Mapping[str, WorkflowSpec]) -> DeskPorts:
    """What the desk stands on: the ledger as the role `pipeline_desk`, photos, keys."""
    from sqlalchemy import text

    from pipeline_project.desk.backend import Desk, DeskPorts
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

    settings = stores.settings
    url = url_as(stores.databases.ledger_url, DESK)
    engine = partial(pooled_engine, size=CONNECTIONS)

    def alive() -> None:
        with unit_of_work(engine(url)) as connection:
            connection.execute(text("SELECT 1"))

    return DeskPorts(
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
        keyring=PostgresKeyring(engine(url), settings.keys),
        models=PostgresPromotions(url, engine),
        desks={
            name: Desk(spec.review_terms, spec.action_terms, spec.rollout, spec.nights.time_zone, spec.nights.every)
            for name, spec in specs.items()
        },
        photos=partial(_photos, specs, settings),
        sought=Sought,
        alive=alive,
        reports_url=settings.reports_url,
    )


def open_sessions(settings: Settings) -> PostgresSessions:
    """Who is signed in at the desk, for a server that stands behind its sign-in."""
    from resources.ledger.people.sessions import PostgresSessions
    from resources.ledger.roles import DESK
    from resources.postgres.databases import databases, pooled_engine, url_as

    return PostgresSessions(url_as(databases(settings).ledger_url, DESK), partial(pooled_engine, size=4))


def open_frame(settings: Settings, url: str, environ: Mapping[str, str]) -> Frame:
    """How the desk is reached, and where people sign in."""
    from pipeline_project.desk.backend import Frame

    return Frame(url, desk_secret(settings.keys), provider_of(environ), settings.tenant)


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


def _photos(specs: Mapping[str, WorkflowSpec], settings: Settings, workflow: str) -> PhotoSource | None:
    from resources.sources import photo_source

    spec = specs.get(workflow)
    return photo_source(spec, settings) if spec and spec.reads_files else None


def desk_secret(keys: Path | str) -> str:
    """What signs the sign-in's short-lived cookie; made once, so that a restart breaks no sign-in."""

    def new_secret() -> bytes:
        return secrets.token_urlsafe(_SECRET_BYTES).encode()

    key_files, name = keys_at(keys), "desk.secret"
    secret = key_files.made_once(name, new_secret).decode("ascii", errors="replace").strip()
    if len(secret) < _SECRET_BYTES:
        # empty or half, from a start that was killed or a disk that was full: anybody could guess what it signs
        key_files.set_aside(name)
        secret = key_files.made_once(name, new_secret).decode("ascii")
    return secret
