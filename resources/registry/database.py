"""MLflow's own database, ready for use, and MLflow itself, quiet."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline_project.domain.core.locations import is_url
from resources.postgres.databases import begun, connected, engine_of
from resources.postgres.locks import MLFLOW_TABLES
from resources.registry.relocating import relocate

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def without_telemetry() -> None:
    """To be called before MLflow is imported: it then tells nobody what it does, and prints no progress bars."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # MLflow reads its switch once, when it is imported, and a process may have set it to something else before
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@lru_cache(maxsize=8)
def prepare_once(tracking_uri: str) -> None:
    """Creates or upgrades MLflow's tables; one process does it while the others wait at a lock of the database.

    MLflow's own lock is a file in the temporary folder, which other machines and containers do not share.
    """
    with connected(engine_of(tracking_uri)) as connection:
        MLFLOW_TABLES.hold(connection)
        utils: Any = import_module("mlflow.store.db.utils")
        engine = engine_of(tracking_uri)
        with _less_talk():
            if not utils._all_tables_exist(engine):
                utils._initialize_tables(engine)
            elif utils._get_schema_version(engine) != utils._get_latest_schema_revision():
                utils._upgrade_db(engine)


def as_mlflow_says(place: str) -> str:
    """A folder or URL as MLflow writes down where artifacts lie."""
    return place if is_url(place) else Path(place).resolve().as_uri()


def follow(tracking_uri: str, old: str, new: str) -> None:
    """Tells MLflow that the artifacts of an experiment lie elsewhere by now; its pages look where it wrote them down.

    Args:
        old, new: locations of the experiment, without a slash at the end.
    """
    with begun(engine_of(tracking_uri)) as connection:
        relocate(connection, old, new)


@contextmanager
def _less_talk() -> Iterator[None]:
    """Fifty migrations need not be announced one by one."""
    loggers = [logging.getLogger(name) for name in ("alembic", "mlflow.store.db.utils")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
