"""A night decided on corrected data: whose decision is another one, and whose actions would be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.delivery.planned_actions import ActionKind
from pipeline_project.domain.features.building import Past
from pipeline_project.domain.lifecycle.recall.corrected import beside_corrected, differing, overlaid, with_cases
from pipeline_project.domain.lifecycle.recall.effects import Touched
from pipeline_project.domain.lifecycle.replay.decide import PastNights
from tests.domain.delivery.terms import terms

NIGHT = "2025-03-05"


def cases(*rows: tuple[str, float, str], night: str = NIGHT, sha: str = "s") -> pa.Table:
    return pa.table(
        {
            "night": [night for _ in rows],
            "case_id": [case for case, _, _ in rows],
            "row_sha256": [sha for _ in rows],
            "price": [price for _, price, _ in rows],
            "kind": [kind for _, _, kind in rows],
        }
    )


WAS = cases(("A", 10.0, "x"), ("B", 20.0, "x"), ("C", 30.0, "y"))


def past() -> PastNights:
    standing = pd.DataFrame({"night": [NIGHT] * 3, "case_id": ["A", "B", "C"], "reason": ["cheapest"] * 3})
    earlier = pa.concat_tables([cases(("Z", 1.0, "x"), night="2025-03-04"), WAS]).select(["night", "case_id", "price"])
    known = pd.DataFrame({"case_id": [], "label": [], "known_at": []})
    return PastNights((NIGHT,), WAS, standing, Past(earlier, known), {NIGHT: datetime(2025, 3, 5, tzinfo=UTC)})


def test_corrected_rows_take_the_place_of_those_with_their_ids() -> None:
    given = cases(("B", 21.0, "x"), ("D", 1.0, "x")).drop_columns(["kind"])
    found = {row["case_id"]: (row["price"], row["kind"]) for row in overlaid(WAS, given).to_pylist()}
    assert found == {"A": (10.0, "x"), "B": (21.0, None), "C": (30.0, "y"), "D": (1.0, None)}
    assert overlaid(WAS, None) is WAS


def test_what_differs_is_what_a_case_says_and_not_how_it_was_delivered() -> None:
    assert differing(past(), cases(("C", 30.0, "y"), ("A", 10.0, "x"), ("B", 20.0, "x"), sha="other")) == []
    assert differing(past(), cases(("A", 10.0, "x"), ("B", 25.0, "x"))) == ["B", "C"]
    assert differing(past(), cases(("A", 1.0, "x"), ("B", 2.0, "z"), ("C", 30.0, "y")), {"kind"}) == ["B"]


def test_the_night_goes_on_with_what_is_there_in_the_order_of_its_decisions() -> None:
    now = with_cases(past(), cases(("C", 31.0, "y"), ("A", 11.0, "x"), ("NEW", 5.0, "x")), None)
    assert now.cases["case_id"].to_pylist() == ["A", "C"]
    assert now.cases["price"].to_pylist() == [11.0, 31.0]
    assert now.standing["case_id"].tolist() == ["A", "C"]
    assert now.past.cases is not None
    assert now.past.cases["price"].to_pylist() == [1.0, 11.0, 31.0], "the past is looked back on as corrected too"


def test_the_same_option_with_other_money_is_another_decision() -> None:
    refund = ActionKind("refund", "shop", money="price", payload=("kind",))
    acting = replace(terms(), kinds={"refund": refund}, by_option={"refund": ("refund",)})
    option = "refund"
    touched = [Touched(case, 1, NIGHT, option, "cheapest") for case in ("A", "B", "C")]
    now = cases(("A", 10.0, "x"), ("B", 99.0, "x"))
    found = beside_corrected(touched, {"A": option, "B": option}, WAS, now, acting)
    assert [(each.would_be, each.other_actions, each.flips) for each in found] == [
        (option, False, False), (option, True, True), ("ask_person", False, True)
    ]  # fmt: skip
    other = beside_corrected(touched[:1], {"A": "ask_person"}, WAS, now, acting)
    assert (other[0].flips, other[0].would_be, other[0].other_actions) == (True, "ask_person", False)
