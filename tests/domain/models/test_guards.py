"""Data that forbids a training is refused with a sentence; data that only looks like it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import TrainingRefused
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models.training_guards import GuardTerms, check, copies

TERMS = GuardTerms(labels=("kept", "worn"), content=frozenset({"price", "weight", "color"}))
NIGHTS = 40


class Healthy:
    """Features that say something about the label, as no leak does; changed by each test."""

    def __init__(self, rows: int = 2000, seed: int = 3) -> None:
        draw = np.random.default_rng(seed)
        self.rows, self.draw = rows, draw
        nights = [(date(2025, 1, 1) + timedelta(days=n)).isoformat() for n in range(NIGHTS)]
        self.nights = np.array([nights[i * NIGHTS // rows] for i in range(rows)], dtype=object)
        self.label = np.where(draw.random(rows) < 0.3, "worn", "kept").astype(object)
        worn = self.label == "worn"
        self.numbers = {"price": draw.normal(40, 9, rows) + 6 * worn, "weight": draw.normal(0, 1, rows)}
        self.categories = {"color": draw.choice(["red", "blue", "green"], rows).astype(object)}
        self.text: np.ndarray | None = None

    def features(self) -> FeatureTable:
        return FeatureTable(
            case_ids=np.array([f"c{i}" for i in range(self.rows)], dtype=object),
            nights=self.nights,
            number_names=tuple(self.numbers),
            numbers=np.column_stack(list(self.numbers.values())),
            category_names=tuple(self.categories),
            categories=np.column_stack(list(self.categories.values())),
            vectors={} if self.text is None else {"text": self.text},
        )

    def table(self) -> pa.Table:
        known = pa.array([0] * self.rows, pa.timestamp("us", tz="UTC"))
        return self.features().to_arrow(self.label.tolist(), known)

    def of(self, rows: np.ndarray) -> None:
        """The cases at these positions instead, on the nights there are."""
        self.numbers = {name: values[rows] for name, values in self.numbers.items()}
        self.categories = {name: values[rows] for name, values in self.categories.items()}
        self.text = None if self.text is None else self.text[rows]
        self.label = self.label[rows]


def refusal(data: Healthy, terms: GuardTerms = TERMS, decided: pa.Table | None = None) -> str:
    with pytest.raises(TrainingRefused) as refused:
        check(data.table(), terms, decided)
    return str(refused.value)


def decided(*rows: tuple[str, str, str]) -> pa.Table:
    names = ("case_id", "option", "reason")
    return pa.table({name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(names)})


def test_healthy_data_may_be_trained_on() -> None:
    check(Healthy().table(), TERMS)


def test_nothing_and_next_to_nothing_are_left_to_the_count_of_outcomes() -> None:
    check(Healthy().table().slice(0, 0), TERMS)
    check(Healthy().table().slice(0, 12), TERMS)


# -- known later ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", ["weight", "color", "delivered_at"])
def test_a_field_that_is_known_later_is_refused(late: str) -> None:
    data = Healthy()
    data.numbers["delivered_at_days_ago"] = data.draw.normal(0, 1, data.rows)
    words = refusal(data, replace(TERMS, late=frozenset({late})))
    assert words.startswith(late)
    assert "known_later" in words


# -- a field that predicts too well ---------------------------------------------------------------------------


def test_a_number_that_gives_the_label_away_is_refused_by_name() -> None:
    data = Healthy()
    data.numbers["refunded"] = (data.label == "worn") * 12.5 + data.draw.normal(0, 1, data.rows)
    words = refusal(data)
    assert words.startswith("refunded alone tells")
    assert "known_later" in words
    check(data.table(), replace(TERMS, single_field_limit=1.0))


def test_a_number_that_is_lowest_for_one_label_of_three_is_a_leak_too() -> None:
    data = Healthy()
    stolen = data.draw.random(data.rows) < 0.1
    data.label = np.where(stolen, "stolen", data.label).astype(object)
    data.numbers["paid_back"] = stolen * -12.5 + data.draw.normal(0, 1, data.rows)
    words = refusal(data, replace(TERMS, labels=("kept", "worn", "stolen")))
    assert words.startswith("paid_back alone tells stolen")


@pytest.mark.parametrize("side", [-5.0, 5.0])
def test_missing_values_may_stand_with_the_lowest_or_with_the_highest(side: float) -> None:
    data = Healthy()
    worn = data.label == "worn"
    value = np.where(worn, side, -side) + data.draw.normal(0, 1, data.rows)
    data.numbers["balance"] = np.where(worn & (data.draw.random(data.rows) < 0.5), np.nan, value)
    assert refusal(data).startswith("balance alone")


def test_what_comes_in_one_night_only_says_nothing_about_the_next() -> None:
    data = Healthy()
    night = np.array([date.fromisoformat(night).toordinal() for night in data.nights])
    data.label = np.where(night % 3 == 0, "worn", "kept").astype(object)
    data.categories["batch"] = np.array([f"b{n}" for n in night], dtype=object)
    check(data.table().take(data.draw.permutation(data.rows)), TERMS)


@pytest.mark.parametrize("filled", [-4.0, 4.0])
def test_that_a_value_is_missing_can_be_the_leak(filled: float) -> None:
    data = Healthy()
    data.numbers["days_to_refund"] = np.where(data.label == "worn", data.draw.normal(filled, 3, data.rows), np.nan)
    assert refusal(data).startswith("days_to_refund alone")


def test_a_code_written_as_a_number_is_a_leak_though_its_order_says_nothing() -> None:
    data = Healthy()
    data.numbers["status"] = np.where(data.label == "worn", 5.0, data.draw.choice([2.0, 9.0], data.rows))
    assert refusal(data).startswith("status alone")


def test_a_category_that_gives_one_label_of_three_away_is_refused() -> None:
    data = Healthy()
    rare = data.draw.random(data.rows) < 0.05
    data.label = np.where(rare, "stolen", data.label).astype(object)
    data.categories["case_file"] = np.where(rare, "police", data.draw.choice(["a", "b"], data.rows)).astype(object)
    words = refusal(data, replace(TERMS, labels=("kept", "worn", "stolen")))
    assert words.startswith("case_file alone tells stolen")


def test_an_id_does_not_look_like_a_leak() -> None:
    data = Healthy()
    data.categories["order"] = np.array([f"o{i}" for i in range(data.rows)], dtype=object)
    data.categories["basket"] = np.array([f"b{i // 2}" for i in range(data.rows)], dtype=object)
    data.label = np.repeat(data.label[::2], 2)
    data.numbers["price"] = data.draw.normal(40, 9, data.rows)
    check(data.table(), TERMS)


def test_the_order_of_the_rows_does_not_matter() -> None:
    data = Healthy()
    data.categories["note"] = np.where(data.label == "worn", "sent back", "paid").astype(object)
    shuffled = data.table().take(data.draw.permutation(data.rows))
    with pytest.raises(TrainingRefused, match="note alone"):
        check(shuffled, TERMS)


# -- copies across the split ----------------------------------------------------------------------------------


def test_8341_rows_with_356_distinct_ones_do_not_pass() -> None:
    data = Healthy(8341)
    data.of(data.draw.integers(0, 356, 8341))
    words = refusal(data)
    assert "100% of the later cases are exact copies" in words
    assert "8,341 rows hold 356 different ones" in words


def test_copies_whose_labels_were_drawn_anew_do_not_pass_either() -> None:
    data = Healthy(8341)
    data.of(data.draw.integers(0, 356, 8341))
    data.label = data.draw.permutation(data.label)
    assert "exact copies" in refusal(data)


def test_a_third_of_the_later_rows_copied_with_their_labels_is_enough() -> None:
    data = Healthy()
    rows = np.arange(data.rows)
    again = data.draw.choice(np.arange(1500, 2000), 170, replace=False)
    rows[again] = data.draw.choice(1500, 170, replace=False)
    data.of(rows)
    found = copies(data.features(), data.label, TERMS.content, TERMS.calibration_share)
    assert found.repeated == pytest.approx(0.34)
    assert found.agreement == 1.0
    assert "34% of the later cases" in refusal(data)


def test_features_that_grow_with_time_do_not_hide_a_copy() -> None:
    data = Healthy()
    data.of(data.draw.integers(0, 100, data.rows))
    data.numbers["customer_cases"] = np.arange(data.rows, dtype=float)
    assert "exact copies" in refusal(data)


@pytest.mark.parametrize("moving", [True, False])
def test_a_copy_has_the_same_birthday_or_the_same_age(moving: bool) -> None:
    data = Healthy()
    data.of(data.draw.integers(0, 100, data.rows))
    nights = data.nights.astype("datetime64[D]").astype(float)
    of_price = np.unique(data.numbers["price"], return_inverse=True)[1] * 97.0
    data.numbers["hour"] = data.draw.integers(0, 10, data.rows).astype(float)
    data.numbers["born_days_ago"] = (nights + data.numbers["hour"] / 24) * moving + of_price
    assert "exact copies" in refusal(data, replace(TERMS, content=TERMS.content | {"born_days_ago"}))


def test_few_codes_repeat_by_themselves() -> None:
    data = Healthy()
    data.numbers = {
        "price": data.draw.choice([10.0, 20.0], data.rows),
        "weight": data.draw.choice([1.0, 2.0], data.rows),
    }
    found = copies(data.features(), data.label, TERMS.content, TERMS.calibration_share)
    assert (found.distinct, found.repeated) == (12, 1.0)
    assert found.by_chance > 0.99
    check(data.table(), TERMS)


def test_popular_goods_that_many_buy_are_no_copies() -> None:
    """Weight hangs on the article, so chance explains little; but their buyers keep or return as they like."""
    data = Healthy()
    article = np.where(data.draw.random(data.rows) < 0.4, data.draw.integers(0, 200, data.rows), 10_000)
    fresh = data.draw.normal(0, 1, data.rows)
    data.numbers = {
        "price": np.where(article < 200, article * 1.0, fresh),
        "weight": np.where(article < 200, article, fresh),
    }
    found = copies(data.features(), data.label, TERMS.content, TERMS.calibration_share)
    assert 0.2 < found.excess < 0.5
    assert found.agreement < 0.3
    check(data.table(), TERMS)


def test_equal_texts_are_no_coincidence_and_missing_ones_are_no_copies() -> None:
    data = Healthy()
    data.numbers = {"price": np.ones(data.rows), "weight": np.ones(data.rows)}
    data.text = np.zeros((data.rows, 4), dtype=np.float32)
    check(data.table(), TERMS)
    data.text[::5] = data.draw.normal(0, 1, (data.rows // 5, 4))
    check(data.table(), TERMS)
    some = data.draw.normal(0, 1, (30, 4)).astype(np.float32)
    data.text = some[data.draw.integers(0, 30, data.rows)]
    assert "exact copies" in refusal(data)


# -- outcomes of what the policy let through only -------------------------------------------------------------

BLIND = replace(TERMS, learned_after=("refund",), exploration=0.05)
LET_THROUGH = [("c1", "refund", "cheapest")] * 90
BLOCKED = [("x", "reject", "cheapest")] * 10


def test_what_was_blocked_without_an_exploration_share_is_refused() -> None:
    words = refusal(Healthy(), replace(BLIND, exploration=0.0), decided(*LET_THROUGH, *BLOCKED))
    assert words.startswith("10 of 100 decided cases got reject, after which the truth is never learned")
    assert "review.exploration is 0" in words


def test_an_exploration_share_of_which_nothing_is_known_yet_does_not_help() -> None:
    unknown = [("not in the table", "ask_person", "random_share")]
    words = refusal(Healthy(), BLIND, decided(*LET_THROUGH, *BLOCKED, *unknown))
    assert "no outcome of the random share is known yet" in words
    check(Healthy().table(), BLIND, decided(*LET_THROUGH, *BLOCKED, ("c7", "ask_person", "random_share")))


@pytest.mark.parametrize(
    ("terms", "rows"),
    [
        (replace(BLIND, learned_after=(), exploration=0.0), [*LET_THROUGH, *BLOCKED]),
        (replace(BLIND, learned_after=("refund", "reject"), exploration=0.0), [*LET_THROUGH, *BLOCKED]),
        (replace(BLIND, exploration=0.0), [*LET_THROUGH, ("c2", "ask_person", "doubt")]),
        (replace(BLIND, exploration=0.0), []),
    ],
    ids=["after each option", "after both options", "a person finds the truth", "nothing decided yet"],
)
def test_where_every_truth_is_learned_nothing_is_censored(terms: GuardTerms, rows: list[tuple[str, str, str]]) -> None:
    check(Healthy().table(), terms, decided(*rows))
    check(Healthy().table(), terms, None)
