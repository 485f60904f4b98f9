"""The database decides and releases nothing whose checks have not passed, whatever the program tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from benchmarks.passed import BASES, leave_passed, passed
from pipeline_project.domain.core.errors import LedgerRefused, NightUndecided
from pipeline_project.domain.deciding.clearance import ALWAYS, NIGHT_IS_SOUND, Basis, CheckVerdict, Step
from resources.ledger.audit.comparison import compare_ledger
from resources.ledger.nights import ledger as ledger_module
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of
from tests.resources.ledger.test_decisions import FLOW, NIGHT, decision

DECIDED, RELEASED = BASES["decisions"], BASES["release"]


@pytest.fixture
def known(ledger: PostgresLedger) -> PostgresLedger:
    ledger.record_workflow(FLOW, "spec", {"name": FLOW})
    return ledger


def told(ledger: PostgresLedger, check: str, holds: bool, judged: Mapping[str, str] = RELEASED.judged) -> None:
    ledger.record_verdict(
        FLOW, NIGHT, CheckVerdict(check, holds, "half of the rows" if not holds else "", judged), "run"
    )


def decide(ledger: PostgresLedger, basis: Basis = DECIDED) -> None:
    attempt = ledger.begin_attempt(FLOW, NIGHT, "run")
    ledger.record_decisions(FLOW, NIGHT, attempt, [decision("a")], basis=basis)


def nothing_happened(ledger: PostgresLedger) -> bool:
    with engine_of(ledger.url).connect() as connection:
        found = connection.execute(
            text("SELECT (SELECT count(*) FROM decisions), (SELECT count(*) FROM releases), "
                 "(SELECT count(*) FROM night_clearances)")
        ).one()  # fmt: skip
    return tuple(found) == (0, 0, 0)


def test_without_verdicts_nothing_is_decided(known: PostgresLedger) -> None:
    with pytest.raises(LedgerRefused, match="night_is_cleared"):
        decide(known)
    assert nothing_happened(known)


@pytest.mark.parametrize("check", ALWAYS["decisions"])
def test_each_check_alone_stops_the_night(known: PostgresLedger, check: str) -> None:
    passed(known, FLOW, NIGHT)
    told(known, check, False, DECIDED.judged)
    with pytest.raises(LedgerRefused):
        decide(known)
    # leaving a check out of what is asked for does not get round it
    with pytest.raises(LedgerRefused):
        decide(known, Basis(DECIDED.judged, ()))
    assert nothing_happened(known)
    told(known, check, True, DECIDED.judged)
    decide(known)


def test_verdicts_over_another_writing_of_a_table_count_for_nothing(known: PostgresLedger) -> None:
    passed(known, FLOW, NIGHT)
    with pytest.raises(LedgerRefused):
        decide(known, Basis({**DECIDED.judged, "cases": "second"}, DECIDED.checks))
    with pytest.raises(LedgerRefused):
        decide(known, Basis({**DECIDED.judged, "spec": "another"}, DECIDED.checks))
    assert nothing_happened(known)


def test_a_check_of_the_spec_is_asked_for_as_well(known: PostgresLedger) -> None:
    passed(known, FLOW, NIGHT)
    with pytest.raises(LedgerRefused):
        decide(known, Basis(DECIDED.judged, (*DECIDED.checks, "embeddings_contract")))


def test_a_decided_night_is_released_only_after_its_decisions_were_looked_at(known: PostgresLedger) -> None:
    passed(known, FLOW, NIGHT)
    decide(known)
    told(known, "decisions_contract", False)
    with pytest.raises(LedgerRefused):
        known.release(FLOW, NIGHT, "run", basis=RELEASED)
    told(known, "decisions_contract", True)
    assert known.release(FLOW, NIGHT, "run", basis=RELEASED) == 0
    assert known.release(FLOW, NIGHT, "run", basis=RELEASED) == 0


def test_a_night_that_broke_after_it_was_decided_is_not_released(known: PostgresLedger) -> None:
    passed(known, FLOW, NIGHT)
    decide(known)
    again = {**RELEASED.judged, "cases": "second"}
    for check in ALWAYS["release"]:
        told(known, check, check != NIGHT_IS_SOUND, again)
    with pytest.raises(LedgerRefused):
        known.release(FLOW, NIGHT, "run", basis=Basis(again, ALWAYS["release"]))
    # and where the newer tables pass, the decisions were made on the older ones
    told(known, NIGHT_IS_SOUND, True, again)
    with pytest.raises(LedgerRefused):
        known.release(FLOW, NIGHT, "run", basis=Basis(again, ALWAYS["release"]))


def test_a_night_that_was_never_decided_is_not_released(known: PostgresLedger) -> None:
    passed(known, FLOW, NIGHT)
    with pytest.raises(NightUndecided):
        known.release(FLOW, NIGHT, "run", basis=RELEASED)


INSERTS = {
    "decisions": "INSERT INTO decisions (workflow, case_id, night, option, reason, spec_hash, data_versions, attempt, "
    "run_id) VALUES ('returns', 'x', '2026-03-04', 'refund', 'cheapest', 'spec', '{}', 2, 'run')",
    "releases": "INSERT INTO releases (workflow, night, attempt, run_id) VALUES ('returns', '2026-03-04', 2, 'run')",
    "night_clearances": "INSERT INTO night_clearances (workflow, night, step, attempt, run_id, judged, checks) "
    "VALUES ('returns', '2026-03-05', 'release', 1, 'run', '{\"cases\": \"first\", \"spec\": \"spec\"}', '[]')",
    "night_verdicts": "INSERT INTO night_verdicts (workflow, night, check_name, passed, words, judged, run_id) "
    "VALUES ('returns', '2026-03-04', 'night_is_sound', true, '', '{}', 'run')",
}


@pytest.mark.parametrize("table", INSERTS)
def test_the_database_refuses_what_gets_round_the_program(known: PostgresLedger, table: str) -> None:
    passed(known, FLOW, NIGHT)
    decide(known)  # a clearance of the first attempt says nothing of a second one
    with pytest.raises(DBAPIError), engine_of(known.url).begin() as connection:
        connection.execute(text(INSERTS[table]))


def test_a_person_decides_without_a_clearance_of_the_night(known: PostgresLedger) -> None:
    with engine_of(known.url).begin() as connection:
        connection.execute(text(INSERTS["decisions"].replace(", run_id)", ", run_id, epoch, made_by)").replace(
            "'run')", "'run', 2, 'person:ada')")))  # fmt: skip


@pytest.mark.parametrize("step", ["decisions", "release"])
def test_the_chain_holds_what_let_a_night_through(known: PostgresLedger, step: Step) -> None:
    passed(known, FLOW, NIGHT)
    decide(known)
    if step == "release":
        known.release(FLOW, NIGHT, "run", basis=RELEASED)
    with engine_of(known.url).connect() as connection:
        compared = {each.table: each for each in compare_ledger(connection)}
    assert compared["night_clearances"].facts == (1 if step == "decisions" else 2)
    assert compared["night_verdicts"].facts >= len(ALWAYS[step])
    assert [each.findings for each in compared.values() if each.findings] == []


CHANGES: Mapping[str, tuple[str, Callable[[PostgresLedger], None]]] = {
    "a verdict that failed is turned": (
        "UPDATE night_verdicts SET passed = true",
        lambda ledger: told(ledger, NIGHT_IS_SOUND, False),
    ),
    "a verdict that failed is taken away": (
        "DELETE FROM night_verdicts",
        lambda ledger: told(ledger, NIGHT_IS_SOUND, False),
    ),
    "a clearance names other tables": (
        'UPDATE night_clearances SET judged = \'{"cases": "second"}\'',
        lambda ledger: (passed(ledger, FLOW, NIGHT), decide(ledger), None)[2],
    ),
    "a verdict behind a decision is changed": (
        'UPDATE night_verdicts SET judged = judged || \'{"cases": "second"}\'',
        lambda ledger: (passed(ledger, FLOW, NIGHT), decide(ledger), None)[2],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_verdict_or_clearance_is_found(known: PostgresLedger, what: str) -> None:
    change, before = CHANGES[what]
    before(known)
    with engine_of(known.url).begin() as connection:
        with pytest.raises(DBAPIError), connection.begin_nested():
            connection.execute(text(change))
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(change))
    with engine_of(known.url).connect() as connection:
        assert [each.table for each in compare_ledger(connection) if each.findings]


def test_of_a_check_over_the_same_tables_the_last_word_is_told(known: PostgresLedger) -> None:
    with engine_of(known.url).begin() as connection:
        leave_passed(connection, FLOW, NIGHT)
    told(known, NIGHT_IS_SOUND, False, DECIDED.judged)
    told(known, NIGHT_IS_SOUND, False, {**DECIDED.judged, "cases": "older"})
    found = [(verdict.check, verdict.passed) for verdict in known.verdicts(FLOW, NIGHT)]
    assert found.count((NIGHT_IS_SOUND, False)) == 2
    assert (NIGHT_IS_SOUND, True) not in found
    assert {check for check, _ in found} == set(ALWAYS["release"])


def test_what_another_version_of_the_code_looked_at_lets_nothing_through(
    known: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed(known, FLOW, NIGHT)
    decide(known)
    monkeypatch.setattr(ledger_module, "running_code", lambda: "another")
    with pytest.raises(LedgerRefused, match="night_is_cleared"):
        decide(known)
    with pytest.raises(LedgerRefused, match="night_is_cleared"):
        known.release(FLOW, NIGHT, "run", basis=RELEASED)
    # run whole by the other version, checks included, it goes through
    for check in ALWAYS["release"]:
        told(known, check, True, RELEASED.judged if check == "decisions_contract" else DECIDED.judged)
    decide(known)
    assert known.release(FLOW, NIGHT, "run", basis=RELEASED) == 0
