"""Pools of steps as Dagster keeps them, without two races that its own statements leave open on PostgreSQL.

That no more steps run than a pool has slots rests on the rows of the slots, which are locked, and is left as it is.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy.dialects import postgresql

from pipeline_project.dagster_internals.event_log import ConcurrencyClaimStatus, ConcurrencyLimitsTable


class RaceFreePools(PostgresEventLogStorage):
    """Claims of slots that neither fail nor wait for ever because another run came at the same moment."""

    def initialize_concurrency_limit_to_default(self, concurrency_key: str) -> bool:
        """Gives a pool the limit that the instance's configuration names, unless somebody set one for it.

        Dagster inserts and, where the pool is there, updates in the transaction that has just failed: of two runs that
        are the first in a pool one fails, and after a change of the limit in `dagster.yaml` every run does.
        """
        default = self._instance.global_op_concurrency_default_limit if self.has_instance else None
        if default is None or not self.has_default_pool_limit_col:
            return super().initialize_concurrency_limit_to_default(concurrency_key)
        self._reconcile_concurrency_limits_from_slots()
        limits = ConcurrencyLimitsTable.c
        row = {"concurrency_key": concurrency_key, "limit": default, "using_default_limit": True}
        inserted = postgresql.insert(ConcurrencyLimitsTable).values(row)
        with self.index_transaction() as connection:
            # the row stays locked to the end, so whoever comes second sees the first one's slots
            connection.execute(
                inserted.on_conflict_do_update(
                    index_elements=[limits.concurrency_key],
                    set_={"limit": sa.case((limits.using_default_limit, default), else_=limits.limit)},
                )
            )
            limit = connection.execute(
                sa.select(limits.limit).where(limits.concurrency_key == concurrency_key)
            ).scalar()
            self._allocate_concurrency_slots(connection, concurrency_key, int(limit or 0))
        return True

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        """Takes a slot for a step, or says that it has to wait.

        Dagster gives a slot that is let go of to the steps that wait then. One that begins to wait a moment later is
        never told; here it looks for itself each time it asks again.
        """
        claimed: Any = super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
        if claimed.is_claimed or claimed.is_assigned or not self.has_unassigned_slots(concurrency_key):
            return claimed
        self.assign_pending_steps([concurrency_key])
        return super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
