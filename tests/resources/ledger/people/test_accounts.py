"""Accounts: who may be made, what may be taken away, and that grants are a history."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import argon2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import PersonRefused, SignInRefused
from pipeline_project.domain.core.people import NewAccount, PersonRole
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.people.accounts import PostgresPeople
from resources.postgres.databases import engine_of
from tests.present import present

ADMIN, REVIEWER = PersonRole.ADMIN, PersonRole.REVIEWER
PASSWORD = "a long enough password"
ROOT = Path(__file__).parents[4]


@pytest.fixture
def people(ledger: PostgresLedger) -> PostgresPeople:
    return PostgresPeople(ledger.url)


def test_passwords_are_hashed_as_the_library_advises() -> None:
    """In a process of its own: this one's hashes are made cheap for every other test."""
    program = "from resources.ledger.people.accounts import _hasher; print(_hasher().hash('x'))"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    asked = argon2.extract_parameters(told.stdout.strip())
    advised = argon2.PasswordHasher()
    assert asked.type is argon2.Type.ID
    assert (asked.memory_cost, asked.time_cost) >= (advised.memory_cost, advised.time_cost)
    assert advised.memory_cost >= 19 * 1024, "less than what OWASP asks for"


@pytest.mark.parametrize("name", ["", "Ada", "1ada", "a b", "ada/..", "a" * 49, "ada\n"])
def test_a_name_that_is_none_is_refused(people: PostgresPeople, name: str) -> None:
    with pytest.raises(PersonRefused, match="lower-case"):
        people.add(NewAccount(name, "", [REVIEWER], PASSWORD), "test")


@pytest.mark.parametrize("password", ["", "too short", "x" * 1001])
def test_a_password_has_its_length(people: PostgresPeople, password: str) -> None:
    with pytest.raises(PersonRefused, match="10 to 1000"):
        people.add(NewAccount("ada", "", [REVIEWER], password), "test")
    assert people.everyone() == []


def test_a_name_and_an_address_are_given_once(people: PostgresPeople) -> None:
    people.add(NewAccount("ada", "Ada", [REVIEWER], PASSWORD, "Ada@example.org", ["photos"]), "test")
    for name, email in (("ada", None), ("bob", "ada@EXAMPLE.org")):
        with pytest.raises(PersonRefused, match="already"):
            people.add(NewAccount(name, "", [REVIEWER], PASSWORD, email), "test")
    (only,) = people.everyone()
    assert (only.person.roles, only.person.skills, only.email) == ({REVIEWER}, {"photos"}, "ada@example.org")


def test_the_last_admin_stays_one(people: PostgresPeople) -> None:
    people.add(NewAccount("ada", "Ada", [ADMIN], PASSWORD), "test")
    with pytest.raises(PersonRefused, match="only admin"):
        people.revoke("ada", ADMIN, "ada")
    people.add(NewAccount("bob", "Bob", [ADMIN], PASSWORD), "ada")
    people.revoke("ada", ADMIN, "bob")
    assert present(people.person("ada")).roles == frozenset()


def test_roles_are_a_history_that_nobody_changes(people: PostgresPeople) -> None:
    people.add(NewAccount("ada", "Ada", [REVIEWER], PASSWORD), "test")
    people.grant("ada", ADMIN, "bob")
    people.grant("ada", ADMIN, "bob")
    people.revoke("ada", REVIEWER, "cleo")
    with engine_of(people.url).connect() as connection:
        rows = connection.execute(text("SELECT role, granted, granted_by FROM person_roles ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("reviewer", True, "test"), ("admin", True, "bob"), ("reviewer", False, "cleo"),
    ]  # fmt: skip
    with pytest.raises(DBAPIError, match="are facts"), engine_of(people.url).begin() as connection:
        connection.execute(text("UPDATE person_roles SET granted = true"))


def test_a_closed_account_signs_in_no_more(people: PostgresPeople) -> None:
    people.add(NewAccount("ada", "Ada", [REVIEWER], PASSWORD), "test")
    assert people.verify("ada", PASSWORD).name == "ada"
    people.close("ada", "bob")
    with pytest.raises(SignInRefused):
        people.verify("ada", PASSWORD)
    assert people.reviewers() == []
    assert people.person("ada") is None


def test_a_new_password_ends_the_old_one(people: PostgresPeople) -> None:
    people.add(NewAccount("ada", "Ada", [REVIEWER], PASSWORD), "test")
    people.set_password("ada", "another long password", "ada")
    with pytest.raises(SignInRefused):
        people.verify("ada", PASSWORD)
    assert people.verify("ada", "another long password").name == "ada"


@pytest.mark.parametrize("act", ["grant", "revoke"])
def test_nobody_can_be_given_a_role(people: PostgresPeople, act: str) -> None:
    with pytest.raises(PersonRefused, match="pipeline people list"):
        getattr(people, act)("nobody", REVIEWER, "test")
