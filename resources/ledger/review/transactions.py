"""One transaction of the desk: tried again when it lost a deadlock, refused without repeating what stood in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, InternalError, ProgrammingError

from pipeline_project.domain.core.errors import LedgerRefused, SecondPersonNeeded
from resources.postgres.databases import Result, safe, transacted

Work: TypeAlias = Callable[[Connection], Result]

_UNDEFINED_TABLE = "42P01"
_FOUR_EYES = {
    "ck_review_approvals_four_eyes": "whoever proposed a decision cannot approve it; ask another approver",
    "fk_review_approvals_proposal": "this is not what was proposed; open the proposal again and read it",
    "pk_review_approvals": "somebody else was quicker: this proposal has its answer; open the queue",
}


def in_transaction(engine: Engine, work: Work[Result]) -> Result:
    """Runs `work` in one transaction and commits it; `work` may run more than once.

    Raises:
        DatabaseUnreachable: the database does not answer.
        SecondPersonNeeded: a rule of four eyes refused a row.
        LedgerRefused: another rule of the ledger did.
    """
    try:
        return transacted(engine, work)
    except (IntegrityError, DataError, InternalError, ProgrammingError) as error:
        raise _refused(engine, error.orig) from None


def _refused(engine: Engine, error: Any) -> Exception:
    """An error without the row: PostgreSQL's own message would repeat what stands in it."""
    if getattr(error, "pgcode", None) == _UNDEFINED_TABLE:
        return LedgerRefused(f"the ledger at {safe(engine.url)} has no tables yet; run `pipeline up` to migrate it")
    diagnosis = getattr(error, "diag", None)
    rule = str(getattr(diagnosis, "constraint_name", None) or getattr(diagnosis, "message_primary", None))
    if rule in _FOUR_EYES:
        return SecondPersonNeeded(_FOUR_EYES[rule])
    return LedgerRefused(
        f"the ledger refused a row of {getattr(diagnosis, 'table_name', None)}: {rule}; nothing was written, open the "
        "task again"
    )
