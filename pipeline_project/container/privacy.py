"""The keyring and the sealed lake of these settings; neither needs Dagster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import WorkflowUnknown
from pipeline_project.domain.privacy.fields import PersonalFields
from pipeline_project.settings import Settings
from pipeline_project.spec.load import SHIPPED, load_all
from resources.ledger.roles import NIGHTS

if TYPE_CHECKING:
    from resources.lake.sealed import SealedLake
    from resources.ledger.privacy.keyring import PostgresKeyring


@lru_cache(maxsize=4)
def open_keyring(settings: Settings, role: str = NIGHTS) -> PostgresKeyring:
    """The keyring of these settings for one of the ledger's roles; the database is looked for now.

    Services may make keys and never change one.
    """
    from resources.ledger.privacy.keyring import PostgresKeyring
    from resources.postgres.databases import databases, pooled_engine, url_as

    return PostgresKeyring(pooled_engine(url_as(databases(settings).ledger_url, role)), settings.keys)


@lru_cache(maxsize=4)
def open_sealed_lake(settings: Settings) -> SealedLake:
    """The lake of these settings; a database is looked for when the first personal value is met, not before."""
    from resources.lake.sealed import SealedLake

    return SealedLake(settings.lake_url, personal_of(settings), lambda: open_keyring(settings))


def personal_of(settings: Settings) -> Callable[[str], PersonalFields | None]:
    """Tells what is personal in a workflow by its spec as it stands, and refuses to guess where there is none to read.

    Raises:
        WorkflowUnknown: no spec declares the workflow, or it has mistakes.
    """

    @lru_cache(maxsize=1)
    def declared(_: tuple[tuple[str, int, int], ...]) -> dict[str, PersonalFields | None]:
        specs = load_all(settings.workflow_folders, settings.tenant).specs
        return {name: PersonalFields.of(spec.case_schema, spec.feature_plan.masked) for name, spec in specs.items()}

    def personal(workflow: str) -> PersonalFields | None:
        fields_of = declared(_state((SHIPPED, *settings.workflow_folders)))
        if workflow not in fields_of:
            raise WorkflowUnknown(
                f"what is personal in {workflow} is not known, for its spec cannot be read; `pipeline check` says why"
            )
        return fields_of[workflow]

    return personal


def _state(folders: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file in these folders does."""
    files = sorted(path for folder in folders for path in folder.glob("*.y*ml"))
    return tuple((str(path), (stat := path.stat()).st_mtime_ns, stat.st_size) for path in files)
