"""`append`: facts join the audit chain in the transaction that makes them true.

The lock is taken in one statement and the chain's end read in the next: under READ COMMITTED a statement sees what was
committed before it began, and one that waits for a lock began before it got it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ARRAY, Connection, Integer, Text, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.audit.chain import GENESIS, ChainBatch, hash_of
from pipeline_project.domain.audit.merkle import leaf_hash, merkle_root
from resources.ledger.audit.facts import ChainRow, Fact, chain_row
from resources.ledger.audit.rows import completed
from resources.ledger.tables.audit import audit_batches, audit_rows
from resources.postgres.locks import CHAIN

_COLUMNS = ("body", "source", "key", "case_id", "person")


def append(connection: Connection, kind: str, workflow: str, facts: Sequence[Fact]) -> int:
    """Adds one batch to the chain; call it as the last statement of the transaction that makes the facts true.

    The chain stays locked until that transaction ends: whatever is waited for after it, everybody else waits for too.

    Args:
        kind: decisions, actions, answers ...
        workflow: whose facts they are; "" for those of no workflow.
        facts: with nothing personal. With `table` name the columns as the table does, its key among them
            (`facts.key_columns`), and `pipeline audit verify` compares the two. Columns of `coverage.MATRIX` that are
            left out are read from the row; one that may change is named where it did.

    Returns:
        The batch's number; 0 where there are no facts and nothing is added.

    Raises:
        ValueError: a fact cannot be spelled, or names a column its table lacks.
    """
    if not facts:
        return 0
    rows = [chain_row(fact) for fact in completed(connection, facts)]
    leaves = [leaf_hash(position, row.body) for position, row in enumerate(rows)]
    root = merkle_root(leaves)
    CHAIN.take(connection)
    batch = _next_batch(connection, kind, workflow, root, len(rows))
    connection.execute(insert(audit_batches), vars(batch))
    _insert_rows(connection, batch.number, leaves, rows)
    return batch.number


def _next_batch(connection: Connection, kind: str, workflow: str, root: str, count: int) -> ChainBatch:
    batches = audit_batches.c
    tip = connection.execute(
        select(batches.number, batches.hash, batches.at).order_by(batches.number.desc()).limit(1)
    ).first()
    # a clock that was set back must not make the chain look as if its times had been tampered with
    now = func.clock_timestamp() if tip is None else func.greatest(func.clock_timestamp(), tip.at)
    number, before = (1, GENESIS) if tip is None else (tip.number + 1, tip.hash)
    batch = ChainBatch(number, kind, workflow, connection.execute(select(now)).scalar_one(), before, root, count)
    return replace(batch, hash=hash_of(batch))


def _insert_rows(connection: Connection, number: int, leaves: list[str], rows: Sequence[ChainRow]) -> None:
    # one array per column: several times quicker than as many parameters
    names = ("position", "leaf", *_COLUMNS)
    sent = func.unnest(
        bindparam("positions", list(range(len(rows))), type_=ARRAY(Integer)),
        bindparam("leaves", leaves, type_=ARRAY(Text)),
        *(bindparam(f"all_{name}", [getattr(row, name) for row in rows], type_=ARRAY(Text)) for name in _COLUMNS),
    )
    given = sent.table_valued(*names).render_derived()
    chosen = [literal(number), *(given.c[name] for name in names)]
    connection.execute(insert(audit_rows).from_select(["batch", *names], select(*chosen)))
