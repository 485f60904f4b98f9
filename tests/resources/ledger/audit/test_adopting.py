"""A ledger from before the chain held all of it is taken in once; what is tampered with afterwards never is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import text

from benchmarks.passed import passed
from pipeline_project.domain.deciding.recorded import NewDecision
from resources.ledger.audit.adopt import adopt
from resources.ledger.audit.comparison import compare_ledger
from resources.ledger.audit.coverage import MATRIX
from resources.ledger.audit.trail import AuditTrail
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of

FLOW, NIGHT = "claims", "2025-03-05"
DECIDED = NewDecision("A", "refund", "cheapest", spec_hash="spec", data_versions={})


def run(ledger: PostgresLedger, *statements: str) -> None:
    """As whoever owns the database: no rule or trigger is in the way."""
    with engine_of(ledger.url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))


def found(ledger: PostgresLedger) -> Counter[tuple[str, str]]:
    """What verify finds, by table and kind."""
    with engine_of(ledger.url).connect() as connection:
        return Counter((each.table, one.what.value) for each in compare_ledger(connection) for one in each.findings)


@pytest.fixture
def older(ledger: PostgresLedger) -> PostgresLedger:
    """A ledger whose chain holds decisions and nothing of people; one decision was put in past the chain."""
    ledger.record_workflow(FLOW, "spec", {"name": FLOW})
    attempt = ledger.begin_attempt(FLOW, NIGHT, "run")
    ledger.record_decisions(FLOW, NIGHT, attempt, [DECIDED], basis=passed(ledger, FLOW, NIGHT))
    run(
        ledger,
        "INSERT INTO people (name, shown, created_by) VALUES ('anna', 'Anna', 'shell:me'), ('bert', 'Bert', 'anna')",
        "INSERT INTO person_roles (person, role, granted, granted_by) VALUES ('anna', 'admin', true, 'shell:me')",
        "INSERT INTO decisions (workflow, case_id, night, option, reason, spec_hash, data_versions, attempt, run_id) "
        "SELECT workflow, 'put in', night, option, reason, spec_hash, data_versions, attempt, run_id FROM decisions",
    )
    return ledger


def test_what_the_chain_never_held_is_taken_in_once_and_what_was_put_in_past_it_is_not(older: PostgresLedger) -> None:
    assert set(found(older)) == {
        ("people", "ledger_inserted"), ("person_roles", "ledger_inserted"), ("decisions", "ledger_inserted")
    }  # fmt: skip
    assert adopt(older.url) > 0
    assert found(older) == {("decisions", "ledger_inserted"): 1}
    length = AuditTrail(older.url).length()
    assert adopt(older.url) == 0
    assert AuditTrail(older.url).length() == length


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("UPDATE people SET shown = 'Anna B.' WHERE name = 'anna'", ("people", "ledger_changed")),
        ("UPDATE people SET password_hash = 'x' WHERE name = 'anna'", ("people", "ledger_changed")),
        ("INSERT INTO people (name, shown, created_by) VALUES ('eve', 'Eve', 'anna')", ("people", "ledger_inserted")),
        ("UPDATE person_roles SET role = 'approver'", ("person_roles", "ledger_changed")),
        (
            "INSERT INTO person_roles (person, role, granted, granted_by) VALUES ('bert', 'admin', true, 'anna')",
            ("person_roles", "ledger_inserted"),
        ),
        ("DELETE FROM people WHERE name = 'bert'", ("people", "ledger_removed")),
    ],
)
def test_what_is_tampered_with_later_is_told_and_never_taken_in(
    older: PostgresLedger, tampering: str, told: tuple[str, str]
) -> None:
    run(older, "DELETE FROM decisions WHERE case_id = 'put in'")
    adopt(older.url)
    assert found(older) == {}
    run(older, tampering)
    assert adopt(older.url) == 0
    assert found(older) == {told: 1}


def test_a_column_that_joins_later_is_taken_in_by_itself(
    older: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(older, "DELETE FROM decisions WHERE case_id = 'put in'")
    whole = MATRIX["people"]
    before = replace(whole, latest="email password_hash issuer subject active", apart={"shown": "not yet"})
    monkeypatch.setitem(MATRIX, "people", before)
    adopt(older.url)
    # what the chain vouched for before is not taken in a second time, changed as it is
    run(older, "UPDATE people SET active = false WHERE name = 'anna'")
    monkeypatch.setitem(MATRIX, "people", whole)
    assert adopt(older.url) == 2
    assert found(older) == {("people", "ledger_changed"): 1}
    run(older, "UPDATE people SET active = true WHERE name = 'anna'")
    assert found(older) == {}
    run(older, "UPDATE people SET shown = 'somebody' WHERE name = 'anna'")
    assert found(older) == {("people", "ledger_changed"): 1}
