"""What the event log of `dagster_postgres`, which is public, is made of.

`resources.dagster_storage` writes it in batches.
"""

from __future__ import annotations

from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, ConcurrencyLimitsTable
from dagster._utils.concurrency import ConcurrencyClaimStatus

__all__ = [
    "ASSET_EVENTS",
    "ASSET_KEY_INDEX_COLS",
    "AssetCheckExecutionRecordStatus",
    "AssetCheckExecutionsTable",
    "AssetKeyTable",
    "ConcurrencyClaimStatus",
    "ConcurrencyLimitsTable",
    "EventLogEntry",
    "SqlEventLogStorageTable",
]
