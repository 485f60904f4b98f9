"""The house as it is carried elsewhere: where its databases and files are; nothing is migrated by that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_project.operations.moving.backup import Source
    from pipeline_project.operations.moving.restore import Place
    from pipeline_project.reconcile.scope import Link
    from pipeline_project.settings import Settings
    from pipeline_project.spec import WorkflowSpec


#: After every night: who decides by the last word of all.
LAST_OF_ALL = "9999-12-31"


def house_of(settings: Settings) -> Source:
    """What a backup reads; the embedded server is started, what is missing on one's own is created.

    Raises:
        DatabaseUnreachable, DatabaseMissing: with the URL (never its password) and what to do.
    """
    from pipeline_project.operations.moving.backup import Source
    from resources.postgres.databases import databases
    from resources.registry.database import as_mlflow_says

    return Source(settings, databases(settings), as_mlflow_says(settings.models))


def place_of(settings: Settings) -> Place:
    """Where a restore writes.

    Raises:
        As `house_of`.
    """
    from pipeline_project.operations.moving.restore import Place
    from resources.postgres.databases import databases
    from resources.registry.database import as_mlflow_says

    return Place(settings, databases(settings), as_mlflow_says(settings.models))


def checked_parts(settings: Settings, specs: Sequence[WorkflowSpec]) -> list[Link]:
    """Whether ledger, lake, registry, Dagster, chain and keys are of one age, and whether each champion can be read."""
    from pipeline_project.container.night import open_registry
    from pipeline_project.domain.core.errors import ModelUnavailable
    from pipeline_project.operations.reconciliation import declared, where
    from pipeline_project.reconcile.run import parts
    from pipeline_project.reconcile.scope import Link as NewLink
    from resources.ledger.nights.ledger import PostgresLedger

    places = where(settings)
    links = list(parts(places, [declared(spec, settings) for spec in specs]))
    registry, ledger = open_registry(settings), PostgresLedger(places.ledger_url)
    for spec in specs:
        champion = ledger.champion(spec.name, LAST_OF_ALL)
        if champion is None:
            continue
        link = NewLink(spec.name, "champion ↔ its files", (1, 1))
        try:
            registry.load(champion)
        except ModelUnavailable as error:
            link.expect_none(str(error), [f"version {champion.version}"])
        links.append(link)
    return links
