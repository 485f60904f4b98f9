"""Every advisory lock that is taken, by name, with the reason; nobody else may use these keys.

A lock's key stays what it is: during an upgrade two versions run at once and have to wait for each other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, select, text

# a lock over one 64-bit number stands in two halves
_HOLDER = text(
    "SELECT activity.application_name FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid) "
    "WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 "
    "AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND ((held.classid::bigint << 32) | held.objid::bigint) = :number LIMIT 1"
)


@dataclass(frozen=True)
class AdvisoryLock:
    """One lock of a database, or one for each of many things where its key is made of their names.

    Attributes:
        key: a number of its own, or words of which PostgreSQL's `hashtext` makes one; two that come to the same number
            wait for each other and do no harm.
        why: what would happen without it.
        wide: the words make 64 bits instead of 32.
    """

    key: int | str
    why: str
    wide: bool = False

    def of(self, **names: str) -> AdvisoryLock:
        """The lock of one thing, by the names in the key."""
        return replace(self, key=str(self.key).format(**names))

    def take(self, connection: Connection) -> None:
        """Waits for it and keeps it until the transaction ends."""
        connection.execute(select(func.pg_advisory_xact_lock(self.number)))

    def share(self, connection: Connection) -> None:
        """As `take`, beside others that share it."""
        connection.execute(select(func.pg_advisory_xact_lock_shared(self.number)))

    def hold(self, connection: Connection) -> None:
        """Waits for it and keeps it until the connection ends."""
        connection.execute(select(func.pg_advisory_lock(self.number)))

    def try_hold(self, connection: Connection) -> bool:
        """Keeps it until the connection ends, where nobody else has it."""
        return bool(connection.scalar(select(func.pg_try_advisory_lock(self.number))))

    def hold_shared(self, connection: Connection) -> None:
        """As `hold`, beside others that share it."""
        connection.execute(select(func.pg_advisory_lock_shared(self.number)))

    def let_go(self, connection: Connection) -> None:
        """Ends what `hold` or `try_hold` began in this connection."""
        connection.execute(select(func.pg_advisory_unlock(self.number)))

    def let_go_shared(self, connection: Connection) -> None:
        """Ends what `hold_shared` began in this connection."""
        connection.execute(select(func.pg_advisory_unlock_shared(self.number)))

    def holder(self, connection: Connection) -> str | None:
        """The name that whoever has it gave its connection, "" where it gave none; None where nobody has it.

        Of locks whose key is a number alone.
        """
        name = connection.scalar(_HOLDER, {"number": self.key})
        return None if name is None else str(name)

    @property
    def number(self) -> ColumnElement[Any]:
        """The number that the server knows it by."""
        if isinstance(self.key, int):
            return literal(self.key)
        return func.hashtextextended(self.key, 0) if self.wide else func.hashtext(self.key)


# -- the ledger --------------------------------------------------------------------------------------------------

MIGRATION = AdvisoryLock(7_301_944_226, "two processes that migrate at once would carry out the same step twice")
CHAIN = AdvisoryLock(7_301_944_227, "two batches would continue the audit chain at the same end")
SUBJECT_KEYS = AdvisoryLock(
    7_301_944_228,
    "a master key would be destroyed while it wraps a new one: shared by who uses keys, taken by who turns or destroys",
)
QUALITY = AdvisoryLock("quality", "signals would become visible out of order, and a subscriber would pass some over")
ROLES = AdvisoryLock("person_roles", "two admins who revoke each other would leave nobody who is one")
SIGN_IN = AdvisoryLock("{hashed}", "many tries at once for one name would all be counted as the first")
ROLLOUT = AdvisoryLock("rollout/{workflow}", "two people would begin or end rollouts of a workflow at once")
RECALL = AdvisoryLock("recall/{workflow}/{kind}/{named}", "two recalls of the same thing would count to the same round")
RECALLED_CASE = AdvisoryLock("recall/{workflow}/{case}", "two recalls would take one decision back twice")
CLUSTER_REVIEWS = AdvisoryLock(
    "cluster_reviews/{workflow}", "two cluster reviews would take the same part of the night's error", wide=True
)
SUBJECT = AdvisoryLock(
    "subject/{workflow}/{subject}", "two decisions over one subject's money would each stay below the limit", wide=True
)

UPKEEP = AdvisoryLock(
    7_301_944_229, "retention would delete a file that a backup is about to copy: shared by backups, taken by retention"
)

# -- MLflow's database -------------------------------------------------------------------------------------------

MLFLOW_TABLES = AdvisoryLock(7_316_400_211, "two processes would make or upgrade MLflow's tables at once")


# -- Dagster's database ------------------------------------------------------------------------------------------

RUN_WORKERS = AdvisoryLock(
    7_316_400_212, "a run would be left to run workers where none is there: shared by all that take runs"
)


def run_workers(tenant: str) -> AdvisoryLock:
    """As `RUN_WORKERS`, of the workers that take one tenant's runs; "" for the house's."""
    return AdvisoryLock(_of_name("run workers", tenant), RUN_WORKERS.why) if tenant else RUN_WORKERS


def run_in_hand(run_id: str) -> AdvisoryLock:
    """A run that a run worker executes: two would execute it at once, and nobody would notice that one had died."""
    return AdvisoryLock(_of_name("run", run_id), "two run workers would execute one run")


def turn(workflow: str) -> AdvisoryLock:
    """The turn of a workflow, in the ledger: two runs at once would decide its nights out of order."""
    return AdvisoryLock(_of_name("turn", workflow), "two runs would work on one workflow")


def _of_name(kind: str, name: str) -> int:
    """64 bits of a hash of ours rather than the server's, so that whoever waits can look up who holds the lock."""
    digest = hashlib.sha256(f"pipeline/{kind}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
