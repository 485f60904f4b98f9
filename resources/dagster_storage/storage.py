"""Run, event and schedule storage of one process on one pool of connections.

Dagster's own opens a connection for every statement, so that many instances hold none, or one pool for each of the
three in a webserver. A process of ours has one instance and sends some hundred statements a night.
"""

from __future__ import annotations

from typing import Any

from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config
from sqlalchemy import Engine

from resources.dagster_storage.event_log import BatchedEventLog
from resources.postgres.databases import KEPT, MORE, RECYCLE_SECONDS, keeps_connections


class BatchedStorage(DagsterPostgresStorage):
    """As `DagsterPostgresStorage`, in fewer connections and statements; takes the same configuration."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: Any = None,
        token_provider: Any = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        # the tables are there by now
        self._event_log_storage = BatchedEventLog(postgres_url, False, token_provider=token_provider)
        engine = _pooled(postgres_url, token_provider)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            assert isinstance(storage, PostgresRunStorage | BatchedEventLog | PostgresScheduleStorage)
            storage._engine = engine

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> BatchedStorage:
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )


def _pooled(url: str, token_provider: Any) -> Engine:
    engine = create_pg_engine(
        url,
        token_provider,
        isolation_level="AUTOCOMMIT",
        # one more for the thread that writes what waited
        pool_size=KEPT + 1,
        max_overflow=MORE,
        pool_recycle=RECYCLE_SECONDS,
    )
    keeps_connections(engine)
    return engine
