"""What Dagster gives no public name, each with the reason why it is needed all the same; nothing else imports its
private modules (`tests/test_frameworks.py`). Whoever brings in a newer Dagster looks here first.

What the event log is made of has a module of its own, `event_log`: it brings SQLAlchemy and alembic, and whoever loads
the definitions needs neither.
"""

from __future__ import annotations

# the type of what `define_asset_job` returns
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# `DagsterInstance.get_backfills` is public; what it is asked by, and what it answers with, is not
from dagster._core.execution.backfill import (
    BULK_ACTION_TERMINAL_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)

# the answer of a run launcher to the run monitor, which the public `DefaultRunLauncher` cannot give
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

# what the public `QueuedRunCoordinator` is asked for before runs are taken out of the queue
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig

# `DagsterRunStatus` by stage: a status that comes with a newer Dagster is sorted there, not forgotten here
from dagster._core.storage.dagster_run import FINISHED_STATUSES, IN_PROGRESS_RUN_STATUSES, NOT_FINISHED_STATUSES

# the tags in which the default launcher notes where a run's code server listens, and Dagster what it will do with a
# failed run and which run it made of it
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, BACKFILL_ID_TAG, GRPC_INFO_TAG, WILL_RETRY_TAG

#: What `python -m` starts as the daemon, by this interpreter: the script `dagster-daemon` may belong to another one.
DAEMON = "dagster._daemon"

__all__ = [
    "AUTO_RETRY_RUN_ID_TAG",
    "BACKFILL_ID_TAG",
    "BULK_ACTION_TERMINAL_STATUSES",
    "DAEMON",
    "FINISHED_STATUSES",
    "GRPC_INFO_TAG",
    "IN_PROGRESS_RUN_STATUSES",
    "NOT_FINISHED_STATUSES",
    "WILL_RETRY_TAG",
    "BulkActionStatus",
    "BulkActionsFilter",
    "CheckRunHealthResult",
    "PartitionBackfill",
    "RunQueueConfig",
    "UnresolvedAssetJobDefinition",
    "WorkerStatus",
]
