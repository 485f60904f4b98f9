"""Mistakes in what is done outside, and in what people may decide, are told where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.spec import check_file, load_spec

SHIPPED = Path(__file__).resolve().parents[2] / "pipeline_project" / "workflows" / "returns.yaml"

#: what is replaced, by what, a part of the place, a part of the sentence
BROKEN = [
    ("[hold, restock, notice, refund]", "[hold, restok, refund]", "actions[1]", "did you mean `restock`?"),
    ("[hold, restock, notice, refund]", "[hold, hold]", "actions[1]", "written twice"),
    ("[hold, restock, notice, refund]", "[refund, hold]", "actions[1]", "after the point of no return"),
    (
        "    hold: {destination: shop,",
        "    hold: {destination: sop,",
        "actions.kinds.hold.destination",
        "did you mean `shop`?",
    ),
    ("undo: release_hold}", "undo: release_holds}", "actions.kinds.hold.undo", "did you mean `release_hold`?"),
    ("money: price, final: true", "money: price, undo: hold, final: true", "refund.undo", "cannot be undone"),
    ("money: price, final", "money: prise, final", "refund.money", "prise is no field; did you mean `price`?"),
    ("money: price, final", "money: -3, final", "refund.money", "without a minus"),
    ("money: price, final", "money: price > 3, final", "refund.money", "is true or false"),
    ("payload: [order_id, payment]", "payload: [customer_email]", "refund.payload[0]", "is personal"),
    ("payload: [order_id, payment]", "payload: [claim_id]", "refund.payload[0]", "claim_id is the case's id"),
    ("payload: [order_id, payment]", "payload: [order]", "refund.payload[0]", "order is no field"),
    ("secret: PIPELINE_SHOP_SECRET", "secret: whsec_x", "actions.destinations.shop.secret", ""),
    ("  due_hours: 72", "  due_hours: 72\n  safe_default: reject", "review.safe_default", "only people deny"),
    ("  due_hours: 72", "  due_hours: 72\n  safe_default: refund", "review.safe_default", "is no option"),
    ("remind_hours: [24, 4]", "remind_hours: [24, 90]", "review.remind_hours[1]", "less than due_hours (72)"),
    ("clusters:\n  window_nights: 14\n  minimum_size: 8", "", "review.clusters", "declares no `clusters`"),
    ("  due_hours: 72", "  due_hours: 72\n  reasons: {}", "review.reasons", ""),
]


@pytest.mark.parametrize(("old", "new", "place", "sentence"), BROKEN)
def test_a_mistake_is_told_where_it_stands(old: str, new: str, place: str, sentence: str, tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file = tmp_path / "returns.yaml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    mistakes = check_file(file)

    assert [m for m in mistakes if place in str(m) and sentence in str(m)], [str(m) for m in mistakes]


def test_what_is_declared_reaches_the_domain() -> None:
    spec = load_spec(SHIPPED)
    acting, review = spec.action_terms, spec.review_terms

    assert [kind.name for kind in acting.of_option("refund_and_restock")] == ["hold", "restock", "notice", "refund"]
    assert acting.of_option("ask_person") == ()
    assert acting.kinds["refund"].final
    assert acting.kinds["refund"].money == "price"
    assert acting.kinds["hold"].undo == "release_hold"
    assert acting.live
    assert review.denies == {"reject"}
    assert review.clusters is not None
    assert review.clusters.limit == 0.25
    assert review.acts == set(spec.option_specs)


def test_a_workflow_that_declares_no_actions_leads_to_none(tmp_path: Path) -> None:
    spec = load_spec(SHIPPED.with_name("support_tickets.yaml"))

    assert spec.action_terms.kinds == {}
    assert not spec.action_terms.live
    assert not spec.review_terms.acts
