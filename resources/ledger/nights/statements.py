"""The statements behind the ledger's methods; each runs in its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Row,
    Select,
    any_,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.errors import LedgerRefused, StaleAttempt
from pipeline_project.domain.core.model_version import ModelVersion
from resources.ledger.audit.facts import Fact
from resources.ledger.revision import refuse_other
from resources.ledger.rows import jsonable
from resources.ledger.tables import nights as tables


def model_of(row: Row[Any]) -> ModelVersion:
    metrics = {name: float("nan") if value is None else float(value) for name, value in row.metrics.items()}
    return ModelVersion(
        row.workflow, row.version, row.night, row.digest, row.run_id, metrics,
        knows_until=row.knows_until or "", trained_by=row.trained_by or "",
    )  # fmt: skip


def insert_model(connection: Connection, model: ModelVersion) -> list[Fact]:
    """Keeps a model version.

    Returns:
        The fact for the audit chain, which the caller appends last; none where the row was there.
    """
    versions = tables.model_versions
    row = {name: getattr(model, name) for name in ("workflow", "version", "night", "digest", "run_id")}
    row |= {"knows_until": model.knows_until or None, "trained_by": model.trained_by or None}
    new = insert(versions).values(**row, metrics=jsonable(model.metrics)).on_conflict_do_nothing()
    made = connection.execute(new.returning(versions.c.version)).first()
    here = (versions.c.workflow == model.workflow, versions.c.version == model.version)
    if connection.scalar(select(versions.c.digest).where(*here)) != model.digest:
        raise LedgerRefused(
            f"version {model.version} of {model.workflow} is in the ledger with another digest: its files were changed "
            "after it was registered; train a new version instead"
        )
    return [] if made is None else [Fact("model_versions", {"workflow": model.workflow, "version": model.version})]


def insert_champion(connection: Connection, workflow: str, version: str, night: str, reason: str) -> list[Fact]:
    """From `night` on this version decides; the same fact twice is one row.

    Returns:
        The fact for the audit chain, which the caller appends last; none where the row was there.
    """
    row = {"workflow": workflow, "version": version, "from_night": night, "reason": reason}
    statement = insert(tables.champions).on_conflict_do_nothing(index_elements=["workflow", "from_night", "version"])
    made = connection.execute(statement.values(row).returning(tables.champions.c.id)).scalar()
    return [] if made is None else [Fact("champions", row)]


def champion_history(workflow: str) -> Select[Any]:
    """Champions with their models, the one that counts first."""
    champions, models = tables.champions, tables.model_versions
    return (
        select(models, champions.c.from_night, champions.c.reason, champions.c.recorded_at.label("promoted_at"))
        .join_from(champions, models)
        .where(champions.c.workflow == workflow)
        .order_by(champions.c.from_night.desc(), champions.c.id.desc())
    )


def outcome_facts(connection: Connection, numbers: Sequence[Any]) -> list[Fact]:
    """Outcomes that were just added, for the audit chain."""
    outcomes = tables.outcomes.c
    columns = (
        outcomes.workflow,
        outcomes.case_id,
        outcomes.label,
        outcomes.true_at,
        outcomes.known_at,
        outcomes.source,
    )
    query = select(*columns).where(outcomes.id == any_(literal([int(number) for number in numbers], ARRAY(BigInteger))))
    return [Fact.of("outcomes", row) for row in connection.execute(query.order_by(outcomes.id))]


def hold_fence(connection: Connection, workflow: str, night: str, attempt: int) -> str:
    """The run id of an attempt, whose row stays locked until the transaction ends, so that no newer one can begin."""
    refuse_other(connection)
    attempts = tables.attempts.c
    query = select(attempts.attempt, attempts.run_id).where(attempts.workflow == workflow, attempts.night == night)
    row = connection.execute(query.with_for_update()).first()
    newest = 0 if row is None else row.attempt
    if row is None or newest != attempt:
        raise StaleAttempt(
            f"attempt {attempt} at night {night} of {workflow} may not write: the newest is {newest}; nothing was "
            "written, let the newer run finish or start the night again"
        )
    return str(row.run_id)


def decided_whole(connection: Connection, workflow: str, night: str) -> list[Fact]:
    """A night's attempt is over; returns the fact for the audit chain where it is the first that was."""
    attempts = tables.attempts.c
    here = (attempts.workflow == workflow, attempts.night == night, attempts.decided_at.is_(None))
    first = connection.execute(update(tables.attempts).where(*here).values(decided_at=func.now())).rowcount
    return [Fact("attempts", {"workflow": workflow, "night": night})] if first else []
