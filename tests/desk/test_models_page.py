"""Models at the desk: what a signature is about is shown; a model approver who did not train it may give it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline_project.domain.core.model_terms import GateTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.domain.lifecycle.gates import judge_gates
from pipeline_project.domain.lifecycle.proposing import proposal
from resources.ledger.models.proposals import PostgresPromotions
from tests.desk.house import DeskHouse
from tests.domain.lifecycle.test_gating import found
from tests.domain.review.review_terms import FLOW

OLD = ModelVersion(FLOW, "1", "2026-02-01", "1" * 64, "run-1", {})
NEW = ModelVersion(FLOW, "2", "2026-03-01", "2" * 64, "run-2", {}, "2026-02-10", "anna")


@pytest.fixture
def number(house: DeskHouse) -> int:
    """A challenger that passed every gate."""
    house.ask("A-1")
    house.ledger.record_champion(FLOW, OLD, "2026-02-01", "the first model")
    result = replace(found(), workflow=FLOW)
    made = proposal(
        NEW, OLD, "5" * 64, judge_gates(result, GateTerms(fewest_nights=3), None), result, "# Card <b>x</b>"
    )
    (number,) = PostgresPromotions(house.ledger.url).propose([(made, NEW)])
    return number


def _hash(house: DeskHouse) -> str:
    return str(house.rows("SELECT hash FROM model_proposals")[0]["hash"])


def test_a_model_approver_sees_what_was_found_and_signs(house: DeskHouse, number: int) -> None:
    house.add("cleo", PersonRole.MODEL_APPROVER)
    cleo = house.client("cleo")
    assert "1 model waits for a signature" in cleo.get("/models").text
    page = cleo.get(f"/models/{number}").text
    for words in (
        "trained on night 2026-03-01 by anna",
        "kind=lamp",
        "refund -&gt; reject",
        "passed",
        "Sign exactly this",
    ):
        assert words in page, words
    assert "<b>x</b>" not in page, "a card is text"
    signed = cleo.post(f"/models/{number}/sign", data={"csrf": cleo.csrf, "hash": _hash(house), "note": "fine"})
    assert (signed.status_code, signed.headers["location"]) == (303, "/models?said=signed")
    assert "Signed: it is rolled out" in cleo.get("/models?said=signed").text
    assert "By cleo" in cleo.get(f"/models/{number}").text
    (row,) = house.rows("SELECT person, verdict, note FROM model_signatures")
    assert dict(row) == {"person": "cleo", "verdict": "sign", "note": "fine"}


def test_who_trained_it_cannot_sign(house: DeskHouse, number: int) -> None:
    house.add("anna", PersonRole.MODEL_APPROVER)
    anna = house.client("anna")
    page = anna.get(f"/models/{number}").text
    assert "You trained it" in page and "Sign exactly this" not in page
    refused = anna.post(f"/models/{number}/sign", data={"csrf": anna.csrf, "hash": _hash(house)})
    assert refused.status_code == 409 and "you trained this model" in refused.text
    assert house.rows("SELECT 1 FROM model_signatures") == []


def test_another_proposal_than_was_shown_is_not_signed(house: DeskHouse, number: int) -> None:
    house.add("cleo", PersonRole.MODEL_APPROVER)
    cleo = house.client("cleo")
    refused = cleo.post(f"/models/{number}/sign", data={"csrf": cleo.csrf, "hash": "0" * 64})
    assert refused.status_code == 409 and "not what you were shown" in refused.text


def test_a_refusal_needs_a_reason(house: DeskHouse, number: int) -> None:
    house.add("cleo", PersonRole.MODEL_APPROVER)
    cleo = house.client("cleo")
    form = {"csrf": cleo.csrf, "hash": _hash(house)}
    assert cleo.post(f"/models/{number}/refuse", data=form).status_code == 409
    assert cleo.post(f"/models/{number}/refuse", data={**form, "note": "harms lamps"}).status_code == 303
    assert "refused by cleo" in cleo.get("/models").text
    assert "0 models wait" in cleo.get("/models").text


def test_an_auditor_looks_and_does_not_sign(house: DeskHouse, number: int) -> None:
    house.add("ute", PersonRole.AUDITOR)
    ute = house.client("ute")
    page = ute.get(f"/models/{number}").text
    assert "A model approver signs" in page and "Sign exactly this" not in page
    assert ute.post(f"/models/{number}/sign", data={"csrf": ute.csrf, "hash": _hash(house)}).status_code == 403


def test_an_unknown_proposal_is_not_found(house: DeskHouse, number: int) -> None:
    house.add("cleo", PersonRole.MODEL_APPROVER)
    assert house.client("cleo").get(f"/models/{number + 1}").status_code == 404
