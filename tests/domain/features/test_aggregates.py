"""Aggregations say what was known then: every form beside a plain count, and a leakage test made for each of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.core.schema import Field, FieldType, Role
from pipeline_project.domain.features.aggregates import CaseRows, aggregates
from pipeline_project.domain.features.aggregations import Aggregation, Figure, aggregation
from pipeline_project.domain.features.building import build_features, no_past
from pipeline_project.domain.features.linked import MOST_SHARING
from pipeline_project.domain.features.looking_back import MOST_ROWS
from pipeline_project.domain.features.plan import FeaturePlan

AT = Field("at", FieldType.TIME, "at", role=Role.TIME)
SCHEMA = pa.schema(
    [
        ("night", pa.string()),
        ("case_id", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("customer", pa.string()),
        ("address", pa.string()),
        ("device", pa.string()),
        ("photos", pa.list_(pa.string())),
        ("channel", pa.string()),
        ("price", pa.float64()),
    ]
)
#: One line for each figure, and for each way to say whose.
WHATS = {
    Figure.COUNT: "count",
    Figure.SUM: "sum of price",
    Figure.MEAN: "mean of price",
    Figure.LARGEST: "max of price",
    Figure.SMALLEST: "min of price",
    Figure.QUANTILE: "quantile 0.9 of price",
    Figure.TREND: "trend of price",
    Figure.RATIO: "ratio of price",
    Figure.DISTINCT: "distinct customer",
    Figure.SINCE: "days since last",
    Figure.OUTCOMES: "share of fraud",
    Figure.VALUES: "share of channel = web",
}
WHOSE = ("by customer", "by address, channel", "by photos", "linked through address, device, photos")
LINES = [f"{what} {whose} over 4 days" for what in WHATS.values() for whose in WHOSE]


def day(number: int) -> str:
    return f"2024-03-{number + 1:02d}"


def made_up(seed: int, nights: int = 8, per_night: int = 12) -> tuple[pa.Table, pd.DataFrame]:
    """Cases some of which come late, with few customers, addresses and photos, and outcomes that come later still."""
    random = np.random.default_rng(seed)

    def one_of(letter: str, count: int, missing: float = 0.1) -> str | None:
        return None if random.random() < missing else f"{letter}{random.integers(count)}"

    rows, outcomes = [], []
    for night in range(nights):
        begun = datetime.fromisoformat(day(night)).replace(tzinfo=UTC)
        for number in range(per_night):
            late = random.integers(1, 5) if random.random() < 0.15 else 0
            at = begun - timedelta(days=int(late)) + timedelta(minutes=int(random.integers(0, 24)) * 60)
            name = f"{night}-{number}"
            photos = [f"p{random.integers(9)}" for _ in range(random.integers(3))]
            rows.append(
                {
                    "night": day(night), "case_id": name, "at": at, "customer": one_of("c", 5),
                    "address": one_of("a", 6, 0.3), "device": one_of("d", 9, 0.4), "photos": photos,
                    "channel": ("web", "app")[random.integers(2)],
                    "price": None if random.random() < 0.1 else float(random.integers(1, 900)) / 7,
                }
            )  # fmt: skip
            if random.random() < 0.8:
                wait = timedelta(hours=float(random.integers(1, 150)))
                outcomes.append((name, ("fraud", "honest")[random.integers(2)], begun + wait))
    frame = pd.DataFrame(outcomes, columns=["case_id", "label", "known_at"])
    return pa.Table.from_pylist(rows, schema=SCHEMA), frame.assign(known_at=pd.to_datetime(frame["known_at"], utc=True))


def made(night: str, table: pa.Table, outcomes: pd.DataFrame, wanted: list[Aggregation]) -> pd.DataFrame:
    begun = datetime.fromisoformat(night).replace(tzinfo=UTC)
    rows = CaseRows.of(night, table, AT, outcomes[outcomes["known_at"] < begun])
    return pd.DataFrame(aggregates(rows, wanted), index=rows.ids)


def plainly(case: dict, table: list[dict], label_of: dict[str, str], one: Aggregation) -> float:
    """What a line says, of one case, as one would count it by hand."""
    span = timedelta(microseconds=one.span)
    back = [row for row in table if row["night"] <= case["night"] and row["at"] < case["at"]]

    def values(row: dict, name: str) -> set[str]:
        held = row[name]
        return set(held) if isinstance(held, list) else set() if held is None else {held}

    if one.linked:
        # whatever is reached in steps, each through a value in common
        back = [row for row in back if row["at"] >= first_asked(table, case) - span]
        reached, edge = [], [case]
        while edge:
            of = edge.pop()
            near = [row for row in back if any(values(row, name) & values(of, name) for name in one.entity)]
            edge += [row for row in near if row not in reached and row is not case]
            reached += [row for row in near if row not in reached]
        if not any(values(case, name) for name in one.entity):
            return np.nan
        return figure(case, [row for row in reached if row["at"] >= case["at"] - span], label_of, one)
    back = [row for row in back if row["at"] >= case["at"] - span]
    ways: list[list[tuple[str, object]]] = [[]]
    for name in one.entity:
        ways = [[*way, (name, value)] for way in ways for value in sorted(values(case, name))]
    figures = [
        figure(case, [row for row in back if all(value in values(row, name) for name, value in way)], label_of, one)
        for way in ways
    ]
    figures = [f for f in figures if not np.isnan(f)]
    return (min if one.figure is Figure.SINCE else max)(figures) if figures else np.nan


def first_asked(table: list[dict], case: dict) -> datetime:
    return min(row["at"] for row in table if row["night"] == case["night"])


def figure(case: dict, rows: list[dict], label_of: dict[str, str], one: Aggregation) -> float:
    rows = sorted(rows, key=lambda row: row["at"])
    prices = pd.Series([row["price"] for row in rows], dtype=float).round(3)
    labels = [label_of[row["case_id"]] for row in rows if row["case_id"] in label_of]
    web = [row["channel"] for row in rows].count("web")
    by_hand: dict[Figure, Callable[[], float]] = {
        Figure.COUNT: lambda: len(rows),
        Figure.SUM: prices.sum,
        Figure.MEAN: prices.mean,
        Figure.LARGEST: prices.max,
        Figure.SMALLEST: prices.min,
        Figure.QUANTILE: lambda: float(prices.quantile(0.9)),
        Figure.TREND: lambda: float(straight(rows, prices)),
        Figure.RATIO: lambda: np.nan if case["price"] is None else case["price"] / prices.mean(),
        Figure.DISTINCT: lambda: len({row["customer"] for row in rows} - {None}),
        Figure.SINCE: lambda: (case["at"] - rows[-1]["at"]) / timedelta(days=1) if rows else np.nan,
        Figure.OUTCOMES: lambda: labels.count("fraud") / len(labels) if labels else np.nan,
        Figure.VALUES: lambda: web / len(rows) if rows else np.nan,
    }
    return by_hand[one.figure]()


def straight(rows: list[dict], prices: pd.Series) -> float:
    there = prices.notna().to_numpy()
    days = np.array([row["at"].timestamp() / 86_400 for row in rows])[there]
    return np.polyfit(days - days.mean(), prices[there], 1)[0] if len(set(days)) > 1 else np.nan


def test_each_figure_has_a_line_here() -> None:
    assert set(WHATS) == set(Figure)
    assert {aggregation("x", line).figure for line in LINES} == set(Figure)


@pytest.mark.parametrize("seed", range(2))
def test_every_form_is_what_one_would_count_by_hand(seed: int) -> None:
    table, outcomes = made_up(seed)
    rows = table.to_pylist()
    wanted = [aggregation(f"f{i}", line) for i, line in enumerate(LINES)]
    night = day(6)
    figures = made(night, table, outcomes, wanted)
    begun = datetime.fromisoformat(night).replace(tzinfo=UTC)
    told_before = outcomes[outcomes["known_at"] < begun]
    label_of = dict(zip(told_before["case_id"], told_before["label"], strict=True))
    tonight = [row for row in rows if row["night"] == night]
    assert len(tonight) == 12
    for case in tonight:
        expected = [plainly(case, rows, label_of, one) for one in wanted]
        for one, value in zip(wanted, expected, strict=True):
            assert figures.loc[case["case_id"], one.name] == pytest.approx(value, rel=1e-4, abs=2e-3, nan_ok=True), (
                one.line
            )
    # and none of the forms is empty for all
    assert figures.notna().any().all()


@pytest.mark.parametrize("line", LINES)
def test_nothing_at_or_after_a_case_changes_what_it_sees(line: str) -> None:
    """The leakage test of one line: rows at or after the case, of later nights, and later outcomes are changed, taken
    away and added to, and nothing moves by a bit."""
    table, outcomes = made_up(7)
    wanted, night, random = [aggregation("x", line)], day(6), np.random.default_rng(1)
    begun = datetime.fromisoformat(night).replace(tzinfo=UTC)
    before = made(night, table, outcomes, wanted)["x"]
    rows = table.to_pylist()
    moved = 0
    for case in [row for row in rows if row["night"] == night][:3]:
        changed = []
        for row in rows:
            hidden = row["night"] > night or row["at"] >= case["at"]
            if row is case or not hidden:
                changed.append(row)
            elif random.random() < 0.5:
                other = {"customer": case["customer"], "address": case["address"], "device": case["device"]}
                changed.append({**row, **other, "photos": case["photos"], "price": 1e6, "channel": "web"})
        late = outcomes.assign(label=np.where(outcomes["known_at"] >= begun, "fraud", outcomes["label"]))
        late = late[(late["known_at"] < begun) | (random.random(len(late)) < 0.5)]
        after = made(night, pa.Table.from_pylist(changed, schema=SCHEMA), late, wanted)["x"]
        np.testing.assert_array_equal(after[case["case_id"]], before[case["case_id"]])
        moved += int(
            np.nan_to_num(after.reindex(before.index), nan=-1).tolist() != np.nan_to_num(before, nan=-1).tolist()
        )
    assert moved, "what was changed would have moved other cases, so the test sees something"


def test_cases_without_a_time_look_back_on_earlier_nights_alone() -> None:
    table, outcomes = made_up(3)
    rows = CaseRows.of(day(5), table, None, outcomes.head(0))
    (count,) = aggregates(rows, [aggregation("x", "count by customer over 1 day")]).values()
    before = [row["customer"] for row in table.to_pylist() if row["night"] == day(4)]
    tonight = {row["case_id"]: row["customer"] for row in table.to_pylist() if row["night"] == day(5)}
    expected = [before.count(tonight[case]) if tonight[case] else np.nan for case in rows.ids]
    np.testing.assert_array_equal(count, expected)


def test_a_case_that_was_delivered_again_counts_once_and_tonights_is_there_whatever_came_before() -> None:
    at = datetime(2024, 3, 1, 9, tzinfo=UTC)
    rows = [
        {"night": night, "case_id": case, "at": at + timedelta(days=int(night[-2:])), "customer": "c"}
        for night, case in [("2024-03-01", "a"), ("2024-03-02", "a"), ("2024-03-02", "b"), ("2024-03-03", "a")]
    ]
    nobody = made_up(1)[1].head(0)
    figures = made("2024-03-03", pa.Table.from_pylist(rows, schema=SCHEMA), nobody, [aggregation("x", LINES[0])])
    assert figures["x"].to_dict() == {"a": 2.0}


def test_a_value_that_many_share_links_nobody() -> None:
    night, begun = day(9), datetime(2024, 3, 10, tzinfo=UTC)
    rows = [
        {
            "night": day(n % 9),
            "case_id": f"{n}",
            "at": begun - timedelta(hours=1 + n),
            "address": "station",
            "device": f"d{n}",
        }
        for n in range(MOST_SHARING)
    ]
    asks = {"night": night, "case_id": "asks", "at": begun + timedelta(hours=1), "address": "station", "device": "d3"}
    wanted = [aggregation("x", "count linked through address, device over 9 days")]
    nobody = pd.DataFrame({"case_id": [], "label": [], "known_at": pd.to_datetime([], utc=True)})

    def count(cases: list[dict]) -> float:
        return float(made(night, pa.Table.from_pylist(cases, schema=SCHEMA), nobody, wanted)["x"]["asks"])

    assert count([*rows, asks]) == MOST_SHARING
    one_more = {"night": night, "case_id": "more", "at": begun, "address": "station", "device": "dx"}
    # tonight's own row makes it one too many: the device alone links then
    assert count([*rows, {**one_more, "night": day(8), "at": begun - timedelta(hours=2)}, asks]) == 1


def test_an_entity_with_a_million_rows_takes_seconds_and_little_memory() -> None:
    count, asks = 1_000_000, 500
    at = pa.array(np.arange(count + asks) * 1_000_000 + 1_700_000_000_000_000, pa.timestamp("us", tz="UTC"))
    night = np.where(np.arange(count + asks) < count, "2023-11-30", "2023-12-01")
    table = pa.table(
        {
            "night": pa.array(night),
            "case_id": pa.array(np.arange(count + asks).astype(str)),
            "at": at,
            "address": pa.array(["one"] * (count + asks)),
            "customer": pa.array((np.arange(count + asks) % 2_000).astype(str)),
            "price": pa.array(np.arange(count + asks, dtype=float)),
        }
    )
    lines = [line for what in ("count", "sum of price", "quantile 0.5 of price", "distinct customer", "max of price")
             for line in (f"{what} by address over 300 days",)]  # fmt: skip
    lines.append("count linked through address over 300 days")
    begun = time.process_time()
    rows = CaseRows.of("2023-12-01", table, AT, no_past().outcomes.rename(columns={}))
    figures = aggregates(rows, [aggregation(f"f{i}", line) for i, line in enumerate(lines)])
    assert time.process_time() - begun < 60
    number = np.arange(count, count + asks)
    np.testing.assert_array_equal(figures["f0"], number)
    np.testing.assert_array_equal(figures["f1"], number * (number - 1) / 2)
    np.testing.assert_array_equal(figures["f2"], number - (MOST_ROWS + 1) / 2)
    np.testing.assert_array_equal(figures["f3"], MOST_ROWS)
    np.testing.assert_array_equal(figures["f4"], number - 1)
    np.testing.assert_array_equal(figures["f5"], 0)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("count of customers", "cannot be read"),
        ("count by customer over 0 days", "write from 1 hour"),
        ("count by customer over 40 weekends", "cannot be read"),
        ("average of price by customer over 3 days", "is no figure"),
        ("quantile 1.5 of price by customer over 3 days", "is no figure"),
        ("count by customer, customer over 3 days", "names a field twice"),
        ("count by customer over 99999 weeks", "write from 1 hour"),
    ],
)
def test_a_line_that_cannot_be_read_says_what_to_write(line: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        aggregation("x", line)


def test_a_line_says_itself_in_words() -> None:
    assert aggregation("x", "count by customer_id over 30  days").phrase == "cases of the customer id in 30 days"
    ring = aggregation("x", "share of fraud linked through address, device over 12 weeks")
    assert ring.phrase == "share of fraud among cases linked through address and device in 12 weeks"
    assert (
        aggregation("x", "quantile .9 of price by article over 5 hours").phrase
        == "0.9 quantile of price of the article in 5 hours"
    )


def test_features_are_taken_from_what_was_kept_and_named_in_words() -> None:
    one = aggregation("claims_9d", "count by customer over 9 days")
    plan = FeaturePlan((), ("a", "b"), "UTC", time=AT, aggregations=(one,))
    cases = pa.table(
        {"night": ["2024-03-01"] * 2, "case_id": ["x", "y"], "at": pa.nulls(2, pa.timestamp("us", tz="UTC"))}
    )
    kept = pa.table({"night": ["2024-03-01"] * 2, "case_id": ["y", "x"], "claims_9d": [2.0, None]})
    starts = {"2024-03-01": datetime(2024, 3, 1, tzinfo=UTC)}
    features = build_features(cases, plan, no_past(), starts, aggregates=kept)
    np.testing.assert_array_equal(features.number("claims_9d"), [np.nan, 2.0])
    assert features.phrases["claims_9d"] == "cases of the customer in 9 days"
    with pytest.raises(ValueError, match="aggregates"):
        build_features(cases, plan, no_past(), starts)
