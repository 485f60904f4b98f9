"""Which decisions are judged, in which order, and when one is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.lifecycle.rollout.checking import check_promise, checks_of_comparison
from pipeline_project.domain.lifecycle.rollout.comparing import WAYS, RolloutComparison, compare_rollout
from pipeline_project.domain.lifecycle.rollout.judgeable import Streams, errors_of, streams, wrong
from pipeline_project.domain.lifecycle.rollout.stages import Watched

MATRIX = CostMatrix(("kept", "worn"), ("refund", "assess"), ((0.0, "price"), (8.0, 8.0)))
TERMS = PolicyTerms((False, False), review_cost=4, capacity=10, exploration=0.1, seed="claims")
FIRST, SECOND, THIRD = "2025-03-01", "2025-03-02", "2025-03-03"


def decision(case: str, night: str = FIRST, reason: str = "cheapest", **changes: Any) -> dict[str, Any]:
    asked = reason not in ("cheapest", "no_place_left")
    return {
        "night": night, "case_id": case, "option": "ask_person" if asked else "refund", "reason": reason,
        "cheapest": "refund", "benefit": -1.0, "model_version": "1", **changes,
    }  # fmt: skip


def known(case: str, label: str = "kept", day: int = 5) -> tuple[str, str, datetime]:
    return case, label, datetime(2025, 3, day, tzinfo=UTC)


def judged(
    decisions: list[dict[str, Any]],
    outcomes: list[tuple[str, str, datetime]],
    mature: tuple[str, ...] = (FIRST, SECOND, THIRD),
    everything: bool = True,
) -> Streams:
    cases = [{"night": row["night"], "case_id": row["case_id"], "price": 100.0} for row in decisions]
    truth = pd.DataFrame(outcomes, columns=["case_id", "label", "known_at"])
    return streams(pa.Table.from_pylist(decisions), pa.Table.from_pylist(cases), truth, MATRIX, mature, everything)


def ids(found: Streams) -> tuple[list[str], list[str]]:
    return found.sample.rows["case_id"].tolist(), found.matured.rows["case_id"].tolist()


def test_the_random_share_comes_as_it_becomes_known_and_the_rest_by_nights() -> None:
    decisions = [
        decision("B", SECOND), decision("A", SECOND), decision("C"),
        decision("R", SECOND, "random_share"), decision("S", FIRST, "random_share"),
    ]  # fmt: skip
    outcomes = [known("A", day=9), known("B", day=4), known("C", day=7), known("R", day=3), known("S", day=8)]
    assert ids(judged(decisions, outcomes)) == (["R", "S"], ["C", "A", "B"])


def test_what_became_known_later_leaves_the_order_of_what_was_known_before() -> None:
    decisions = [decision(f"R{i}", SECOND, "random_share") for i in range(6)]
    outcomes = [known(f"R{i}", day=9 - i) for i in range(6)]
    whole = ids(judged(decisions, outcomes))[0]
    for count in range(6):
        early = [row for row in outcomes if row[0] in whole[:count]]
        assert ids(judged(decisions, early))[0] == whole[:count]


def test_nights_count_whole_up_to_the_first_immature_one() -> None:
    decisions = [decision("A"), decision("B", SECOND), decision("C", THIRD)]
    outcomes = [known(case) for case in "ABC"]
    assert ids(judged(decisions, outcomes, (FIRST, THIRD)))[1] == ["A"]
    assert ids(judged(decisions, outcomes, ()))[1] == []


def test_where_the_truth_depends_on_the_option_only_the_random_share_is_judged() -> None:
    decisions = [decision("A"), decision("R", FIRST, "random_share")]
    assert ids(judged(decisions, [known("A"), known("R")], everything=False)) == (["R"], [])


def test_an_unknown_label_and_a_case_without_costs_are_left_out() -> None:
    decisions = [decision("A"), decision("B"), decision("C")]
    assert ids(judged(decisions, [known("A", "lost"), known("B")]))[1] == ["B"]


def test_a_drawn_case_counts_where_the_machine_would_have_decided_alone() -> None:
    decisions = [
        decision("sure", FIRST, "random_share", benefit=-2.0),
        decision("doubtful", FIRST, "random_share", benefit=5.0),
        decision("unknown", FIRST, "random_share", cheapest=None, benefit=float("nan")),
        decision("asked", FIRST, "doubt", benefit=9.0),
        decision("mine", FIRST, "random_share", model_version="2", benefit=-2.0),
    ]
    outcomes = [known(row["case_id"], "worn") for row in decisions]
    found = judged(decisions, outcomes)
    assert errors_of(found.sample, MATRIX.options, "1").tolist() == [True]
    assert errors_of(found.matured, MATRIX.options, "1").tolist() == []
    # with every place taken by cases that gain more, a doubtful one would have been decided alone as well
    full = [*decisions, decision("turned", FIRST, "no_place_left", benefit=8.0)]
    assert errors_of(judged(full, outcomes).sample, MATRIX.options, "1").tolist() == [True, True]


def test_what_a_person_decided_since_is_not_the_machines() -> None:
    answered = decision("A", option="assess", reason="agreed")
    found = judged([answered, decision("B")], [known("A", "worn"), known("B", "worn")])
    assert errors_of(found.matured, MATRIX.options, "1").tolist() == [True]


def test_wrong_is_dearer_than_another_option() -> None:
    assert wrong(np.array([[0.0, 8.0], [100.0, 8.0], [8.0, 8.0]]), np.array([0, 0, 1])).tolist() == [False, True, False]
    assert wrong(np.empty((0, 2)), np.empty(0, dtype=int)).tolist() == []


def many(count: int, label: str) -> Streams:
    decisions = [decision(f"R{i:03}", FIRST, "random_share") for i in range(count)]
    return judged(decisions, [known(f"R{i:03}", label) for i in range(count)])


def test_a_promise_is_broken_by_errors_and_kept_without() -> None:
    watched = Watched("1", FIRST, 0.1)
    kept, broken = (check_promise(many(60, label), MATRIX.options, watched, 0.01) for label in ("kept", "worn"))
    assert (kept.seen, kept.errors, kept.breached) == (60, 0, False)
    assert (broken.seen, broken.errors, broken.breached) == (60, 60, True)
    assert broken.e_value >= 100 > kept.e_value
    assert kept.low == 0
    assert broken.high == 1


@pytest.mark.parametrize("promised", [None, 1.0])
def test_what_promised_nothing_breaks_nothing(promised: float | None) -> None:
    assert not check_promise(many(60, "worn"), MATRIX.options, Watched("1", FIRST, promised), 0.01).breached


def test_a_promise_of_no_error_at_all_is_held_to_very_few() -> None:
    check = check_promise(many(60, "worn"), MATRIX.options, Watched("1", FIRST, 0.0), 0.01)
    assert check.breached
    assert not check_promise(many(60, "kept"), MATRIX.options, Watched("1", FIRST, 0.0), 0.01).breached


TRUSTING, DOUBTING = [0.99, 0.01], [0.02, 0.98]


def sides(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    cases = [f"R{i:03}" for i in range(count)]
    return dict.fromkeys(cases, TRUSTING), dict.fromkeys(cases, DOUBTING)


def is_worse(compared: RolloutComparison, alpha: float = 0.01) -> bool:
    return any(check.breached for check in checks_of_comparison("2", compared, alpha))


def test_a_challenger_that_pays_out_wrongly_loses_in_money_and_errors_and_not_the_other_way() -> None:
    trusting, doubting = sides(40)
    worse = compare_rollout(many(40, "worn"), doubting, trusting, TERMS, 0.01)
    assert is_worse(worse)
    assert worse.pairs == 40
    assert worse.worse_by > 80
    better = compare_rollout(many(40, "worn"), trusting, doubting, TERMS, 0.01)
    assert not is_worse(better)
    assert better.worse_by == -worse.worse_by
    money, error = checks_of_comparison("2", worse, 0.01)
    assert (money.kind, money.breached, error.kind, error.breached) == ("money", True, "error", True)
    assert money.e_value == worse.e_money / WAYS


def test_one_model_twice_is_no_worse_and_nobody_paired_is_nothing() -> None:
    trusting, _ = sides(40)
    same = compare_rollout(many(40, "worn"), trusting, trusting, TERMS, 0.01)
    assert (is_worse(same), same.worse_by, same.e_money, same.e_error) == (False, 0.0, 1.0, 1.0)
    alone = compare_rollout(many(40, "worn"), trusting, {}, TERMS, 0.01)
    assert (alone.pairs, is_worse(alone)) == (0, False)
    assert np.isnan(alone.worse_by)


def test_a_challenger_that_may_not_decide_asks_a_person() -> None:
    trusting, _ = sides(40)
    nothing = dict.fromkeys(trusting)
    asks = compare_rollout(many(40, "worn"), trusting, nothing, TERMS, 0.01)
    assert asks.worse_by == pytest.approx(4 + 8 - 100)
    assert asks.e_error == 1.0


def test_a_challenger_that_is_as_good_is_seldom_withdrawn() -> None:
    """Errors of both by chance, looked at over and over."""
    alarms = 0
    for seed in range(150):
        draw = np.random.default_rng(seed)
        labels = np.where(draw.random(300) < 0.3, "worn", "kept")
        decisions = [decision(f"R{i:03}", FIRST, "random_share") for i in range(300)]
        found = judged(decisions, [known(f"R{i:03}", str(labels[i])) for i in range(300)])
        one, other = (
            {f"R{i:03}": TRUSTING if right else DOUBTING for i, right in enumerate(draw.random(300) < 0.5)}
            for _ in range(2)
        )
        alarms += is_worse(compare_rollout(found, one, other, TERMS, 0.1), 0.1)
    assert alarms / 150 <= 0.1
