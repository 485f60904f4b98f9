"""`pipeline audit`, called as from a shell, on a ledger with two decided nights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pipeline_project.commands.shared.console import Exit
from pipeline_project.domain.core.people import NewAccount, PersonRole
from resources.ledger.audit.adopt import adopt
from resources.ledger.audit.chain import append
from resources.ledger.audit.checkpoint_file import FILE
from resources.ledger.audit.facts import Fact
from resources.ledger.people.accounts import PostgresPeople
from resources.postgres.databases import databases, engine_of
from tests.commands.conftest import NAME, REFUNDED, Call, Home, Said


@pytest.fixture
def audit(call: Call, home: Home) -> Iterator[Any]:
    """Calls `pipeline audit WORDS`; the chain holds the home's decisions and one answer."""
    url = databases(home.settings).ledger_url
    adopt(url)
    with engine_of(url).begin() as connection:
        append(connection, "answers", NAME, [Fact(None, {"case_id": REFUNDED, "person": "anna", "option": "refund"})])

    def called(*words: object) -> Said:
        return call("audit", *words, **home.environ)

    yield called


@pytest.fixture
def tampered(home: Home, untouched: None) -> None:
    """A row whose body was changed."""
    with engine_of(databases(home.settings).ledger_url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE audit_rows SET body = '{}' WHERE batch = 1 AND position = 0"))


def test_a_sound_chain_is_said_to_be_sound_once_it_is_signed(audit: Any) -> None:
    assert "Signed the chain up to batch" in audit("checkpoint").out
    assert "Nothing was added" in audit("checkpoint").out
    said = audit("verify")
    assert said.code == Exit.DONE
    assert "Nothing was tampered with." in said.out and "Everything up to batch" in said.out
    document = audit("verify", "--json").document
    assert document["intact"] and document["findings"] == [] and document["vouched"]["number"] > 0
    (decisions,) = [each for each in document["tables"] if each["table"] == "decisions"]
    assert decisions["facts"] > 0 and decisions["covered"] and decisions["outside"] == 0


def test_tampering_has_an_exit_code_of_its_own(audit: Any, tampered: None) -> None:
    said = audit("verify", "--chain-only")
    assert said.code == Exit.TAMPERED
    assert "row 0 of batch 1" in said.out and "Keep the database as it is" in said.out
    document = audit("verify", "--json").document
    assert not document["intact"] and document["findings"][0]["what"] == "changed"


def test_a_search_finds_what_somebody_did(audit: Any) -> None:
    said = audit("search", "--person", "anna", "--limit", 1)
    assert said.code == Exit.DONE
    assert REFUNDED in said.out and "anna" in said.out
    (entry,) = audit("search", "--person", "anna", "--limit", 1, "--json").document["entries"]
    assert entry["said"]["option"] == "refund"
    assert audit("search", "--person", "anna", "--from", "2999-01-01", "--json").document["entries"] == []


def test_pages_go_on_where_they_ended(audit: Any) -> None:
    first = audit("search", "--limit", 1, "--json").document
    then = audit("search", "--limit", 1, "--before", first["older"], "--json").document
    assert then["entries"] != first["entries"]
    assert audit("search", "--before", "x").code == Exit.WRONG_CALL


def test_a_proof_is_shown_and_holds(audit: Any) -> None:
    audit("checkpoint")
    said = audit("proof", 1, 0)
    assert said.code == Exit.DONE and "holds" in said.out
    document = audit("proof", 1, 0, "--json").document
    assert document["holds"] and document["checkpoint"]["number"] >= 1
    assert audit("proof", 1, 999).code == Exit.NOT_FOUND


def test_a_proof_of_a_changed_row_does_not_hold(audit: Any, tampered: None) -> None:
    assert audit("proof", 1, 0).code == Exit.TAMPERED


def test_a_public_key_that_is_missing_is_said_to_be(audit: Any) -> None:
    said = audit("verify", "--public-key", "/nowhere/key.pem")
    assert said.code == Exit.TAMPERED and "there is no public key at" in said.err


@pytest.fixture
def cut(home: Home, audit: Any, untouched: None) -> int:
    """A chain that lacks its newest batches, as after the restore of an older ledger; gives the last batch that was
    signed."""
    url = databases(home.settings).ledger_url
    file = Path(home.settings.checkpoints) / FILE
    audit("checkpoint")
    first = len(file.read_text().splitlines())
    with engine_of(url).begin() as connection:
        append(connection, "answers", NAME, [Fact(None, {"case_id": REFUNDED, "person": "anna", "option": "refund"})])
    audit("checkpoint")
    lines = file.read_text().splitlines()
    assert len(lines) == first + 1
    said = json.loads(lines[-1])
    with engine_of(url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for name, column in (("audit_rows", "batch"), ("audit_batches", "number")):
            connection.execute(text(f"DELETE FROM {name} WHERE {column} >= :number"), {"number": said["number"]})
    return int(said["number"])


def test_an_auditor_accepts_that_an_older_ledger_was_restored(audit: Any, cut: int, home: Home, tmp_path: Path) -> None:
    accounts = PostgresPeople(databases(home.settings).ledger_url)
    accounts.add(NewAccount("olga.audit", "Olga", [PersonRole.AUDITOR], "a long enough password"), "test")
    accounts.add(NewAccount("adam.audit", "Adam", [PersonRole.ADMIN], "a long enough password"), "test")
    password, wrong = tmp_path / "password", tmp_path / "wrong"
    password.write_text("a long enough password\n", encoding="utf-8")
    wrong.write_text("another one\n", encoding="utf-8")
    said = audit("checkpoint")
    assert said.code == Exit.TAMPERED and "pipeline audit accept-break" in said.err
    said = audit("verify")
    assert said.code == Exit.TAMPERED and "accept-break --as NAME --reason WORDS" in " ".join(said.out.split())

    said = audit("accept-break", "--dry-run")
    assert said.code == Exit.DONE and f"signed over batch {cut}," in said.out and "Nothing was signed" in said.out
    assert audit("accept-break", "--dry-run", "--json").document["lost"]["number"] == cut
    accept = ("accept-break", "--reason", "disk lost", "--password-file")
    assert audit("accept-break", "--as", "olga.audit").code == Exit.WRONG_CALL
    assert audit("accept-break", "--reason", "disk lost").code == Exit.WRONG_CALL
    said = audit(*accept, password, "--as", "adam.audit")
    assert said.code == Exit.NIGHT_FAILED and "is no auditor" in said.err
    assert audit(*accept, wrong, "--as", "olga.audit").code == Exit.NIGHT_FAILED
    assert audit("checkpoint").code == Exit.TAMPERED  # none of these changed anything

    said = audit(*accept, password, "--as", "olga.audit")
    assert said.code == Exit.DONE and "Accepted by olga.audit" in said.out
    said = audit("verify")
    assert said.code == Exit.DONE
    told = " ".join(said.out.split())
    assert 'BREAK, accepted because of "disk lost"' in told and f"to {cut} were signed" in told
    assert "olga.audit accepted" in told and "Nothing was tampered with, apart from the break above." in told
    (document,) = audit("verify", "--json").document["breaks"]
    assert document["lost"]["number"] == cut and document["by"] == "olga.audit"
    said = audit(*accept, password, "--as", "olga.audit")
    assert said.code == Exit.NIGHT_FAILED and "there is no break to accept" in said.err


@pytest.mark.parametrize("words", [(), ("verify",), ("checkpoint",), ("search",), ("proof",), ("accept-break",)])
def test_help_shows_examples(audit: Any, words: tuple[str, ...]) -> None:
    said = audit(*words, "--help")
    assert said.code == 0 and "Example" in said.out and "--json" in said.out
    assert max(len(line) for line in said.out.splitlines()) <= 80
