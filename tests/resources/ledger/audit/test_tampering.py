"""Tampering in every way the chaos suite knows, a few times each; `python -m benchmarks.chaos.audit` does it more."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks.chaos.audit import run, write_chain
from pipeline_project.domain.audit.findings import Tampering
from resources.ledger.audit.trail import AuditTrail
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of

TIMES, SEED = 4, 100


def test_all_tampering_older_than_the_last_checkpoint_is_found(ledger: PostgresLedger, tmp_path: Path) -> None:
    signer = write_chain(ledger.url, tmp_path / "checkpoints", tmp_path / "keys", batches=15, rows=8)
    before = AuditTrail(ledger.url).verify(signer.read())
    assert before.verdict.intact and before.verdict.vouched == signer.read()[-1]
    assert {each.table: each.outside for each in before.tables if each.facts} == {
        "workflow_versions": 0,
        "decisions": 0,
    }

    counted = run(ledger.url, signer, list(Tampering), TIMES, SEED)
    assert {each.what: each.missed for each in counted} == {what: [] for what in Tampering}
    names = {Tampering.MOVED, Tampering.TRUNCATED, Tampering.RECHAINED, *list(Tampering)[8:]}
    assert all(each.named == TIMES for each in counted if each.what in names)

    unsigned = {each.what for each in run(ledger.url, signer, list(Tampering), 2, SEED, signed=False) if each.missed}
    assert unsigned == {Tampering.TRUNCATED, Tampering.RECHAINED, Tampering.CHECKPOINT_REMOVED}
    assert AuditTrail(ledger.url).verify(signer.read()).verdict.intact  # each act was undone


def test_a_decision_that_the_chain_does_not_hold_is_found(ledger: PostgresLedger, tmp_path: Path) -> None:
    signer = write_chain(ledger.url, tmp_path / "checkpoints", tmp_path / "keys", batches=3, rows=3)
    with engine_of(ledger.url).begin() as connection:
        # whoever owns the database can put its guards to sleep
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text(
                "INSERT INTO decisions (workflow, case_id, night, option, reason, spec_hash, data_versions, attempt, "
                "run_id) SELECT workflow, 'C-late', night, option, reason, spec_hash, data_versions, attempt, run_id "
                "FROM decisions LIMIT 1"
            )
        )
    checked = AuditTrail(ledger.url).verify(signer.read())
    assert [each.what for each in checked.verdict.findings] == [Tampering.LEDGER_INSERTED]
    assert "C-late" not in checked.verdict.findings[0].words


@pytest.mark.parametrize("time", ["200000-01-01", "infinity", "4000-01-01 BC"])
def test_a_time_of_the_chain_that_nobody_can_hold_is_found(ledger: PostgresLedger, tmp_path: Path, time: str) -> None:
    signer = write_chain(ledger.url, tmp_path / "checkpoints", tmp_path / "keys", batches=3, rows=3)
    with engine_of(ledger.url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE audit_batches SET at = :time WHERE number = 2"), {"time": time})
    found = AuditTrail(ledger.url).verify(signer.read()).verdict.findings
    assert found and found[0].batch == 2
