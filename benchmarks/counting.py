"""Counters put on from outside: what a night asks of the databases, the lake and Dagster; nothing here takes time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

#: What is counted, in the order of the table.
COUNTED = (
    "statements",
    "statements of Dagster",
    "statements of the ledger",
    "statements of MLflow",
    "connections",
    "Delta openings",
    "rows read from the lake",
    "Dagster events",
)
_OF = {"pipeline_dagster": "Dagster", "pipeline_ledger": "the ledger", "pipeline_mlflow": "MLflow"}


@contextmanager
def counted(texts: Counter[str] | None = None) -> Iterator[Counter[str]]:
    """Counts by `COUNTED`, of everything that this process does within, events apart.

    Args:
        texts: takes how often each statement was sent, by its words.
    """
    counts: Counter[str] = Counter()

    def sent(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        counts["statements"] += 1
        counts[f"statements of {_OF.get(connection.engine.url.database, 'others')}"] += 1
        if texts is not None:
            texts[f"{connection.engine.url.database}: {' '.join(statement.split())}"] += 1

    def opened(*connection: Any) -> None:
        counts["connections"] += 1

    with ExitStack() as stack:
        for target, name, listener in ((Engine, "before_cursor_execute", sent), (Pool, "connect", opened)):
            event.listen(target, name, listener)
            stack.callback(event.remove, target, name, listener)
        for patched in _lake(counts):
            stack.enter_context(patched)
        yield counts


def _lake(counts: Counter[str]) -> Iterator[Any]:
    from deltalake import DeltaTable

    from resources.lake.lake import DeltaLake

    def opening(*given: Any, **named: Any) -> None:
        counts["Delta openings"] += 1

    def rows(stored: Any) -> None:
        counts["rows read from the lake"] += stored.rows.num_rows

    yield _wrapped(DeltaTable, "__init__", before=opening)
    yield _wrapped(DeltaLake, "_read", after=rows)


def _wrapped(
    owner: Any, name: str, before: Callable[..., None] | None = None, after: Callable[[Any], None] | None = None
) -> Any:
    call = getattr(owner, name)

    @wraps(call)
    def wrapped(*given: Any, **named: Any) -> Any:
        if before is not None:
            before(*given, **named)
        answer = call(*given, **named)
        if after is not None:
            after(answer)
        return answer

    return mock.patch.object(owner, name, wrapped)
