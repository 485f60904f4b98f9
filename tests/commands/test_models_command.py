"""`pipeline models`: who decides, who wants to, and a signature with the password of an account."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline_project.commands.shared.console import Exit
from pipeline_project.domain.core.model_terms import GateTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.people import NewAccount, PersonRole
from pipeline_project.domain.lifecycle.gates import judge_gates
from pipeline_project.domain.lifecycle.proposing import proposal
from resources.ledger.models.proposals import PostgresPromotions
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.people.accounts import PostgresPeople
from resources.postgres.databases import databases
from tests.commands.conftest import NAME, NIGHT, Call, Home
from tests.domain.lifecycle.test_gating import found

PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def numbers(home: Home) -> tuple[int, int]:
    """One challenger that passed every gate, and one that was stopped; two people with accounts."""
    url = databases(home.settings).ledger_url
    base = PostgresLedger(url).champion(NAME, NIGHT)
    assert base is not None
    model = ModelVersion(NAME, "7", "2025-04-01", "7" * 64, "run-7", {}, "2025-03-01", "anna")
    made = []
    for load in (190, 999):
        result = found(workflow=NAME)
        result = replace(result, candidate=replace(result.candidate, asked=load))
        made.append(proposal(model, base, "5" * 64, judge_gates(result, GateTerms(fewest_nights=3), None), result))
    passed, stopped = PostgresPromotions(url).propose([(each, model) for each in made])
    people = PostgresPeople(url)
    people.add(NewAccount("cleo.models", "Cleo", [PersonRole.MODEL_APPROVER], PASSWORD), "test")
    people.add(NewAccount("rita.models", "Rita", [PersonRole.REVIEWER], PASSWORD), "test")
    return passed, stopped


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    return file


def test_the_list_says_who_decides_and_who_wants_to(call: Call, home: Home, numbers: tuple[int, int]) -> None:
    told = call("models", NAME, **home.environ)
    assert told.code == Exit.DONE
    assert "Who decides" in told.out and "waits for a signature" in told.out and "stopped by load" in told.out
    document = call("models", NAME, "--json", **home.environ).document
    assert document["awaiting"] == [numbers[0]]


def test_one_proposal_with_every_gate(call: Call, home: Home, numbers: tuple[int, int]) -> None:
    told = call("models", NAME, "--proposal", numbers[1], **home.environ)
    assert "NOT PASSED load" in told.out and "passed     money" in told.out
    assert call("models", NAME, "--proposal", 9999, **home.environ).code == Exit.NIGHT_FAILED


def test_a_signature_needs_the_right_account(
    call: Call, home: Home, numbers: tuple[int, int], password: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("something else", encoding="utf-8")
    sign = ("models", NAME, "--sign", numbers[0])
    assert call(*sign, **home.environ).code == Exit.WRONG_CALL
    assert "no terminal" in call(*sign, "--as", "cleo.models", **home.environ).err
    assert call(*sign, "--as", "cleo.models", "--password-file", wrong, **home.environ).code == Exit.NIGHT_FAILED
    told = call(*sign, "--as", "rita.models", "--password-file", password, **home.environ)
    assert told.code == Exit.NIGHT_FAILED and "no model approver" in told.err


def test_what_was_stopped_cannot_be_signed(call: Call, home: Home, numbers: tuple[int, int], password: Path) -> None:
    words = ("models", NAME, "--sign", numbers[1], "--as", "cleo.models", "--password-file", password)
    told = call(*words, **home.environ)
    assert told.code == Exit.NIGHT_FAILED and "a gate refused it" in told.err


def test_a_refusal_with_a_reason(call: Call, home: Home, numbers: tuple[int, int], password: Path) -> None:
    words = ("models", NAME, "--refuse", numbers[0], "--as", "cleo.models", "--password-file", password)
    assert "say why" in call(*words, **home.environ).err
    assert call(*words, "--note", "harms lamps", "--json", **home.environ).document["refused_by"] == "cleo.models"
    assert call("models", NAME, "--json", **home.environ).document["awaiting"] == []
