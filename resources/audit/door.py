"""The audit chain as Dagster's sensor is given it."""

from __future__ import annotations

from functools import lru_cache

from pipeline_project.settings import Settings
from resources.audit.checkpoints import Checkpoints


@lru_cache(maxsize=4)
def open_audit(settings: Settings) -> Checkpoints:
    """The checkpoints of these settings."""
    from resources.postgres import databases

    return Checkpoints(databases(settings).ledger_url, settings.checkpoints, settings.keys)
