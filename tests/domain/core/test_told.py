"""What was said in an order is read by its names, whatever a database did to the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.named_values import by_name, costs_told_now, in_order_of, option_order
from pipeline_project.domain.deciding.recorded import RecordedDecision
from pipeline_project.spec.past import figures_of

SLUGS = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
#: Names that PostgreSQL's JSONB sorts otherwise than they were written: by length, then by bytes.
ADVERSE = ("investigate", "pay", "zz", "a_very_long_name", "b")


def recorded(**kept: Any) -> RecordedDecision:
    """A decision of the ledger, of which only what is given matters."""
    return RecordedDecision(**{**dict.fromkeys(RecordedDecision.__dataclass_fields__), **kept})


def as_jsonb(value: Any) -> Any:
    """What PostgreSQL gives back: keys by length, then by bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: as_jsonb(value[key]) for key in keys}
    return [as_jsonb(part) for part in value] if isinstance(value, list) else value


def spec_of(options: Sequence[str], labels: Sequence[str], cells: dict[str, list[float | str]]) -> dict[str, Any]:
    return {
        "labels": list(labels),
        "fields": {"price": {"role": "amount"}},
        "options": {name: {"title": name, "costs": dict(zip(labels, cells[name], strict=True))} for name in options},
    }


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_costs_and_probabilities_are_those_of_their_names(data: st.DataObject) -> None:
    options = data.draw(st.lists(SLUGS, min_size=2, max_size=5, unique=True))
    labels = data.draw(st.lists(SLUGS, min_size=2, max_size=5, unique=True))
    costs = data.draw(st.lists(st.floats(0, 1e4), min_size=len(options), max_size=len(options)))
    told = data.draw(st.lists(st.floats(0, 1), min_size=len(labels), max_size=len(labels)))
    cells: dict[str, list[float | str]] = {name: [1.0] * len(labels) for name in options}
    decision = recorded(probabilities=told, expected_costs=costs, option_order=options)
    said = figures_of(decision, as_jsonb(spec_of(options, labels, cells)))
    for i, name in enumerate(options):
        assert said.costs[name] == costs[i]
    for i, name in enumerate(labels):
        assert said.probabilities[name] == told[i]


def early(cells: dict[str, list[float | str]], price: float | None = 80.0) -> tuple[RecordedDecision, dict[str, Any]]:
    """A decision of before the order of options was kept, and its spec as the database gives it back."""
    told, labels = [0.25, 0.75], ("honest", "fraud")
    at = {"price": price or 0.0}
    costs = [sum(p * (eval(c, {}, at) if isinstance(c, str) else c) for p, c in zip(told, cells[n], strict=True))
             for n in cells]  # fmt: skip
    decision = recorded(probabilities=told, expected_costs=costs, amount=price)
    return decision, as_jsonb(spec_of(tuple(cells), labels, cells))


def test_the_order_of_an_early_decision_is_found_by_computing_it_again() -> None:
    cells: dict[str, list[float | str]] = {
        "investigate": [60.0, 60.0], "pay": [0.0, "price"], "zz": ["0.5 * price", 10.0]
    }  # fmt: skip
    decision, spec = early(cells)
    assert list(spec["options"]) != list(cells)
    assert figures_of(decision, spec).costs == {"investigate": 60.0, "pay": 60.0, "zz": 17.5}
    # read in the order of the database it would be another
    assert dict(zip(spec["options"], decision.expected_costs or (), strict=True)) != figures_of(decision, spec).costs


def test_one_option_that_cannot_be_computed_is_the_one_left_over() -> None:
    cells: dict[str, list[float | str]] = {"investigate": [60.0, 60.0], "pay": [0.0, "price"]}
    decision, spec = early(cells)
    spec["options"]["pay"]["costs"]["fraud"] = "distance"
    assert figures_of(decision, spec).costs == {"investigate": 60.0, "pay": 60.0}
    assert figures_of(replace(decision, expected_costs=[60.0, 31.0]), spec).costs == {"investigate": 60.0, "pay": 31.0}


def test_an_order_that_nobody_can_tell_is_said_to_be_unknown() -> None:
    cells: dict[str, list[float | str]] = {"pay": [0.0, 10.0], "investigate": [1.0, 2.0]}
    decision, spec = early(cells)
    for option in spec["options"].values():
        option["costs"] = {"honest": "distance", "fraud": "distance"}
    said = figures_of(decision, spec)
    assert said.costs == {} and said.unordered == (1.75, 7.5)
    assert said.probabilities == {"honest": 0.25, "fraud": 0.75}


def test_options_made_from_labels_stand_in_the_order_of_the_labels() -> None:
    labels = ["zz", "a_long_label", "b"]
    spec = as_jsonb({"labels": labels, "options": {"title": "Route to {label}", "right": 0, "wrong": 5}})
    decision = recorded(probabilities=[0.2, 0.3, 0.5], expected_costs=[4.0, 3.5, 2.5])
    assert figures_of(decision, spec).costs == {"zz": 4.0, "a_long_label": 3.5, "b": 2.5}


def test_what_was_said_in_another_order_is_put_into_todays() -> None:
    assert in_order_of([0.1, 0.2, 0.7], ("a", "b", "c"), ("c", "a", "b")) == [0.7, 0.1, 0.2]
    assert in_order_of(None, ("a",), ("a",)) is None
    assert in_order_of([0.1, 0.9], ("a", "b"), ("a", "c")) is None
    assert in_order_of([0.1, 0.9], ("a", "b"), ("a", "b", "c")) is None
    assert in_order_of([0.1, 0.2, 0.7], ("a", "b"), ("a", "b")) is None


def test_costs_of_a_night_are_not_read_by_the_position_of_other_options() -> None:
    rows = pa.table(
        {
            "expected_costs": [[5.0, 7.0], [5.0, 7.0], None, [5.0, 7.0, 9.0], [5.0, 7.0]],
            "cheapest": ["pay", "pay", None, "pay", "inspect"],
            "cheapest_cost": [5.0, 7.0, None, 5.0, 5.0],
        }
    )
    found = costs_told_now(rows, ("pay", "assess"))["expected_costs"].to_pylist()
    assert found == [[5.0, 7.0], None, None, None, None]
    # declared the other way round since, the second row alone is in today's order
    assert costs_told_now(rows, ("assess", "pay"))["expected_costs"].to_pylist() == [None, [5.0, 7.0], *[None] * 3]


def test_too_few_values_are_no_values_of_these_names() -> None:
    with pytest.raises(ValueError, match="shorter"):
        by_name(("a", "b", "c"), [1.0, 2.0])
    assert by_name(("a",), None) == {}


def test_many_options_are_not_tried_in_every_order() -> None:
    names = tuple(f"o{i}" for i in range(9))
    cells = {name: [float(i)] for i, name in enumerate(names)}
    assert option_order(names, [float(i) for i in range(9)], [1.0], cells, {}) is None


def test_the_double_sorts_as_the_database_does() -> None:
    assert list(as_jsonb(dict.fromkeys(ADVERSE))) == ["b", "zz", "pay", "investigate", "a_very_long_name"]
