"""Opens what was posted, by the settings alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline_project.domain.intake.inbound.events import EventKind, InboundTerms, PostedEvent
from pipeline_project.settings import Settings
from pipeline_project.spec.workflow import WorkflowSpec
from resources.ledger.inbound.sealing import RowSealer
from resources.ledger.inbound.store import PostgresInbound

#: Events that are kept at the same time; more wait for a connection.
CONNECTIONS = 8


@dataclass(frozen=True)
class LazyPosted:
    """`PostedEvents` of these settings; the database is looked for on first use."""

    settings: Settings

    def events(self, workflow: str, night: str, kind: EventKind) -> Sequence[PostedEvent]:
        """As `PostedEvents.events`."""
        return open_inbound(self.settings).events(workflow, night, kind)

    def prints(self, workflow: str, night: str | None = None) -> dict[str, str]:
        """As `PostedEvents.prints`."""
        return open_inbound(self.settings).prints(workflow, night)


@lru_cache(maxsize=4)
def open_inbound(settings: Settings) -> PostgresInbound:
    """What was posted to these settings' ledger; it holds no connection."""
    from resources.postgres.databases import databases, pooled_engine

    return PostgresInbound(pooled_engine(databases(settings).ledger_url), sealer(settings))


def open_store(settings: Settings, specs: Iterable[WorkflowSpec]) -> PostgresInbound:
    """The store behind the door of these workflows, for a server: its connections stay open, and may do no more in the
    ledger than the desk."""
    from resources.ledger.roles import DESK
    from resources.postgres.databases import databases, pooled_engine, url_as

    engine = pooled_engine(url_as(databases(settings).ledger_url, DESK), CONNECTIONS)
    return PostgresInbound(engine, sealer(settings), terms_of(specs))


def sealer(settings: Settings) -> RowSealer:
    """What seals posted rows in this home."""
    from pipeline_project.container.privacy import open_keyring
    from resources.ledger.roles import DESK

    return RowSealer(settings.keys, open_keyring(settings, DESK))


def terms_of(specs: Iterable[WorkflowSpec]) -> dict[str, InboundTerms]:
    """What the door has to know of each workflow, by name."""
    return {
        spec.name: InboundTerms.of(spec.name, spec.case_schema, spec.nights.first, spec.nights.last, spec.nights.every)
        for spec in specs
    }
