"""What the dispatcher sends with: the ledger as its role, and the destinations of all workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import SettingInvalid, SourceUnreadable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pipeline_project.settings import Settings
    from pipeline_project.spec import WorkflowSpec
    from resources.destinations import Destination
    from resources.postgres.databases import Databases


def dispatcher_engine(databases: Databases, workers: int) -> Engine:
    """Connections for so many workers side by side."""
    from resources.ledger.roles import DISPATCHER
    from resources.postgres.databases import pooled_engine, url_as

    return pooled_engine(url_as(databases.ledger_url, DISPATCHER), workers + 1)


def usable_destinations(
    specs: Mapping[str, WorkflowSpec], chosen: Settings, environ: Mapping[str, str]
) -> tuple[dict[tuple[str, str], Destination], dict[tuple[str, str], str]]:
    """The destinations of all workflows, and why some cannot be used from here: their actions wait.

    One workflow's missing secret stops the actions of no other.
    """
    from resources.destinations import destination

    usable: dict[tuple[str, str], Destination] = {}
    left_alone: dict[tuple[str, str], str] = {}
    for name, spec in specs.items():
        for place, part in (spec.actions.destinations if spec.actions else {}).items():
            try:
                usable[(name, place)] = destination(part, spec, chosen, environ)
            except (SettingInvalid, SourceUnreadable) as error:
                left_alone[(name, place)] = str(error)
    return usable, left_alone
