"""Features know what was known at the start of each case's night, in training as in scoring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.core.schema import Field, FieldType, Role
from pipeline_project.domain.features.building import FeaturePlan, Past, build_features, no_cases, no_past
from pipeline_project.domain.models.training import training_table
from pipeline_project.domain.vectors.stored import pack

PRICE = Field("price", FieldType.NUMBER, "price", role=Role.AMOUNT)
SIZE = Field("size", FieldType.CATEGORY, "size")
AT = Field("at", FieldType.TIME, "at", role=Role.TIME)
SINCE = Field("since", FieldType.TIME, "since", pii=True)
PLAN = FeaturePlan(
    inputs=(PRICE, SIZE),
    labels=("kept", "returned"),
    time_zone="UTC",
    amount=PRICE,
    time=AT,
    ages=(SINCE,),
    history=(("customer", None), ("item", 2)),
    basket=(("customer", "at"),),
    clusters=True,
)


def start(night: str) -> datetime:
    return datetime.fromisoformat(night).replace(tzinfo=UTC)


def case(case_id: str, night: str, customer: str | None = "c", item: str = "i", price: float | None = 10.0, **more):
    at = start(night) + timedelta(hours=9)
    told = {"night": night, "case_id": case_id, "customer": customer, "item": item, "price": price, "at": at}
    return {**told, "size": "m", "since": at - timedelta(days=3), **more}


def cases(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=no_cases(PLAN).schema)


def outcomes(*rows: tuple[str, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["case_id", "label", "known_at"])
    return frame.assign(known_at=pd.to_datetime(frame["known_at"], utc=True))


def features(table: pa.Table, past: Past, *nights: str, **more):
    return build_features(table, PLAN, past, {night: start(night) for night in nights}, **more)


def made_up(seed: int, nights: int = 12, per_night: int = 15) -> tuple[pa.Table, pd.DataFrame, pa.Table]:
    """Cases with few customers and items, outcomes that come late and are sometimes corrected, and clusters."""
    random = np.random.default_rng(seed)
    rows, told, clusters = [], [], []
    for n in range(nights):
        night = f"2024-03-{n + 1:02d}"
        for k in range(per_night):
            name = f"{n}-{k}"
            customer = None if random.random() < 0.1 else f"c{random.integers(5)}"
            price = None if random.random() < 0.1 else float(random.integers(1, 900)) / 7
            rows.append(case(name, night, customer, f"i{random.integers(4)}", price, size=f"s{random.integers(3)}"))
            cluster = None if random.random() < 0.3 else f"k{random.integers(3)}"
            clusters.append(
                {
                    "night": night,
                    "case_id": name,
                    "cluster": cluster,
                    "cluster_size": int(random.integers(1, 9)),
                    "cluster_born": "2024-03-01",
                    "cluster_customers": 1,
                    "twin_similarity": float(random.random()),
                    "shared_photo": False,
                }
            )
            if random.random() < 0.8:
                known = start(night) + timedelta(hours=float(random.integers(1, 150)))
                told.append((name, ("kept", "returned")[random.integers(2)], known.isoformat()))
                if random.random() < 0.2:
                    told.append((name, "kept", (known + timedelta(days=2)).isoformat()))
    return cases(*rows), outcomes(*told), pa.Table.from_pylist(clusters)


@pytest.mark.parametrize("seed", range(3))
def test_a_training_row_is_what_scoring_saw_that_night(seed: int) -> None:
    whole, told, clusters = made_up(seed)
    nights = sorted(set(whole["night"].to_pylist()))
    training = features(whole, Past(whole, told), *nights, clusters=clusters)

    for night in nights:
        tonight = whole.filter(pa.compute.equal(whole["night"], night))
        before = whole.filter(pa.compute.less(whole["night"], night))
        seen = clusters.filter(pa.compute.less_equal(clusters["night"], night))
        scored = features(tonight, Past(before, told[told["known_at"] < start(night)]), night, clusters=seen)

        same = training.select(training.nights == night)
        assert scored.number_names == training.number_names
        np.testing.assert_array_equal(scored.numbers, same.numbers)
        assert scored.categories.tolist() == same.categories.tolist()


def test_the_training_table_sees_nights_that_only_the_past_has() -> None:
    whole, told, clusters = made_up(7)
    recent = whole.filter(pa.compute.greater_equal(whole["night"], "2024-03-06"))

    limited = training_table({"cases": recent, "clusters": clusters}, PLAN, Past(whole, told), "UTC").to_pandas()
    full = training_table({"cases": whole, "clusters": clusters}, PLAN, Past(whole, told), "UTC").to_pandas()

    assert len(limited) > 50
    expected = full[full["case_night"] >= "2024-03-06"].reset_index(drop=True)
    pd.testing.assert_frame_equal(limited, expected)


def test_the_training_table_sees_nights_that_a_bounded_past_leaves_out() -> None:
    whole, told, clusters = made_up(7)
    last = whole.filter(pa.compute.greater_equal(whole["night"], "2024-03-11"))
    read = {"cases": whole, "clusters": clusters}

    bounded, full = (training_table(read, PLAN, Past(past, told), "UTC").to_pandas() for past in (last, whole))
    pd.testing.assert_frame_equal(bounded, full)


def test_history_counts_only_earlier_nights_and_known_outcomes() -> None:
    past = cases(case("a", "2024-03-01"), case("b", "2024-03-02", price=30.0), case("c", "2024-03-03", price=99.0))
    told = outcomes(("a", "returned", "2024-03-02T12:00"), ("b", "returned", "2024-03-03T00:00"))
    now = features(cases(case("n", "2024-03-03")), Past(past, told), "2024-03-03")

    assert now.number("customer_earlier") == [2]
    assert now.number("customer_known") == [1], "b became known at the very start of the night, so not before it"
    assert now.number("customer_nights_since") == [1]
    assert now.number("price_to_customer_usual") == [0.5]
    assert now.number("customer_returned_rate") == pytest.approx((1 + 10 * 2 / 3) / 11)


def test_a_window_forgets_and_a_correction_replaces() -> None:
    past = cases(case("a", "2024-03-01"), case("b", "2024-03-03"))
    told = outcomes(
        ("a", "returned", "2024-03-02T00:00"), ("b", "kept", "2024-03-04T12:00"), ("b", "returned", "2024-03-05T12:00")
    )
    asked = cases(case("n", "2024-03-05"), case("m", "2024-03-06"))
    now = features(asked, Past(past, told), "2024-03-05", "2024-03-06")

    assert now.number("item_2n_earlier").tolist() == [1, 0]
    assert now.number("item_2n_known").tolist() == [1, 0]
    assert now.number("customer_known").tolist() == [2, 2]
    before, after = now.number("customer_returned_rate")
    assert after > before


def test_an_unknown_entity_and_a_missing_amount_are_missing() -> None:
    past = cases(case("a", "2024-03-01", price=None))
    asked = cases(case("n", "2024-03-02", customer=None), case("m", "2024-03-02"))
    now = features(asked, Past(past, no_past().outcomes), "2024-03-02")

    assert np.isnan(now.number("customer_earlier")[0])
    assert now.number("customer_earlier")[1] == 1
    assert np.isnan(now.number("price_to_customer_usual")).all()


def test_baskets_stay_within_a_night_and_customer() -> None:
    table = cases(
        case("a", "2024-03-01", price=10.0, size="s", item="x"),
        case("b", "2024-03-01", price=30.0, size="m", item="x"),
        case("c", "2024-03-01", customer="other"),
        case("d", "2024-03-02"),
        case("e", "2024-03-02", customer=None),
        case("f", "2024-03-02", customer=None),
    )
    now = features(table, no_past(), "2024-03-01", "2024-03-02")

    assert now.number("basket_customer_at_size").tolist() == [2, 2, 1, 1, 1, 1]
    assert now.number("basket_customer_at_price_sum").tolist() == [40, 40, 10, 10, 10, 10]
    assert now.number("basket_customer_at_different_size")[:3].tolist() == [2, 2, 1]
    assert now.number("basket_customer_at_different_item")[:3].tolist() == [1, 1, 1]
    assert now.number("basket_customer_at_price_rank")[:2].tolist() == [0.5, 1.0]


def test_times_are_local_and_ages_count_days() -> None:
    plan = FeaturePlan(inputs=(PRICE,), labels=("a", "b"), time_zone="Asia/Tokyo", time=AT, ages=(SINCE,))
    late = case("a", "2024-03-03", at=datetime(2024, 3, 3, 20, 30, tzinfo=UTC), since=None)
    told = build_features(cases(late, case("b", "2024-03-03")), plan, no_past(), {"2024-03-03": start("2024-03-03")})

    assert told.number("weekday")[0] == 0, "Monday already, in Tokyo"
    assert told.number("hour")[0] == 5.5
    assert np.isnan(told.number("since_days_ago")[0])
    assert told.number("since_days_ago")[1] == 3


def test_clusters_and_their_past() -> None:
    past = cases(case("a", "2024-03-01", customer="z", item="z"))
    row = {"cluster": "k", "cluster_size": 9, "cluster_born": "2024-02-20", "cluster_customers": 4}
    row |= {"twin_similarity": 0.9, "shared_photo": True}
    clusters = pa.Table.from_pylist(
        [{"night": "2024-03-01", "case_id": "a", **row}, {"night": "2024-03-03", "case_id": "n", **row}]
    )
    told = outcomes(("a", "returned", "2024-03-02"))
    now = features(cases(case("n", "2024-03-03")), Past(past, told), "2024-03-03", clusters=clusters)

    names = ("cluster_age", "cluster_customers", "shared_photo", "cluster_past_known")
    assert [now.number(name)[0] for name in names] == [12, 4, 1, 1]


def test_a_field_known_later_is_no_feature() -> None:
    late = Field("delivered", FieldType.TIME, "delivered", known_later=True)
    with pytest.raises(ValueError, match="delivered: known only after the decision"):
        FeaturePlan(inputs=(PRICE,), labels=("a", "b"), time_zone="UTC", ages=(late,))
    with pytest.raises(ValueError, match="delivered: known only after the decision"):
        FeaturePlan(
            inputs=(PRICE,),
            labels=("a", "b"),
            time_zone="UTC",
            history=(("delivered", None),),
            late=frozenset({"delivered"}),
        )


def test_vectors_are_aligned_with_the_cases() -> None:
    plan = FeaturePlan(inputs=(PRICE,), labels=("a", "b"), time_zone="UTC", dimensions={"text": 2})
    table = cases(case("a", "2024-03-01"), case("b", "2024-03-01"), case("c", "2024-03-01"))
    embeddings = pa.table(
        {
            "night": ["2024-03-01"] * 2,
            "case_id": ["c", "a"],
            "text_vector": pack(np.array([[0, 1], [1, 0]], dtype=np.float32)),
        }
    )
    told = build_features(table, plan, no_past(), {"2024-03-01": start("2024-03-01")}, embeddings)

    assert told.vectors["text"].tolist() == [[1, 0], [0, 0], [0, 1]]


def test_a_table_survives_the_lake() -> None:
    whole, told, clusters = made_up(1)
    table = training_table({"cases": whole, "clusters": clusters}, PLAN, Past(whole, told), "UTC")
    from pipeline_project.domain.features.table import FeatureTable

    back = FeatureTable.from_arrow(table)
    again = FeatureTable.from_arrow(back.to_arrow())
    np.testing.assert_array_equal(back.numbers, again.numbers)
    assert back.names == again.names
    assert len(back) == told["case_id"].nunique()
    empty = training_table({"cases": None}, PLAN, no_past(), "UTC")
    assert empty.schema.names == table.schema.names
    assert empty.num_rows == 0


def test_masked_names_are_those_of_personal_fields() -> None:
    assert PLAN.masked == {"since_days_ago"}
    assert PLAN.plain_numbers == ("price",)
