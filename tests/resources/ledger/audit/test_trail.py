from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from pipeline_project.domain.audit.proofs import holds
from resources.ledger.audit.chain import append
from resources.ledger.audit.checkpoints import Checkpoints
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.trail import AuditTrail, Entry, Sought
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of, pooled_engine


@pytest.fixture
def trail(ledger: PostgresLedger) -> AuditTrail:
    """Seven batches: decisions of five cases by the policy, then one answer each by two people."""
    facts: list[tuple[str, str, list[dict[str, Any]]]] = [
        ("decisions", "returns", [{"case_id": f"C-{case}", "made_by": "policy"} for case in range(5)]),
        *(("answers", "returns", [{"case_id": f"C-{case}", "person": "anna"}]) for case in (0, 1, 2)),
        *(("answers", "tickets", [{"case_id": f"C-{case}", "person": "ben"}]) for case in (2, 3)),
        ("switches", "returns", [{"changed_by": "ben", "stopped": True}]),
    ]
    for kind, workflow, rows in facts:
        with engine_of(ledger.url).begin() as connection:
            append(connection, kind, workflow, [Fact(None, row) for row in rows])
    return AuditTrail(ledger.url)


def places(entries: Any) -> list[tuple[int, int]]:
    return [(entry.batch, entry.position) for entry in entries]


@pytest.mark.parametrize(
    ("sought", "expected"),
    [
        (Sought(case_id="C-2"), [(5, 0), (4, 0), (1, 2)]),
        (Sought(case_id="C-2", workflow="returns"), [(4, 0), (1, 2)]),
        (Sought(person="ben"), [(7, 0), (6, 0), (5, 0)]),
        (Sought(person="ben", kind="answers"), [(6, 0), (5, 0)]),
        (Sought(kind="switches"), [(7, 0)]),
        (Sought(case_id="C-9"), []),
    ],
)
def test_a_search_finds_what_was_recorded_newest_first(
    trail: AuditTrail, sought: Sought, expected: list[tuple[int, int]]
) -> None:
    assert places(trail.search(sought).entries) == expected


def test_a_search_by_time_takes_the_beginning_and_leaves_the_end(trail: AuditTrail) -> None:
    at = trail.search(Sought(kind="switches")).entries[0].at
    assert places(trail.search(Sought(since=at)).entries) == [(7, 0)]
    assert (7, 0) not in places(trail.search(Sought(until=at)).entries)
    assert trail.search(Sought(since=at + timedelta(seconds=1))).entries == []


def test_pages_follow_each_other_without_gap_or_double(trail: AuditTrail) -> None:
    seen: list[Entry] = []
    page = trail.search(Sought(), limit=3)
    while True:
        seen += page.entries
        if page.older is None:
            break
        page = trail.search(Sought(), limit=3, before=page.older)
    assert places(seen) == places(trail.search(Sought(), limit=100).entries)
    assert len(seen) == 11


def test_an_entry_is_the_fact_as_it_was_given(trail: AuditTrail) -> None:
    (entry,) = trail.search(Sought(kind="switches")).entries
    assert entry.said == {"changed_by": "ben", "stopped": True}
    assert (entry.workflow, entry.person, entry.case_id) == ("returns", "ben", None)


def test_a_proof_leads_to_the_first_checkpoint_after_its_fact(trail: AuditTrail, tmp_path: Path) -> None:
    signer = Checkpoints(trail.url, str(tmp_path), tmp_path / "keys")
    unsigned = trail.proof(1, 3)
    assert unsigned is not None and unsigned.checkpoint is None and holds(unsigned)
    signed = signer.checkpoint()
    proof = trail.proof(1, 3, signer.read())
    assert proof is not None and holds(proof)
    assert proof.body == '{"case_id":"C-3","made_by":"policy"}'
    assert proof.checkpoint == signed and [link.number for link in proof.links] == list(range(1, 8))
    assert not holds(replace(proof, body=proof.body.replace("C-3", "C-4")))


def test_there_is_no_proof_of_a_row_that_is_not_there(trail: AuditTrail) -> None:
    assert trail.proof(1, 5) is None
    assert trail.proof(99, 0) is None


def test_a_check_streams(ledger: PostgresLedger) -> None:
    """Rows come through cursors of the server's, and what Python holds does not grow with the chain."""
    named = []

    @event.listens_for(pooled_engine(ledger.url), "before_cursor_execute")
    def remember(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if "audit_rows.body" in statement and "LIMIT" not in statement:
            named.append(cursor.name)

    def grow(batches: int) -> int:
        with engine_of(ledger.url).begin() as connection:
            for _ in range(batches):
                append(connection, "answers", "returns", [Fact(None, {"case_id": "C", "words": "x" * 200})] * 500)
        tracemalloc.start()
        assert AuditTrail(ledger.url).verify([]).verdict.intact
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    grow(4)
    first = grow(20)
    assert grow(60) < 1.5 * first
    assert named and all(named[index] for index in (0, -1))
    event.remove(pooled_engine(ledger.url), "before_cursor_execute", remember)
