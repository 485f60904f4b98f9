"""Sessions of people at the desk: kept in the database, so that they can be ended at once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.people import Session
from resources.ledger.people.accounts import person_of
from resources.ledger.tables.people import people, sessions
from resources.ledger.unit_of_work import LedgerStore

#: A session ends so long after it began, and so long after it was last used.
HOURS, IDLE_MINUTES = 12, 60
_SEEN_EVERY = 60


@dataclass(frozen=True)
class PostgresSessions(LedgerStore):
    """The sessions of one ledger."""

    def begin(self, person: str) -> Session:
        """A new session; its token is known to the browser alone, the database keeps a hash."""
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        row = {"token_sha256": _hashed(token), "person": person, "csrf": csrf}
        lasts = func.now() + text(f"interval '{HOURS} hours'")
        with self._transaction() as connection:
            connection.execute(insert(sessions).values(**row, expires_at=lasts))
            account = connection.execute(select(people.c.name, people.c.shown).where(people.c.name == person)).one()
            return Session(token, csrf, person_of(connection, account.name, account.shown))

    def find(self, token: str) -> Session | None:
        """The session of a token, with its person's roles of this moment; None when it has ended."""
        session_columns = sessions.c
        query = (
            select(
                session_columns.csrf,
                people.c.name,
                people.c.shown,
                (func.now() - session_columns.seen_at).label("idle"),
            )
            .join_from(sessions, people, people.c.name == session_columns.person)
            .where(
                session_columns.token_sha256 == _hashed(token),
                session_columns.revoked_at.is_(None),
                session_columns.expires_at > func.now(),
                session_columns.seen_at > func.now() - text(f"interval '{IDLE_MINUTES} minutes'"),
                people.c.active,
            )
        )
        with self._transaction() as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            # written now and then, so that looking at pages does not write with every request
            if row.idle.total_seconds() > _SEEN_EVERY:
                connection.execute(
                    update(sessions).where(session_columns.token_sha256 == _hashed(token)).values(seen_at=func.now())
                )
            return Session(token, row.csrf, person_of(connection, row.name, row.shown))

    def end(self, token: str) -> None:
        """Ends one session."""
        self._end(sessions.c.token_sha256 == _hashed(token))

    def end_all(self, person: str) -> int:
        """Ends every session of a person; returns how many there were."""
        return self._end(sessions.c.person == person)

    def _end(self, which: object) -> int:
        over = update(sessions).where(which, sessions.c.revoked_at.is_(None)).values(revoked_at=func.now())  # type: ignore[arg-type]
        with self._transaction() as connection:
            return connection.execute(over).rowcount


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
