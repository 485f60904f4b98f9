"""What tests make that only Dagster itself makes: runs, backfills, a workspace, a tick; nothing else in `tests` imports
its private modules.
"""

from dagster._core.code_pointer import CodePointer, FileCodePointer, PackageCodePointer
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.definitions.timestamp import TimestampWithTimezone
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget

# what the daemon does with a running run, with the queue's limits and with a cron line
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._utils.schedules import cron_string_iterator, is_valid_cron_schedule
from dagster._utils.tags import TagConcurrencyLimitsCounter

__all__ = [
    "AssetBackfillData",
    "AssetGraphSubset",
    "CodePointer",
    "EmptyWorkspaceTarget",
    "FileCodePointer",
    "PackageCodePointer",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "SensorExecutionData",
    "TagConcurrencyLimitsCounter",
    "TimestampWithTimezone",
    "WorkspaceProcessContext",
    "create_run_for_test",
    "cron_string_iterator",
    "is_valid_cron_schedule",
    "monitor_started_run",
]
