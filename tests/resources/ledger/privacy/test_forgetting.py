from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from pipeline_project.domain.audit.findings import Tampering
from pipeline_project.domain.core.errors import ForgettingRefused, HoldRefused
from pipeline_project.domain.privacy.seal import NOBODY
from resources.ledger.audit.comparison import compare_ledger
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.privacy.forgetting import Forgetting, holds_of
from resources.ledger.privacy.keyring import PostgresKeyring
from resources.postgres.databases import engine_of


@pytest.fixture
def engine(ledger: PostgresLedger, ledger_database: str) -> Engine:
    return engine_of(ledger_database)


@pytest.fixture
def ring(engine: Engine, tmp_path: Path) -> PostgresKeyring:
    return PostgresKeyring(engine, tmp_path / "keys")


@pytest.fixture
def forgetting(engine: Engine) -> Forgetting:
    return Forgetting(engine)


def named(ring: PostgresKeyring, subject: str) -> str:
    (name,) = ring.pseudonyms([subject])
    assert name is not None
    return name


def test_a_forgotten_subject_cannot_be_opened_and_does_not_come_back(
    ring: PostgresKeyring, forgetting: Forgetting
) -> None:
    anna, bert = named(ring, "anna"), named(ring, "bert")
    tokens = ring.seal([anna, bert], "message", ["a", "b"])
    assert forgetting.forget(anna, "w", "shell:me", "asked") is True
    assert forgetting.forget(anna, "w", "shell:me", "asked") is False
    assert ring.open(tokens) == [None, "b"]
    assert named(ring, "anna") == anna and ring.seal([anna], "message", ["a"]) == [None]
    known = forgetting.subject(anna)
    assert known is not None and known.forgotten is not None
    assert forgetting.subject("s-" + "a" * 30) is None


def test_forgetting_is_a_fact_of_the_chain(ring: PostgresKeyring, forgetting: Forgetting, engine: Engine) -> None:
    anna = named(ring, "anna")
    forgetting.forget(anna, "w", "shell:me", "asked")
    with engine.begin() as connection:
        (row,) = connection.execute(text("SELECT kind, workflow FROM audit_batches")).all()
        body, emptied = connection.scalars(text("SELECT body FROM audit_rows ORDER BY position")).all()
    assert tuple(row) == ("forgotten", "w") and anna in body and '"anna"' not in body
    said = json.loads(emptied)
    assert (said["pseudonym"], said["forgotten_by"]) == (anna, "shell:me")
    assert {name for name, value in said.items() if value is None} == {"wrapped_key", "sealed_id"}


def test_a_key_that_comes_back_is_found(ring: PostgresKeyring, forgetting: Forgetting, engine: Engine) -> None:
    """As somebody would do who puts an older copy of the table back: what forgetting emptied stays empty."""
    anna = named(ring, "anna")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE older AS TABLE subject_keys"))
    forgetting.forget(anna, "w", "shell:me", "asked")

    def found() -> list[str]:
        with engine.connect() as connection:
            return [finding.what for table in compare_ledger(connection) for finding in table.findings]

    assert found() == []
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE subject_keys SET wrapped_key = older.wrapped_key, sealed_id = older.sealed_id, "
                "forgotten_at = NULL, forgotten_by = NULL FROM older WHERE older.pseudonym = subject_keys.pseudonym"
            )
        )
        connection.execute(text("DROP TABLE older"))
    assert found() == [Tampering.LEDGER_CHANGED]


def test_nobody_and_strangers_are_not_forgotten(ring: PostgresKeyring, forgetting: Forgetting) -> None:
    ring.seal([None], "message", ["x"])
    for name in (NOBODY, "s-" + "a" * 30):
        with pytest.raises(ForgettingRefused, match="nothing is sealed"):
            forgetting.forget(name, "w", "shell:me", "asked")
    assert forgetting.subject(NOBODY) is not None


def test_a_legal_hold_wins_until_it_is_lifted(ring: PostgresKeyring, forgetting: Forgetting) -> None:
    anna = named(ring, "anna")
    for workflow, pseudonym in ((None, anna), ("w", None), ("other", None)):
        number = forgetting.hold(workflow, pseudonym, "court", "shell:me")
        with pytest.raises(ForgettingRefused, match=f"hold {number} stands"):
            forgetting.forget(anna, "w", "shell:me", "asked", workflows=["other"])
        with pytest.raises(HoldRefused, match="already"):
            forgetting.hold(workflow, pseudonym, "court", "shell:me")
        forgetting.lift(number, "shell:me")
        with pytest.raises(HoldRefused, match="no hold"):
            forgetting.lift(number, "shell:me")
    forgetting.hold("elsewhere", None, "court", "shell:me")
    assert forgetting.forget(anna, "w", "shell:me", "asked", workflows=["other"]) is True
    with pytest.raises(HoldRefused, match="forgotten"):
        forgetting.hold(None, anna, "court", "shell:me")
    held = holds_of(forgetting.holds(), "elsewhere")
    assert held.workflow and not held.subjects


@pytest.mark.parametrize(("workflow", "pseudonym", "reason"), [(None, None, "r"), ("w", "s-x", "r"), ("w", None, " ")])
def test_a_hold_says_on_what_and_why(
    forgetting: Forgetting, workflow: str | None, pseudonym: str | None, reason: str
) -> None:
    with pytest.raises(HoldRefused, match="reason"):
        forgetting.hold(workflow, pseudonym, reason, "shell:me")


def test_a_note_ends_with_its_subject_or_its_month(
    ring: PostgresKeyring, forgetting: Forgetting, engine: Engine
) -> None:
    anna, bert = named(ring, "anna"), named(ring, "bert")
    tokens = ring.seal([anna, bert, None], "note/w", ["a", "sealed:1:s-none:eA==", "n"])
    assert ring.open(tokens) == ["a", "sealed:1:s-none:eA==", "n"]
    assert ring.open([*tokens, *ring.seal([bert], "message", ["m"]), None])[3:] == ["m", None]
    forgetting.forget(anna, "w", "shell:me", "asked")
    assert ring.open(tokens) == [None, "sealed:1:s-none:eA==", "n"]
    with engine.begin() as connection:
        month = connection.scalar(text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')"))
        from resources.ledger.privacy.forgetting import destroy

        assert len(destroy(connection, [ring.period("note/w", str(month))], "shell:me")) == 1
    assert ring.open(tokens) == [None, None, None]
