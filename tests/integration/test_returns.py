"""The shipped workflow with words, photos and clusters, on a few nights of sample claims."""

from __future__ import annotations

import uuid

import pytest

from pipeline_project.domain.core.reasons import ASK_PERSON
from tests.integration.house import House, all_differences, differences

FIRST, LAST_WARM_UP, DECIDED = "2025-02-26", "2025-02-28", "2025-03-01"


@pytest.fixture(scope="module")
def returns(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Three nights of warm-up and one that is decided; `returns` under another name, for the server is shared."""
    home = tmp_path_factory.mktemp("returns")
    house = House(f"returns_{uuid.uuid4().hex[:8]}", home, postgres_server)
    from pipeline_project.spec.load import SHIPPED

    house.folder.mkdir()
    shipped = (SHIPPED / "returns.yaml").read_text(encoding="utf-8")
    few = shipped.replace("workflow: returns\n", f"workflow: {house.name}\n").replace(
        "minimum_outcomes: 300", "minimum_outcomes: 20\n    minimum_per_label: 1"
    )
    (house.folder / "returns.yaml").write_text(few, encoding="utf-8")
    done = house.command("sample", "--from", FIRST, "--to", DECIDED, "--per-night", "30")
    assert done.returncode == 0, done.stderr
    assert [run.outcome for run in house.nights(FIRST, DECIDED)] == ["done"] * 4
    return house


def test_every_admitted_claim_is_decided_once(returns: House) -> None:
    cases = {row["case_id"] for row in returns.table("cases", DECIDED) or []}
    decided = [row["case_id"] for row in returns.decisions()]
    assert cases
    assert sorted(decided) == sorted(cases)


def test_nothing_vanished_of_what_the_shop_dropped(returns: House) -> None:
    for night in (FIRST, LAST_WARM_UP, DECIDED):
        assert returns.checks("cases", night)["nothing_vanished"] is True


def test_a_photo_that_cannot_be_read_goes_to_a_person(returns: House) -> None:
    failed = {r["case_id"] for r in returns.table("embeddings", DECIDED) or [] if r["image_problem"]}
    decided = {row["case_id"]: row for row in returns.decisions()}
    for case in failed:
        assert decided[case]["option"] == ASK_PERSON


def test_no_machine_rejects_a_claim(returns: House) -> None:
    assert "reject" not in {row["option"] for row in returns.decisions()}


def test_run_again_it_ends_the_same_and_encodes_nothing(returns: House) -> None:
    tables, facts = returns.tables(), returns.facts()
    clusters = returns.table("clusters")
    assert [run.outcome for run in returns.nights(DECIDED, again=True)] == ["done"]
    assert all_differences(returns.tables(), tables) == {}
    assert differences(returns.table("clusters"), clusters) == []
    assert all_differences(returns.facts(), facts) == {}
    made = returns.metadata("embeddings", DECIDED)
    assert made["texts_encoded"] == made["photos_encoded"] == 0


def test_the_page_shows_the_night_and_nobodys_words(returns: House) -> None:
    page = returns.page(DECIDED)
    assert DECIDED in page
    emails = {row["customer_email"] for row in returns.table("cases", DECIDED) or []} - {None}
    assert emails
    assert [email for email in emails if email in page] == []
