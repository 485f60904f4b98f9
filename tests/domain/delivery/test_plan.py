"""Which actions a decision asks for, and how they are taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.core.errors import ActionInvalid
from pipeline_project.domain.delivery.keys import action_key, fingerprint
from pipeline_project.domain.delivery.planned_actions import ActionKind, PlannedAction
from pipeline_project.domain.delivery.planning import UNSENT, OutboxAction, money_of, plan_actions, plan_compensations
from tests.domain.delivery.terms import FIELDS, terms

NIGHT = "2025-03-05"
STATES = ("waiting", "ready", "sending", "done", "rehearsed", "unknown", "held", "dead", "cancelled")


def planned(option: str = "refund_and_restock", **fields: Any) -> list[PlannedAction]:
    return plan_actions(terms(), NIGHT, "C-1", 1, option, {**FIELDS, **fields})


def test_actions_come_in_the_declared_order() -> None:
    actions = planned()
    assert [(each.step, each.kind) for each in actions] == [
        (0, "hold"),
        (1, "restock"),
        (2, "notice"),
        (3, "refund"),
    ]
    assert [each.final for each in actions] == [False, False, False, True]
    assert [each.undo for each in actions] == ["release_hold", "unstock", None, None]


def test_a_payload_holds_what_is_declared_and_no_more() -> None:
    hold, _, _, refund = planned(secret="nobody's business")
    assert hold.payload == {"action": "hold", "workflow": "claims", "case": "C-1", "fields": {"order": "O-1"}}
    assert refund.payload["amount"] == refund.money == 20.01
    assert refund.payload["currency"] == "EUR"
    assert all(each.fingerprint == fingerprint(each.payload) for each in planned())
    assert hold.key == action_key("default", "claims", "hold", "C-1", 1)


def test_an_option_without_actions_asks_for_none() -> None:
    assert planned("ask_person") == []


def test_what_a_run_knows_changes_no_key() -> None:
    again = plan_actions(terms(), "2025-03-09", "C-1", 1, "refund_and_restock", {**FIELDS, "price": 11})
    assert [each.key for each in again] == [each.key for each in planned()]
    later = plan_actions(terms(), NIGHT, "C-1", 2, "refund_and_restock", FIELDS)
    assert not {each.key for each in later} & {each.key for each in planned()}


@pytest.mark.parametrize("price", [None, float("nan"), float("inf"), -1, "12", -0.01])
def test_money_that_is_none_is_refused_without_its_value(price: object) -> None:
    with pytest.raises(ActionInvalid, match="money of action refund") as told:
        planned(price=price)
    assert "correct actions.kinds" in str(told.value)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ActionInvalid, match="sends order, which the case does not have"):
        plan_actions(terms(), NIGHT, "C-1", 1, "hold_only", {"item": "I-1", "quantity": 1})


@given(st.floats(0, 1e6), st.integers(0, 50))
def test_money_is_never_negative_and_whole_cents(price: float, quantity: int) -> None:
    money = money_of(ActionKind("refund", "shop", "price * quantity"), {"price": price, "quantity": quantity})
    assert money >= 0
    assert round(money, 2) == money
    assert money == pytest.approx(price * quantity, abs=0.006, rel=1e-9)


def standing(*states: str) -> list[OutboxAction]:
    return [OutboxAction(each, state) for each, state in zip(planned(), states, strict=True)]


def test_what_has_left_is_taken_back_the_last_first_and_the_rest_never_leaves() -> None:
    taken = plan_compensations(terms(), standing("done", "done", "ready", "waiting"))
    hold, restock, notice, refund = planned()
    assert taken.cancelled == [notice.key, refund.key]
    assert [(each.kind, each.undoes) for each in taken.compensations] == [
        ("unstock", restock.key),
        ("release_hold", hold.key),
    ]
    assert [each.step for each in taken.compensations] == sorted(each.step for each in taken.compensations)
    assert min(each.step for each in taken.compensations) > refund.step
    assert [each.payload["fields"] for each in taken.compensations] == [
        restock.payload["fields"],
        hold.payload["fields"],
    ]
    assert all(each.payload["undoes"] == str(each.undoes) for each in taken.compensations)


def test_a_compensation_is_always_the_same() -> None:
    one, other = (plan_compensations(terms(), standing("done", "done", "done", "held")) for _ in range(2))
    assert one == other
    assert len({each.key for each in one.compensations}) == 2


@pytest.mark.parametrize("state", ["done", "sending", "unknown"])
def test_after_the_point_of_no_return_nothing_is_taken_back(state: str) -> None:
    taken = plan_compensations(terms(), standing("done", "done", "done", state))
    assert (list(taken.cancelled), list(taken.compensations)) == ([], [])
    assert taken.for_good == [each.key for each in planned()]


def test_what_cannot_be_taken_back_is_said() -> None:
    taken = plan_compensations(terms(), standing("done", "done", "done", "waiting"))
    assert taken.for_good == [planned()[2].key]


@given(st.lists(st.sampled_from(STATES), min_size=4, max_size=4), st.randoms(use_true_random=False))
def test_taking_back_covers_each_action_once(states: list[str], random: Any) -> None:
    known = standing(*states)
    random.shuffle(known)
    taken = plan_compensations(terms(), known)
    undone = [each.undoes for each in taken.compensations]
    named = [*taken.cancelled, *undone, *taken.for_good]
    assert len(named) == len(set(named))
    final = next(each for each in known if each.planned.final)
    if final.state in UNSENT:
        assert all(each.planned.key in named for each in known if each.state in ("done", "unknown", "sending"))
        assert all(
            each.planned.key in taken.cancelled for each in known if each.state in ("waiting", "ready", "held", "dead")
        )
    else:
        assert not undone


def test_the_fields_of_a_compensation_are_those_of_what_it_undoes() -> None:
    hold = planned("hold_only")[0]
    moved = replace(hold, payload={**hold.payload, "fields": {"order": "O-9"}})
    (released,) = plan_compensations(terms(), [OutboxAction(moved, "done")]).compensations
    assert released.payload["fields"] == {"order": "O-9"}
