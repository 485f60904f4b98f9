"""Forgetting a subject, and the legal holds that stand against it: each in one transaction with its fact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from pipeline_project.domain.core.errors import ForgettingRefused, HoldRefused
from pipeline_project.domain.privacy.retention import Holds
from pipeline_project.domain.privacy.seal import NOBODY
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.locks import SUBJECT_KEYS


@dataclass(frozen=True)
class Hold:
    """A legal hold that stands, on a whole workflow or on one subject."""

    number: int
    workflow: str | None
    pseudonym: str | None
    reason: str
    placed_by: str
    placed_at: datetime


@dataclass(frozen=True)
class KnownSubject:
    """What the ledger knows of a subject.

    Attributes:
        since: when its key was made. forgotten: when it was destroyed, or None.
        tasks: review tasks about it, by workflow.
    """

    since: datetime
    forgotten: datetime | None
    tasks: dict[str, int]


class Forgetting:
    """Destroys subjects' keys, and keeps those under a legal hold.

    Args:
        engine: of the ledger, as its owner: no service may do this.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def subject(self, pseudonym: str) -> KnownSubject | None:
        """What there is of a subject; None where it never had a key."""
        with unit_of_work(self._engine) as connection:
            row = connection.execute(
                text("SELECT created_at, forgotten_at FROM subject_keys WHERE pseudonym = :name"), {"name": pseudonym}
            ).first()
            if row is None:
                return None
            counted = text("SELECT workflow, count(*) FROM review_tasks WHERE subject = :name GROUP BY 1 ORDER BY 1")
            tasks = connection.execute(counted, {"name": pseudonym}).all()
            return KnownSubject(row.created_at, row.forgotten_at, dict(tasks))

    def forget(self, pseudonym: str, workflow: str, by: str, reason: str, workflows: Iterable[str] = ()) -> bool:
        """Destroys a subject's key and its sealed id, for good; False where that was done before.

        What remains is a tombstone, so that the same subject, met again, gets no key.

        Args:
            workflow: in whose name. by: who does it. reason: why, with nothing personal in it.
            workflows: where else the subject is known; a hold on any of them counts.

        Raises:
            ForgettingRefused: a legal hold stands, or there is no such subject.
        """
        with self._alone() as connection:
            tasks = connection.scalars(
                text("SELECT DISTINCT workflow FROM review_tasks WHERE subject = :name"), {"name": pseudonym}
            )
            self._refuse_held(connection, pseudonym, {workflow, *workflows, *tasks})
            before = connection.execute(
                text("SELECT wrapped_key IS NULL AS gone FROM subject_keys WHERE pseudonym = :name FOR UPDATE"),
                {"name": pseudonym},
            ).first()
            if before is None or pseudonym == NOBODY:
                raise ForgettingRefused("nothing is sealed for that subject; check the id, as its source spells it")
            if before.gone:
                return False
            gone = destroy(connection, [pseudonym], by)
            forgotten = connection.execute(_FORGOTTEN, _named(pseudonym, workflow, by, reason)).one()
            append(connection, "forgotten", workflow, [Fact.of("forgettings", forgotten), *gone])
        return True

    def hold(self, workflow: str | None, pseudonym: str | None, reason: str, by: str) -> int:
        """Places a hold on a workflow or a subject; returns its number.

        Raises:
            HoldRefused: one stands already, the reason is missing, or the subject is forgotten or unknown.
        """
        if (workflow is None) == (pseudonym is None) or not reason.strip():
            raise HoldRefused("a hold is on a workflow or on a subject, and has a reason; give both")
        with self._alone() as connection:
            if pseudonym is not None and not connection.scalar(_HAS_KEY, {"name": pseudonym}):
                raise HoldRefused("nothing is sealed for that subject, or it is forgotten already; check the id")
            standing = holds(connection)
            if any((hold.workflow, hold.pseudonym) == (workflow, pseudonym) for hold in standing):
                raise HoldRefused("a hold stands there already; `pipeline hold list` shows it")
            number = connection.execute(_PLACE, _named(pseudonym, workflow, by, reason)).scalar_one()
            entry = {"hold": number, "on": pseudonym or workflow, "by": by, "reason": reason, "what": "placed"}
            append(connection, "holds", workflow or "", [Fact("legal_holds", {"id": number}), Fact(None, entry)])
        return int(number)

    def lift(self, number: int, by: str) -> None:
        """Lifts a hold.

        Raises:
            HoldRefused: none of that number stands.
        """
        with self._alone() as connection:
            row = connection.execute(_LIFT, {"number": number, "by": by}).first()
            if row is None:
                raise HoldRefused(f"no hold {number} stands; `pipeline hold list` shows those that do")
            entry = {"hold": number, "on": row.pseudonym or row.workflow, "by": by, "what": "lifted"}
            lifted = Fact("legal_holds", {"id": number, "lifted_by": by, "lifted_at": None})
            append(connection, "holds", row.workflow or "", [lifted, Fact(None, entry)])

    def holds(self) -> list[Hold]:
        """The holds that stand, oldest first."""
        with unit_of_work(self._engine) as connection:
            return holds(connection)

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction beside which nobody places a hold, forgets or uses a key."""
        with unit_of_work(self._engine) as connection:
            SUBJECT_KEYS.take(connection)
            yield connection

    def _refuse_held(self, connection: Connection, pseudonym: str, workflows: set[str]) -> None:
        standing = holds(connection)
        blocking = [hold for hold in standing if hold.pseudonym == pseudonym or hold.workflow in workflows]
        if blocking:
            numbers = ", ".join(str(hold.number) for hold in blocking)
            raise ForgettingRefused(
                f"legal hold {numbers} stands against it; `pipeline hold list` says why, and when it is lifted "
                "(`pipeline hold lift NUMBER`) the subject can be forgotten"
            )


def holds(connection: Connection) -> list[Hold]:
    """The holds that stand, oldest first."""
    question = text(
        "SELECT id AS number, workflow, pseudonym, reason, placed_by, placed_at FROM legal_holds "
        "WHERE lifted_at IS NULL ORDER BY id"
    )
    return [Hold(**row) for row in connection.execute(question).mappings()]


def holds_of(standing: Iterable[Hold], workflow: str) -> Holds:
    """What stands against throwing away data of one workflow."""
    listed = list(standing)
    return Holds(
        any(hold.workflow == workflow for hold in listed),
        frozenset(hold.pseudonym for hold in listed if hold.pseudonym is not None),
    )


def destroy(connection: Connection, names: list[str], by: str) -> list[Fact]:
    """Destroys keys and keeps tombstones.

    Returns:
        What was emptied, and by whom: the facts for the audit chain, against which a key that comes back is found.
    """
    gone = connection.scalars(_DESTROY, {"names": names, "by": by}).all()
    emptied = dict.fromkeys(("wrapped_key", "sealed_id", "forgotten_at", "forgotten_by"))
    return [Fact("subject_keys", {"pseudonym": name, **emptied}) for name in sorted(gone)]


def _named(pseudonym: str | None, workflow: str | None, by: str, reason: str) -> dict[str, str | None]:
    return {"name": pseudonym, "workflow": workflow, "by": by, "reason": reason}


_HAS_KEY = text(
    "SELECT 1 FROM subject_keys WHERE pseudonym = :name AND wrapped_key IS NOT NULL AND pseudonym <> 's-none'"
)
_DESTROY = text(
    "UPDATE subject_keys SET wrapped_key = NULL, sealed_id = NULL, forgotten_at = now(), forgotten_by = :by "
    "WHERE pseudonym = ANY(:names) AND wrapped_key IS NOT NULL RETURNING pseudonym"
)
_FORGOTTEN = text(
    "INSERT INTO forgettings (pseudonym, workflow, forgotten_by, reason) VALUES (:name, :workflow, :by, :reason) "
    "RETURNING pseudonym, workflow, forgotten_by, reason, at"
)
_PLACE = text(
    "INSERT INTO legal_holds (workflow, pseudonym, reason, placed_by) VALUES (:workflow, :name, :reason, :by) "
    "RETURNING id"
)
_LIFT = text(
    "UPDATE legal_holds SET lifted_at = now(), lifted_by = :by WHERE id = :number AND lifted_at IS NULL "
    "RETURNING workflow, pseudonym"
)
