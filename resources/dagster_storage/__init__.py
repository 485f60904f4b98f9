"""Dagster's own database: its storage on PostgreSQL, with one pool of connections and events written in batches.

Belongs here: what `dagster.yaml` names as storage. Does not: what the house itself keeps (`resources.ledger`).
"""

from resources.dagster_storage.storage import BatchedStorage

__all__ = ["BatchedStorage"]
