"""Who may sign what: the database's own rules, two people at once, and a history that only grows."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from benchmarks.passed import passed
from pipeline_project.domain.core.errors import PromotionRefused
from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.lifecycle.proposing import ModelProposal
from resources.ledger.models.proposals import PostgresPromotions
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of

FLOW = "claims"
AT_ONCE = RolloutTerms(shadow_nights=0, steps=())
FIRST = ModelVersion(FLOW, "1", "2025-03-01", "1" * 64, "run-1", {})
SECOND = ModelVersion(FLOW, "2", "2025-04-01", "2" * 64, "run-2", {"auc": 0.8}, "2025-03-10", "anna")


def proposed(model: ModelVersion = SECOND, base: str = "1", **changes: object) -> ModelProposal:
    made = ModelProposal(
        FLOW, model.version, model.night, model.digest, base, "5" * 64, model.trained_by, True, 0.02,
        [{"name": "money", "passed": True, "detail": "better", "figures": {}}], {"money": {"value": -0.2}}, "# Card",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def promotions(ledger: PostgresLedger) -> PostgresPromotions:
    """A workflow with a champion and one decided night."""
    ledger.record_workflow(FLOW, "5" * 64, {"name": FLOW})
    ledger.record_champion(FLOW, FIRST, "2025-03-01", "the first model")
    attempt = ledger.begin_attempt(FLOW, "2025-03-31", "run")
    ledger.record_decisions(FLOW, "2025-03-31", attempt, [], basis=passed(ledger, FLOW, "2025-03-31"))
    return PostgresPromotions(ledger.url)


def proposal_of(promotions: PostgresPromotions, made: ModelProposal, model: ModelVersion = SECOND) -> int:
    (number,) = promotions.propose([(made, model)])
    return number


def test_a_proposal_waits_until_it_is_signed_and_then_its_model_decides(
    promotions: PostgresPromotions, ledger: PostgresLedger
) -> None:
    made = proposed()
    number = proposal_of(promotions, made)
    assert proposal_of(promotions, made) == number, "the same one twice is one"
    (waits,) = promotions.awaiting()
    assert (waits.id, waits.hash, waits.trained_by) == (number, made.hash, "anna")

    assert promotions.sign(number, made.hash, "cleo", AT_ONCE, "looks right") == "2025-04-01"

    assert promotions.awaiting() == []
    assert ledger.champion(FLOW, "2025-03-31") == FIRST
    assert ledger.champion(FLOW, "2025-04-01") == replace(SECOND, metrics={"auc": 0.8})
    found = promotions.proposal(number)
    assert found is not None and (found.person, found.verdict, found.note) == ("cleo", "sign", "looks right")
    assert [row.version for row in promotions.champions(FLOW)] == ["2", "1"]


@pytest.mark.parametrize("person", ["anna", "Anna", "ANNA"])
def test_nobody_signs_what_they_trained(promotions: PostgresPromotions, person: str) -> None:
    made = proposed()
    number = proposal_of(promotions, made)
    with pytest.raises(PromotionRefused, match="you trained this model"):
        promotions.sign(number, made.hash, person, AT_ONCE)
    assert [each.id for each in promotions.awaiting()] == [number]


def test_a_signature_is_about_what_was_shown(promotions: PostgresPromotions) -> None:
    made = proposed()
    number = proposal_of(promotions, made)
    with pytest.raises(PromotionRefused, match="not what you were shown"):
        promotions.sign(number, "0" * 64, "cleo", AT_ONCE)


def test_the_database_itself_refuses_what_a_program_forgets(promotions: PostgresPromotions) -> None:
    made = proposed()
    number = proposal_of(promotions, made)
    wrong = {
        "four_eyes": {"person": "anna"},
        "fk_model_signatures_proposal": {"proposal_hash": "0" * 64},
        "verdict_is_known": {"verdict": "maybe"},
    }
    row = {
        "proposal_id": number, "proposal_hash": made.hash, "trained_by": "anna", "passed": True, "person": "cleo",
        "verdict": "sign",
    }  # fmt: skip
    statement = text(
        "INSERT INTO model_signatures (proposal_id, proposal_hash, trained_by, passed, person, verdict) "
        "VALUES (:proposal_id, :proposal_hash, :trained_by, :passed, :person, :verdict)"
    )
    for rule, changes in wrong.items():
        with pytest.raises(IntegrityError, match=rule), engine_of(promotions.url).begin() as connection:
            connection.execute(statement, {**row, **changes})
    failed = proposed(passed=False)
    refused = proposal_of(promotions, failed)
    with pytest.raises(IntegrityError, match="only_what_passed"), engine_of(promotions.url).begin() as connection:
        other = {"proposal_id": refused, "proposal_hash": failed.hash, "passed": False}
        connection.execute(statement, {**row, **other})
    with pytest.raises(DBAPIError), engine_of(promotions.url).begin() as connection:
        connection.execute(text("UPDATE model_proposals SET passed = true"))


def test_what_a_gate_stopped_is_kept_and_cannot_be_signed(promotions: PostgresPromotions) -> None:
    made = proposed(passed=False)
    number = proposal_of(promotions, made)
    assert promotions.awaiting() == []
    assert [each.id for each in promotions.proposals(FLOW)] == [number]
    with pytest.raises(PromotionRefused, match="a gate refused it"):
        promotions.sign(number, made.hash, "cleo", AT_ONCE)


def test_a_no_needs_a_reason_and_is_the_last_word(promotions: PostgresPromotions) -> None:
    made = proposed()
    number = proposal_of(promotions, made)
    with pytest.raises(PromotionRefused, match="say why"):
        promotions.refuse(number, made.hash, "cleo", " ")
    promotions.refuse(number, made.hash, "cleo", "harms the small shops")
    with pytest.raises(PromotionRefused, match="answered by cleo: refuse"):
        promotions.sign(number, made.hash, "dora", AT_ONCE)
    assert promotions.awaiting() == []


def test_two_who_sign_two_models_at_once_are_taken_in_turn(
    promotions: PostgresPromotions, ledger: PostgresLedger
) -> None:
    third = replace(SECOND, version="3", digest="3" * 64, run_id="run-3")
    made = {"2": proposed(), "3": proposed(third)}
    numbers = promotions.propose([(made["2"], SECOND), (made["3"], third)])
    gate, said = threading.Barrier(2), []

    def sign(number: int, version: str) -> None:
        gate.wait()
        try:
            promotions.sign(number, made[version].hash, "cleo", AT_ONCE)
            said.append("signed")
        except PromotionRefused as refused:
            said.append(str(refused))

    both = [threading.Thread(target=sign, args=pair) for pair in zip(numbers, made, strict=True)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(word == "signed" for word in said) == [False, True]
    assert any("decides now; train and compare again" in word for word in said)
    assert len(promotions.champions(FLOW)) == 2


def test_during_a_rollout_nobody_signs_another_one(promotions: PostgresPromotions) -> None:
    third = replace(SECOND, version="3", digest="3" * 64, run_id="run-3")
    made = {"2": proposed(), "3": proposed(third)}
    two, three = promotions.propose([(made["2"], SECOND), (made["3"], third)])
    promotions.sign(two, made["2"].hash, "cleo", RolloutTerms())
    assert promotions.awaiting() == []
    assert [row.version for row in promotions.champions(FLOW)] == ["1"], "it decides nothing yet"
    with pytest.raises(PromotionRefused, match="version 2 is being rolled out"):
        promotions.sign(three, made["3"].hash, "cleo", RolloutTerms())


def test_one_older_than_the_champion_is_refused(promotions: PostgresPromotions) -> None:
    old = replace(SECOND, night="2025-02-01")
    made = proposed(old)
    number = proposal_of(promotions, made, old)
    with pytest.raises(PromotionRefused, match="before the champion"):
        promotions.sign(number, made.hash, "cleo", AT_ONCE)


def test_before_the_first_decided_night_there_is_nothing_to_roll_out_on(ledger: PostgresLedger) -> None:
    ledger.record_champion(FLOW, FIRST, "2025-03-01", "the first model")
    promotions, made = PostgresPromotions(ledger.url), proposed()
    number = proposal_of(promotions, made)
    with pytest.raises(PromotionRefused, match="nothing to roll out on"):
        promotions.sign(number, made.hash, "cleo", AT_ONCE)
    assert [each.id for each in promotions.awaiting()] == [number]


def test_an_unknown_proposal_is_told(promotions: PostgresPromotions) -> None:
    with pytest.raises(PromotionRefused, match="there is no proposal 99"):
        promotions.sign(99, "0" * 64, "cleo", AT_ONCE)
    assert promotions.proposal(99) is None


def test_all_of_it_stands_in_the_chain(promotions: PostgresPromotions, ledger: PostgresLedger) -> None:
    made = proposed()
    number = proposal_of(promotions, made)
    promotions.sign(number, made.hash, "cleo", AT_ONCE)
    with engine_of(ledger.url).connect() as connection:
        kinds = set(connection.scalars(text("SELECT kind FROM audit_batches")))
    assert {"champions", "model_proposals", "model_signatures"} <= kinds
