from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline_project.domain.clusters.clustering import MEMBERS
from pipeline_project.domain.clusters.lineage import cluster_events
from pipeline_project.domain.clusters.newcomers import (
    ClusterWindow,
    Novelty,
    chance_of,
    novelties,
    novelties_of,
)
from pipeline_project.domain.clusters.similarity import Vectors, similarities
from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.domain.vectors.stored import unit

NIGHT, LATE, LONG_AGO = "2025-03-20", "2025-03-18", "2025-03-08"
TERMS = ClusterTerms()


def group(count: int, name: str = "x", came: str = LATE, born: str = NIGHT) -> pa.Table:
    rows = [
        {"night": NIGHT, "case_id": f"{name}{n}", "came": came, "cluster": name, "cluster_born": born}
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=MEMBERS)


def vectors(cases: list[str], spread: float, keys: dict[str, list[str]] | None = None) -> Vectors:
    """Words and photos of one kind, scattered by `spread`."""
    rng = np.random.default_rng(3)
    parts = [unit((rng.normal(size=24) + spread * rng.normal(size=(len(cases), 24))).astype(np.float32)) for _ in "ab"]
    return Vectors(
        {case: row for row, case in enumerate(cases)},
        dict(zip(MODALITIES, parts, strict=True)),
        [(keys or {}).get(c, []) for c in cases],
    )


def judged(
    table: pa.Table,
    spread: float = 0.1,
    owners: int = 99,
    earlier: pa.Table | None = None,
    keys: dict[str, list[str]] | None = None,
) -> tuple[list[Novelty], pa.Table]:
    cases = table["case_id"].to_pylist()
    subjects: dict[str, str | None] = {case: f"s{n % owners}" for n, case in enumerate(cases)}
    events = cluster_events(NIGHT, table, None, subjects, 14)
    return novelties(NIGHT, events, ClusterWindow(table, vectors(cases, spread, keys), subjects), earlier, TERMS)


def history(alike: list[int]) -> pa.Table:
    """Rows of earlier nights, one new cluster each."""
    from pipeline_project.domain.clusters.newcomers import EVENTS

    plain = dict.fromkeys(EVENTS.names) | {"night": "2025-03-01", "kind": "born", "reported": False}
    return pa.Table.from_pylist([plain | {"cluster": f"e{n}", "alike": a} for n, a in enumerate(alike)], schema=EVENTS)


def test_like_cases_of_many_accounts_that_came_lately_are_reported() -> None:
    (found,), rows = judged(group(8), earlier=history([0] * 20))
    assert (found.members, found.accounts, found.growth, found.growth_accounts) == (8, 8, 8, 8)
    assert (found.similarity["text"] or 0) > 0.9
    assert found.chance < 0.001
    assert novelties_of(rows) == [found]


@pytest.mark.parametrize(
    "ordinary",
    [
        {"table": group(8), "spread": 2.0},
        {"table": group(8), "owners": 3},
        {"table": group(4)},
        {"table": group(8, came=LONG_AGO)},
        {"table": group(8, born=LONG_AGO)},
    ],
    ids=["not alike", "few accounts", "few cases", "came long ago", "no new cluster"],
)
def test_what_lacks_one_of_it_is_not(ordinary: dict[str, Any]) -> None:
    found, rows = judged(**ordinary, earlier=history([0] * 20))
    assert found == []
    assert rows.num_rows == 1


def test_growth_that_new_clusters_often_show_is_not_news() -> None:
    assert judged(group(8), earlier=history([9, 8, 10, 8] * 5))[0] == []


def test_a_cluster_is_reported_once() -> None:
    first, rows = judged(group(8), earlier=history([0] * 20))
    assert len(first) == 1
    assert judged(group(9), earlier=pa.concat_tables([history([0] * 20), rows]))[0] == []


def test_without_a_history_a_large_growth_is_news_and_a_small_one_is_not() -> None:
    assert chance_of(10, []) < 0.001
    assert chance_of(2, []) > 0.1


def test_the_chance_falls_with_growth_and_rises_with_what_earlier_ones_reached() -> None:
    chances = [chance_of(growth, [0, 1, 0, 2, 0, 0]) for growth in range(10)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == pytest.approx(1.0)
    assert chance_of(5, [0] * 10) < chance_of(5, [1] * 10) < chance_of(5, [5] * 10)


def test_one_photo_that_several_accounts_sent_makes_them_alike_whatever_they_write() -> None:
    (found,), _ = judged(group(8), spread=2.0, keys={f"x{n}": ["same"] for n in range(6)})
    assert (found.growth, found.shared_photos) == (6, 1)


def test_photos_of_one_account_are_not_shared() -> None:
    cases = ["a", "b"]
    told = similarities(cases, {"a": "s", "b": "s"}, vectors(cases, 0.0, {"a": ["k"], "b": ["k"]}), 0.9)
    assert (told.cases, told.accounts, told.shared_photos) == (0, 0, 0)


def test_words_alone_are_no_match_where_others_send_photos() -> None:
    cases = ["a", "b", "c"]
    some = vectors(cases, 0.0)
    some.kinds["image"][:2] = 0.0
    assert similarities(cases, dict(zip(cases, "xyz", strict=True)), some, 0.9).cases == 0


def test_nobody_known_is_no_account() -> None:
    cases = ["a", "b"]
    assert similarities(cases, {"a": None}, vectors(cases, 0.0), 0.9).cases == 0
