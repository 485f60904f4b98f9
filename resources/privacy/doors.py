"""The keyring and the sealed lake of these settings; neither needs Dagster."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline_project.domain.privacy.fields import PersonalFields
from pipeline_project.settings import Settings

if TYPE_CHECKING:
    from resources.privacy.keyring import PostgresKeyring
    from resources.privacy.lake import SealedLake


@lru_cache(maxsize=4)
def open_keyring(settings: Settings) -> PostgresKeyring:
    """The keyring of these settings; the ledger's database is looked for now."""
    from resources.postgres import databases, engine_of
    from resources.privacy.keyring import PostgresKeyring

    return PostgresKeyring(engine_of(databases(settings).ledger_url), settings.keys)


@lru_cache(maxsize=4)
def open_sealed_lake(settings: Settings) -> SealedLake:
    """The lake of these settings; a database is looked for when the first personal value is met, not before."""
    from resources.privacy.lake import SealedLake

    return SealedLake(settings.lake_url, personal_of(settings), lambda: open_keyring(settings))


def personal_of(settings: Settings) -> Callable[[str], PersonalFields | None]:
    """Tells what is personal in each workflow; the specs are read when the first is asked for."""

    @lru_cache(maxsize=1)
    def declared() -> dict[str, PersonalFields | None]:
        from pipeline_project.spec.load import load_all

        specs = load_all(settings.workflow_folders).specs
        return {name: PersonalFields.of(spec.case_schema) for name, spec in specs.items()}

    return lambda workflow: declared().get(workflow)
