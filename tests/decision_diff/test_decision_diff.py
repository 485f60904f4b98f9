"""What this tree decides of the kept nights is what was accepted; what differs is told as a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline_project.domain.core.reasons import Reason
from tests.decision_diff import compare
from tests.decision_diff.nights import Told, decided


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    return decided()


def test_no_decision_flips_unexpectedly(told: dict[str, Told]) -> None:
    found = compare.flips(compare.expected(), told)
    if found:
        pytest.fail(
            f"{compare.table(found)}\n\nIf the change means it, run `make decision-diff ACCEPT=1` and commit "
            "tests/decision_diff/expected.json with it; otherwise the change does more than it should.",
            pytrace=False,
        )


def test_the_nights_have_something_of_everything(told: dict[str, Told]) -> None:
    reasons = {one.reason for one in told.values()}
    assert reasons >= {
        Reason.CHEAPEST,
        Reason.NO_PLACE_LEFT,
        Reason.DOUBT,
        Reason.DENIAL,
        Reason.RANDOM_SHARE,
        Reason.COST_UNKNOWN,
        Reason.NO_MODEL,
        Reason.FAILED_PHOTO,
        Reason.OUT_OF_DISTRIBUTION,
    }
    assert {one.option for one in told.values()} >= {"refund", "voucher", "ask_person"}


def test_a_flip_is_told_with_both_reasons_and_the_money() -> None:
    before = {"a": Told("2025-03-01", "refund", "cheapest", 3.0), "b": Told("2025-03-01", "refund", "cheapest", 1.0)}
    after = before | {"a": replace(before["a"], option="ask_person", reason="doubt", cost=5.5)}
    (flip,) = compare.flips(before, after)
    summary, _, _, _, line = compare.table([flip]).splitlines()
    assert "1 decisions differ" in summary
    assert "+2.50 in all" in summary
    assert line.split() == [
        *("a", "2025-03-01", "refund", "ask_person", "cheapest", "doubt", "3.00", "5.50", "+2.50"),
    ]


def test_a_case_that_is_gone_or_new_is_a_flip() -> None:
    one = {"a": Told("2025-03-01", "refund", "cheapest", 3.0)}
    assert [flip.case for flip in compare.flips(one, {})] == ["a"]
    assert [flip.case for flip in compare.flips({}, one)] == ["a"]
    assert "-" in compare.table(compare.flips(one, {}))


@pytest.mark.parametrize(("cost", "flips"), [(3.01, 0), (3.02, 1), (None, 1)])
def test_a_cent_on_the_edge_is_no_flip_and_another_cost_is(cost: float | None, flips: int) -> None:
    one = {"a": Told("2025-03-01", "refund", "cheapest", 3.0)}
    assert len(compare.flips(one, {"a": replace(one["a"], cost=cost)})) == flips


def test_what_is_accepted_is_expected_from_then_on(tmp_path: Path, told: dict[str, Told]) -> None:
    path = tmp_path / "expected.json"
    compare.accept(told, path)
    assert compare.flips(compare.expected(path), told) == []
    assert compare.expected(path) == told
