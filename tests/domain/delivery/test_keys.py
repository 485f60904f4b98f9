"""The key of an action hangs on what is decided and on nothing else; its fingerprint on what is asked."""

from __future__ import annotations

import inspect
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.delivery.keys import NAMESPACE, action_key, fingerprint

texts = st.text(max_size=12)
parts = st.tuples(texts, texts, texts, texts, st.integers(1, 1000))
payloads = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)


def test_keys_never_change() -> None:
    """What stands in outboxes and in the memory of destinations must be found again by every later version."""
    assert UUID("a78e243c-bfdf-5d6f-b84d-0d62d1095a3a") == NAMESPACE
    assert action_key("default", "returns", "refund", "R250305-EFEU2F7", 1) == UUID(
        "f496636f-34c7-5119-87ff-80788c9277bd"
    )


@given(parts, parts)
def test_other_parts_are_another_key(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert (action_key(*one) == action_key(*other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b", "c", "d/1", 1), ("a", "b", "c/d", "1", 1)),
        (("a", "b", "c", '","', 1), ("a", "b", 'c","', "", 1)),
        (("a", "b", "c", "d1", 1), ("a", "b", "c", "d", 11)),
    ],
)
def test_no_two_cases_can_spell_the_same_name(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert action_key(*one) != action_key(*other)


def test_run_attempt_time_and_score_are_no_part_of_a_key() -> None:
    assert list(inspect.signature(action_key).parameters) == ["tenant", "workflow", "kind", "case_id", "epoch"]


@given(payloads, st.randoms(use_true_random=False))
def test_the_order_of_a_payload_does_not_matter(payload: dict[str, Any], random: Any) -> None:
    shuffled = list(payload.items())
    random.shuffle(shuffled)
    assert fingerprint(dict(shuffled)) == fingerprint(payload)


@given(payloads)
def test_a_payload_is_the_same_after_a_round_through_json(payload: dict[str, Any]) -> None:
    """As it is when it has been in the outbox."""
    assert fingerprint(json.loads(json.dumps(payload))) == fingerprint(payload)


@pytest.mark.parametrize(
    "changed", [{"amount": 12.51}, {"amount": "12.5"}, {"amount": None}, {"amount": 12.5, "x": None}]
)
def test_any_other_content_is_another_fingerprint(changed: dict[str, Any]) -> None:
    assert fingerprint({"amount": 12.5, **changed}) != fingerprint({"amount": 12.5})
    assert fingerprint({"amount": 40.0}) == fingerprint({"amount": 40})
