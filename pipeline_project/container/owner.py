"""The stores that a command works with: the ledger as its owner, the registry, the replays; each opened when asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline_project.operations.retention import Retaining
    from pipeline_project.operations.upkeep import StoreUpkeep
    from pipeline_project.settings import Settings
    from pipeline_project.spec import WorkflowSpec
    from resources.lake.sealed import SealedLake
    from resources.ledger.audit.checkpoints import Checkpoints
    from resources.ledger.audit.trail import AuditTrail
    from resources.ledger.drift.store import PostgresQuality
    from resources.ledger.models.proposals import PostgresPromotions
    from resources.ledger.nights.ledger import PostgresLedger
    from resources.ledger.nights.story import PostgresStories
    from resources.ledger.outbox.overview import PostgresOutbox
    from resources.ledger.people.accounts import PostgresPeople
    from resources.ledger.privacy.forgetting import Forgetting
    from resources.ledger.privacy.keyring import PostgresKeyring
    from resources.ledger.replays.store import PostgresReplays
    from resources.ledger.rollout.recalls import Recalls
    from resources.ledger.rollout.rollback import Turning
    from resources.ledger.turns import Turns
    from resources.postgres.databases import Databases
    from resources.registry.registry import MlflowRegistry


def migrated(settings: Settings) -> tuple[Databases, int]:
    """The databases of a home, there and migrated; how many rows of a ledger from before it the audit chain took in.

    Raises:
        DatabaseUnreachable, DatabaseMissing: with the URL (never its password) and what to do.
    """
    from resources.ledger.audit.adopt import adopt
    from resources.ledger.migrate import upgrade
    from resources.postgres.databases import databases

    opened = databases(settings)
    upgrade(opened.ledger_url)
    return opened, adopt(opened.ledger_url)


def let_sign_in(settings: Settings, password: str) -> str:
    """Lets a tenant's role sign in to the server; gives the role's name.

    Whoever signs in so enters the databases of this tenant and Dagster's, and no other's, whatever they run.

    Raises:
        SettingInvalid: the password is empty.
        RolesMissing: this user may not give the role one.
    """
    from resources.postgres.databases import server_url
    from resources.postgres.tenants import let_sign_in as let_role_sign_in

    return let_role_sign_in(server_url(settings), settings.tenant, password)


def touch_registry(databases: Databases) -> None:
    """Lets MLflow make its tables, which it does when it first looks at them."""
    from mlflow.tracking import MlflowClient

    MlflowClient(databases.mlflow_url).search_registered_models(max_results=1)


def made_bucket(settings: Settings, environ: Mapping[str, str]) -> str | None:
    """The bucket of what hosts share, made where it was missing; None where it lies in none of S3's.

    Raises:
        SettingInvalid: the store does not answer, or does not let us.
    """
    from resources.files.buckets import make_bucket

    return make_bucket(settings.files_url, environ)


@dataclass(frozen=True)
class OwnerStores:
    """Stores over databases that are there and migrated; none holds a connection."""

    settings: Settings
    databases: Databases

    @property
    def ledger(self) -> PostgresLedger:
        from resources.ledger.nights.ledger import PostgresLedger

        return PostgresLedger(self.databases.ledger_url)

    def sessions(self) -> int:
        """Sessions of others on the server; none where it cannot be reached."""
        from sqlalchemy import text

        from pipeline_project.domain.core.errors import DatabaseUnreachable
        from resources.ledger.unit_of_work import unit_of_work
        from resources.postgres.databases import close_idle, pooled_engine

        close_idle()
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        try:
            with unit_of_work(pooled_engine(self.databases.ledger_url)) as connection:
                return int(connection.execute(text(query)).scalar_one())
        except DatabaseUnreachable:
            return 0

    def newer_ledger(self) -> str | None:
        """Why this process may do nothing more, where a newer version of the code has migrated the ledger; None also
        where it does not answer."""
        from pipeline_project.domain.core.errors import DatabaseUnreachable, LedgerNewer
        from resources.ledger.unit_of_work import unit_of_work
        from resources.postgres.databases import pooled_engine

        try:
            with unit_of_work(pooled_engine(self.databases.ledger_url)):
                return None
        except LedgerNewer as newer:
            return str(newer)
        except DatabaseUnreachable:
            return None

    @property
    def people(self) -> PostgresPeople:
        from resources.ledger.people.accounts import PostgresPeople

        return PostgresPeople(self.databases.ledger_url)

    @property
    def stories(self) -> PostgresStories:
        from resources.ledger.nights.story import PostgresStories

        return PostgresStories(self.databases.ledger_url)

    @property
    def outbox(self) -> PostgresOutbox:
        from resources.ledger.outbox.overview import PostgresOutbox

        return PostgresOutbox(self.databases.ledger_url)

    @property
    def promotions(self) -> PostgresPromotions:
        from resources.ledger.models.proposals import PostgresPromotions

        return PostgresPromotions(self.databases.ledger_url)

    @property
    def quality(self) -> PostgresQuality:
        from resources.ledger.drift.store import PostgresQuality

        return PostgresQuality(self.databases.ledger_url)

    @property
    def recalls(self) -> Recalls:
        from resources.ledger.rollout.recalls import Recalls

        return Recalls(self.databases.ledger_url)

    @property
    def turning(self) -> Turning:
        from resources.ledger.rollout.rollback import Turning

        return Turning(self.databases.ledger_url)

    @property
    def trail(self) -> AuditTrail:
        from resources.ledger.audit.trail import AuditTrail

        return AuditTrail(self.databases.ledger_url)

    @property
    def checkpoints(self) -> Checkpoints:
        from resources.ledger.audit.checkpoints import Checkpoints

        return Checkpoints(self.databases.ledger_url, self.settings.checkpoints, self.settings.keys)

    @property
    def keyring(self) -> PostgresKeyring:
        from resources.ledger.privacy.keyring import PostgresKeyring
        from resources.postgres.databases import pooled_engine

        return PostgresKeyring(pooled_engine(self.databases.ledger_url), self.settings.keys)

    @property
    def forgetting(self) -> Forgetting:
        from resources.ledger.privacy.forgetting import Forgetting
        from resources.postgres.databases import pooled_engine

        return Forgetting(pooled_engine(self.databases.ledger_url))

    def retaining(self, lake: SealedLake, spec: WorkflowSpec) -> Retaining:
        """What erases of one workflow what is kept long enough."""
        from pipeline_project.domain.privacy.fields import PersonalFields
        from pipeline_project.operations.retention import Retaining
        from resources.postgres.databases import pooled_engine

        engine = pooled_engine(self.databases.ledger_url)
        return Retaining(lake, engine, spec.name, PersonalFields.of(spec.case_schema))

    def upkeep(self, lake: SealedLake, now: datetime) -> StoreUpkeep:
        """What takes away what the stores keep and nothing names any more."""
        from pipeline_project.operations.upkeep import StoreUpkeep

        home, keep = self.settings.home / "dagster", self.settings.keep
        return StoreUpkeep(self.databases, lake, self.registry, home, keep, now)

    @property
    def turns(self) -> Turns:
        from resources.ledger.turns import Turns

        return Turns(self.databases.ledger_url)

    @property
    def registry(self) -> MlflowRegistry:
        from resources.registry.registry import MlflowRegistry

        return MlflowRegistry(self.databases.mlflow_url, self.settings.models, self.settings.keys)

    @property
    def replays(self) -> PostgresReplays:
        from resources.ledger.replays.store import PostgresReplays

        chosen = self.settings
        return PostgresReplays(self.databases.ledger_url, chosen.reports, chosen.reports_url, chosen.desk_url)
