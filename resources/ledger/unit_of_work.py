"""The one way into the ledger: a transaction that is committed whole or not at all.

Whoever may do less takes a role with the URL (`resources.postgres.databases.url_as`): a connection has it before its
first statement. What the ledger refuses becomes an error that names the rule and never the row: it may be a person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InternalError, OperationalError, ProgrammingError

from pipeline_project.domain.core.errors import LedgerMissing, LedgerRefused, SecondPersonNeeded, ValueRefused
from resources.ledger.revision import look_now_and_then
from resources.postgres.databases import connected, pooled_engine, safe

Result = TypeVar("Result")
Work: TypeAlias = Callable[[Connection], Result]

#: A transaction that the server ended because of another one, and how often one is tried.
_LOST, TRIES = ("40P01", "40001"), 4
_UNDEFINED_TABLE = "42P01"
_FOUR_EYES: Mapping[str, str] = {
    "ck_review_approvals_four_eyes": "whoever proposed a decision cannot approve it; ask another approver",
    "fk_review_approvals_proposal": "this is not what was proposed; open the proposal again and read it",
    "pk_review_approvals": "somebody else was quicker: this proposal has its answer; open the queue",
}
_ADVICE: Mapping[str, str] = {
    "fk_decisions_workflow_spec_hash": "record the workflow's spec before its decisions",
    "fk_decisions_workflow_model_version": "record the model version before its decisions",
    "cadence_is_kept": "the workflow has nights of another cadence, which it keeps; take `nights.every` back, or "
    "give the new cadence a workflow of another name",
    "night_is_cleared": "the night's checks have not passed on its tables as they are, so nothing of it is decided or "
    "released; run it whole with `pipeline nights`",
}


@contextmanager
def unit_of_work(engine: Engine, finishing: bool = False) -> Iterator[Connection]:
    """One transaction on the ledger, committed at the end of the block; an error takes all of it back.

    Args:
        finishing: what is written belongs to something that was begun and has happened outside; it is written even
            where a newer version of the code has migrated the ledger since.

    Raises:
        DatabaseUnreachable: the database does not answer, or was lost on the way.
        LedgerNewer: a newer version of the code has migrated the ledger.
        SecondPersonNeeded: a rule of four eyes refused a row.
        LedgerRefused: another rule of the ledger did; `LedgerMissing` where nobody has migrated it, `ValueRefused`
            where no column can hold a value.
    """
    try:
        with connected(engine) as connection:
            if not finishing:
                look_now_and_then(connection)
            with connection.begin():
                yield connection
    except (IntegrityError, DataError, InternalError, ProgrammingError) as error:
        raise _refused(engine.url, error) from None


def repeated(engine: Engine, work: Work[Result], finishing: bool = False) -> Result:
    """Runs `work` as a unit of work; again where it lost a deadlock, so `work` may run more than once.

    Args:
        finishing: as for `unit_of_work`.

    Raises:
        As `unit_of_work`.
    """
    for left in reversed(range(TRIES)):
        try:
            with unit_of_work(engine, finishing) as connection:
                return work(connection)
        except OperationalError as error:
            if left == 0 or getattr(error.orig, "pgcode", None) not in _LOST:
                raise
    raise AssertionError("the last try returns or raises")


@dataclass(frozen=True)
class LedgerStore:
    """One subject's rows in one ledger; it holds no connection, so it can be forked, pickled and shared.

    Every method raises what `unit_of_work` raises.

    Attributes:
        engine: how connections are made and kept.
    """

    url: str = field(repr=False)
    engine: Callable[[str], Engine] = pooled_engine

    def _transaction(self) -> AbstractContextManager[Connection]:
        return unit_of_work(self.engine(self.url))

    def _run(self, work: Work[Result]) -> Result:
        return repeated(self.engine(self.url), work)


def _refused(url: URL, error: DBAPIError) -> Exception:
    """An error without the row: PostgreSQL's own message would repeat what stands in it."""
    if getattr(error.orig, "pgcode", None) == _UNDEFINED_TABLE:
        return LedgerMissing(f"the ledger at {safe(url)} has no tables yet; run `pipeline up` to migrate it")
    diagnosis = getattr(error.orig, "diag", None)
    rule = str(getattr(diagnosis, "constraint_name", None) or getattr(diagnosis, "message_primary", None))
    if rule in _FOUR_EYES:
        return SecondPersonNeeded(_FOUR_EYES[rule])
    if isinstance(error, DataError):
        return ValueRefused("a value is out of range; nothing was written, correct it and try again")
    advice = _ADVICE.get(rule, "nothing was written; look again at what it was about, and try again")
    return LedgerRefused(f"the ledger refused a row of {getattr(diagnosis, 'table_name', None)}: {rule}; {advice}")
