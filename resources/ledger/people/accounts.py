"""Accounts and what they may do. Passwords are kept as argon2id hashes; roles as a history of grants."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from pipeline_project.domain.core.errors import PersonRefused, SignInRefused
from pipeline_project.domain.core.people import NewAccount, Person, PersonRole
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.tables.people import people, person_roles, person_skills, sign_ins
from resources.ledger.unit_of_work import LedgerStore
from resources.postgres.locks import ROLES, SIGN_IN

if TYPE_CHECKING:
    from argon2 import PasswordHasher

NAME = re.compile(r"[a-z][a-z0-9._-]{0,47}\Z")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1_000
#: Wrong passwords within so many minutes, after which a name is refused whatever comes.
MOST_FAILURES, WITHIN_MINUTES = 8, 15

REFUSED = "name or password is wrong, or there were too many tries; wait a quarter of an hour, or ask an admin"


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _hasher().hash("nobody has this password")


@dataclass(frozen=True)
class Account:
    """One account, as the people page lists it."""

    person: Person
    active: bool
    email: str | None
    provider: str | None


@dataclass(frozen=True)
class Grant:
    """A role given, or taken away."""

    person: str
    role: PersonRole
    granted: bool
    granted_by: str


@dataclass(frozen=True)
class PostgresPeople(LedgerStore):
    """The accounts of one ledger."""

    def add(self, account: NewAccount, by: str) -> Person:
        """Makes an account. Without a password the person signs in at the OpenID provider, known by the e-mail.

        Raises:
            PersonRefused: the name is taken or no name, the password is too short.
        """
        name, roles, skills = account.name, sorted(set(account.roles)), sorted(set(account.skills))
        if not NAME.match(name):
            raise PersonRefused("a name is lower-case letters, digits, dots, dashes, and begins with a letter")
        row = {
            "name": name,
            "shown": account.shown.strip() or name,
            "email": account.email.strip().lower() if account.email else None,
            "password_hash": None if account.password is None else _hashed(account.password),
            "created_by": by,
        }
        with self._transaction() as connection:
            made = connection.execute(insert(people).values(**row).on_conflict_do_nothing().returning(people.c.name))
            if made.first() is None:
                raise PersonRefused(f"{name}, or that e-mail address, has an account already")
            for skill in skills:
                connection.execute(insert(person_skills).values(person=name, skill=skill))
            learned = [Fact("person_skills", {"person": name, "skill": skill}) for skill in skills]
            granted = [_grant(connection, Grant(name, role, True, by)) for role in roles]
            added = Fact("people", {"name": name, "person": name, "added_by": by})
            append(connection, "people", "", [added, *granted, *learned])
        return Person(name, row["shown"] or name, frozenset(roles), frozenset(skills))

    def set_password(self, name: str, password: str, by: str) -> None:
        """Replaces a password; the person's sessions end.

        Raises:
            PersonRefused: nobody has this name, or the password is too short.
        """
        self._change(name, by, "password", password_hash=_hashed(password))

    def close(self, name: str, by: str) -> None:
        """Closes an account; its sessions end, its history stays."""
        self._change(name, by, "closed", active=False)

    def _change(self, name: str, by: str, what: str, **values: Any) -> None:
        with self._transaction() as connection:
            changed = connection.execute(update(people).where(people.c.name == name).values(**values))
            if not changed.rowcount:
                raise _nobody(name)
            end = text("UPDATE sessions SET revoked_at = now() WHERE person = :name AND revoked_at IS NULL")
            connection.execute(end, {"name": name})
            change = {"name": name, **dict.fromkeys(values), "person": name, what: True, "changed_by": by}
            append(connection, "people", "", [Fact("people", change)])

    def grant(self, name: str, role: PersonRole, by: str) -> None:
        """Gives a role.

        Raises:
            PersonRefused: nobody has this name.
        """
        self._turn(name, role, True, by)

    def revoke(self, name: str, role: PersonRole, by: str) -> None:
        """Takes a role away; pages notice at the next request.

        Raises:
            PersonRefused: nobody has this name, or it is the last admin.
        """
        self._turn(name, role, False, by)

    def _turn(self, name: str, role: PersonRole, granted: bool, by: str) -> None:
        with self._transaction() as connection:
            ROLES.take(connection)
            if connection.scalar(select(people.c.name).where(people.c.name == name)) is None:
                raise _nobody(name)
            held = _roles(connection)
            if (role in held.get(name, frozenset())) == granted:
                return
            if role is PersonRole.ADMIN and not granted and sum(role in roles for roles in held.values()) == 1:
                raise PersonRefused(f"{name} is the only admin; make somebody else one first")
            append(connection, "people", "", [_grant(connection, Grant(name, role, granted, by))])

    def person(self, name: str) -> Person | None:
        """An account that is open, or None."""
        with self._transaction() as connection:
            return _person(connection, people.c.name == name)

    def everyone(self) -> list[Account]:
        """Every account by name, closed ones included."""
        with self._transaction() as connection:
            roles, skills = _roles(connection), _skills(connection)
            return [
                Account(
                    Person(row.name, row.shown, roles.get(row.name, frozenset()), skills.get(row.name, frozenset())),
                    row.active,
                    row.email,
                    row.issuer,
                )
                for row in connection.execute(select(people).order_by(people.c.name))
            ]

    def reviewers(self) -> list[Person]:
        """Everybody who may answer tasks."""
        return [
            account.person
            for account in self.everyone()
            if account.active and PersonRole.REVIEWER in account.person.roles
        ]

    def verify(self, name: str, password: str, place: str = "") -> Person:
        """Who signs in with a password. A wrong name takes as long as a wrong password.

        Args:
            place: where the try comes from. Failures are counted by name and place: nobody locks a name for others.

        Raises:
            SignInRefused: without saying why.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        name_hash = hashlib.sha256(f"{name}\0{place}".encode() if place else name.encode()).hexdigest()
        with self._transaction() as connection:
            SIGN_IN.of(hashed=name_hash).take(connection)
            row = connection.execute(
                select(people.c.password_hash, people.c.active).where(people.c.name == name)
            ).first()
            locked = _failures(connection, name_hash) >= MOST_FAILURES
            password_hash = row.password_hash if row and row.password_hash and row.active else None
            try:
                fits = (
                    _hasher().verify(password_hash or _nobodys_hash(), password[:LONGEST_PASSWORD])
                    and password_hash is not None
                )
            except (VerificationError, InvalidHashError):
                fits = False
            right, rehashed = fits and not locked, False
            connection.execute(insert(sign_ins).values(name_sha256=name_hash, succeeded=right))
            if right and password_hash and _hasher().check_needs_rehash(password_hash):
                connection.execute(
                    update(people).where(people.c.name == name).values(password_hash=_hasher().hash(password))
                )
                rehashed = True
            person = _person(connection, people.c.name == name) if right else None
            if rehashed:
                append(connection, "people", "", [Fact("people", {"name": name, "password_hash": None})])
        if person is None:
            raise SignInRefused(REFUSED)
        return person

    def from_provider(self, issuer: str, subject: str, email: str | None, verified: bool) -> Person:
        """Who signs in at an OpenID provider: known by issuer and subject, the first time by the e-mail invited.

        Raises:
            SignInRefused: nobody was invited under this address, or the provider has not verified it.
        """
        with self._transaction() as connection:
            person = _person(connection, (people.c.issuer == issuer) & (people.c.subject == subject))
            if person is None and email and verified:
                invited = (people.c.email == email.lower(), people.c.subject.is_(None), people.c.active)
                linking = update(people).where(*invited).values(issuer=issuer, subject=subject)
                named = connection.execute(linking.returning(people.c.name)).scalars().all()
                person = _person(connection, (people.c.issuer == issuer) & (people.c.subject == subject))
                facts = [Fact("people", {"name": name, "issuer": None, "subject": None}) for name in named]
                append(connection, "people", "", facts)
        if person is None:
            raise SignInRefused("nobody invited you here; ask an admin to add you with your e-mail address")
        return person


def _hashed(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise PersonRefused(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; choose another one")
    return _hasher().hash(password)


def _nobody(name: str) -> PersonRefused:
    return PersonRefused(f"nobody is called {name}; `pipeline people list` shows who there is")


def _grant(connection: Connection, grant: Grant) -> Fact:
    """Keeps a grant or a revocation; returns it for the audit chain."""
    row = {**vars(grant), "role": grant.role.value}
    number = connection.execute(insert(person_roles).values(row).returning(person_roles.c.id)).scalar_one()
    return Fact("person_roles", {"id": number, **row})


def _failures(connection: Connection, name_hash: str) -> int:
    query = select(func.count()).where(
        sign_ins.c.name_sha256 == name_hash,
        ~sign_ins.c.succeeded,
        sign_ins.c.at > func.now() - text(f"interval '{WITHIN_MINUTES} minutes'"),
    )
    return connection.scalar(query) or 0


def _roles(connection: Connection) -> dict[str, frozenset[PersonRole]]:
    last = (
        select(person_roles.c.person, person_roles.c.role, person_roles.c.granted)
        .ext(distinct_on(person_roles.c.person, person_roles.c.role))
        .order_by(person_roles.c.person, person_roles.c.role, person_roles.c.id.desc())
    )
    by_person: dict[str, set[PersonRole]] = {}
    for row in connection.execute(last):
        if row.granted:
            by_person.setdefault(row.person, set()).add(PersonRole(row.role))
    return {name: frozenset(roles) for name, roles in by_person.items()}


def _skills(connection: Connection) -> dict[str, frozenset[str]]:
    by_person: dict[str, set[str]] = {}
    for row in connection.execute(select(person_skills)):
        by_person.setdefault(row.person, set()).add(row.skill)
    return {name: frozenset(skills) for name, skills in by_person.items()}


def _person(connection: Connection, which: Any) -> Person | None:
    row = connection.execute(select(people.c.name, people.c.shown).where(which, people.c.active)).first()
    if row is None:
        return None
    return person_of(connection, row.name, row.shown)


def person_of(connection: Connection, name: str, shown: str) -> Person:
    """An account's person, with the roles and skills of this moment."""
    last = (
        select(person_roles.c.role, person_roles.c.granted)
        .ext(distinct_on(person_roles.c.role))
        .where(person_roles.c.person == name)
        .order_by(person_roles.c.role, person_roles.c.id.desc())
    )
    roles = frozenset(PersonRole(row.role) for row in connection.execute(last) if row.granted)
    skills = frozenset(connection.scalars(select(person_skills.c.skill).where(person_skills.c.person == name)))
    return Person(name, shown, roles, skills)
