"""What replays found: a row and a page, both or none, and nothing else."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import FilesUnavailable
from pipeline_project.domain.lifecycle.replay.findings import Flip, ReplayResult, Side, SliceResult
from pipeline_project.domain.measures.intervals import Interval
from pipeline_project.domain.reporting.replay_page import PageTerms, render_replay, replay_markdown
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.replays.store import PostgresReplays
from resources.ledger.roles import NIGHTS
from resources.ledger.schema import metadata
from resources.postgres.databases import engine_of, url_as

HASH = "a" * 64
SIDE = Side("3", HASH, 4.5, 10, 12, 0.1, 80, 0.02, {"kind=glass": 0.03})
RESULT = ReplayResult(
    workflow="claims", first="2025-03-01", last="2025-03-02", nights=("2025-03-01", "2025-03-02"),
    immature=("2025-03-02",), base=SIDE, candidate=SIDE, cases=100, known=50, money=Interval(-0.5, -0.9, -0.1),
    refused=None, effective=50.0, places=20, flips={"pay -> ask_person": 3, "pay -> assess": 1},
    sample=(Flip("2025-03-01", "C/1 & <b>", "pay", "ask_person", "fraud", -12.5),),
    slices=(SliceResult("kind=<i>", 40, Interval(0.2, 0.1, 0.3), math.nan, math.nan, 0.2),), seconds=1.5,
)  # fmt: skip
TERMS = PageTerms("Claims", "EUR", {"pay": "Pay", "assess": "Send an assessor"}, "http://desk")


@pytest.fixture
def store(ledger: PostgresLedger, tmp_path: Path) -> PostgresReplays:
    return PostgresReplays(url_as(ledger.url, NIGHTS), str(tmp_path), "http://reports", "http://desk")


def digests(ledger: PostgresLedger) -> dict[str, tuple[int, str]]:
    """Rows and a digest of every table."""
    found = {}
    with engine_of(ledger.url).connect() as connection:
        for table in metadata.sorted_tables:
            rows = sorted(str(row) for row in connection.execute(text(f"SELECT t::text FROM {table.name} t")))
            found[table.name] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    return found


def keep(store: PostgresReplays, result: ReplayResult = RESULT) -> tuple[int, str]:
    return store.keep(result, "v3", HASH, "person:cleo", lambda n: render_replay(result, "v3", n, TERMS))


def test_a_result_and_its_page_are_kept_and_nothing_else_changes(
    store: PostgresReplays, ledger: PostgresLedger, tmp_path: Path
) -> None:
    before = digests(ledger)
    number, page = keep(store)
    assert page == store.page_of("claims", number) == str(tmp_path / "replays" / "claims" / f"{number}.html")
    assert store.address_of("claims", number) == f"http://reports/replays/claims/{number}.html"
    after = digests(ledger)
    assert {name for name in after if after[name] != before[name]} == {"candidate_replays"}
    row = store.replays("claims")[0]
    assert (row.id, row.candidate, row.base, row.started_by) == (number, "v3", "3", "person:cleo")
    assert (row.first, row.last, row.cases, row.policy_hash) == ("2025-03-01", "2025-03-02", 100, HASH)
    assert row.result["money"] == {"value": -0.5, "low": -0.9, "high": -0.1}
    assert row.result["slices"][0]["amount"] is None
    assert [str(file) for file in Path(page).parent.iterdir()] == [page]


def test_a_page_that_cannot_be_made_leaves_nothing(store: PostgresReplays, tmp_path: Path) -> None:
    def broken(_: int) -> str:
        raise RuntimeError("no page")

    with pytest.raises(RuntimeError, match="no page"):
        store.keep(RESULT, "v3", HASH, "me", broken)
    assert store.replays("claims") == []
    assert not (tmp_path / "replays").exists()


def test_a_disk_without_room_leaves_nothing(store: PostgresReplays, tmp_path: Path) -> None:
    (tmp_path / "replays").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(FilesUnavailable, match=r"cannot write .*replays"):
        keep(store)
    assert store.replays("claims") == []


def test_results_never_change(store: PostgresReplays, ledger: PostgresLedger) -> None:
    keep(store)
    for statement in ("UPDATE candidate_replays SET candidate = 'v4'", "DELETE FROM candidate_replays"):
        with pytest.raises(DBAPIError), engine_of(ledger.url).begin() as connection:
            connection.execute(text(statement))


def test_the_newest_come_first_and_each_workflow_has_its_own(store: PostgresReplays) -> None:
    numbers = [keep(store)[0] for _ in range(3)]
    assert [row.id for row in store.replays("claims", limit=2)] == numbers[:0:-1]
    assert store.replays("other") == []


def test_the_page_needs_nothing_but_itself_and_shows_everything(store: PostgresReplays) -> None:
    page = Path(keep(store)[1]).read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "C/1 &amp; &lt;b&gt;" in page
    assert 'href="http://desk/why/claims/C/1%20%26%20%3Cb%3E"' in page
    assert "kind=&lt;i&gt;" in page
    assert "<b>" not in page
    for words in ("−0.50 EUR", "−0.90 EUR", "−0.10 EUR", "a person", "Send an assessor", "costs more", "2025-03-02"):
        assert words in page
    assert "within what luck explains" not in page


def test_a_result_without_money_says_why() -> None:
    import dataclasses

    refused = dataclasses.replace(RESULT, money=None, refused="the known outcomes weigh too little")
    page = render_replay(refused, "v3", 1, TERMS)
    assert "the known outcomes weigh too little" in page
    assert "unknown: the known outcomes weigh too little" in replay_markdown(refused, TERMS)


def test_a_result_without_flips_has_a_page() -> None:
    import dataclasses

    nothing = dataclasses.replace(RESULT, flips={}, sample=(), slices=())
    assert "Every case would be decided as it was" in render_replay(nothing, "v3", 1, TERMS)
