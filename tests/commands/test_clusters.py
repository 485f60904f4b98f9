from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipeline_project.commands.clusters import chosen
from pipeline_project.domain.clusters.newcomers import EVENTS, Novelty
from pipeline_project.domain.reporting.newcomers import newcomer_lines


def row(night: str, cluster: str, reported: bool = False) -> dict[str, Any]:
    plain: dict[str, Any] = dict.fromkeys(EVENTS.names)
    return plain | {"night": night, "cluster": cluster, "kind": "grew", "reported": reported}


ROWS = pa.Table.from_pylist(
    [row("2025-03-01", "a", True), row("2025-03-02", "a"), row("2025-03-02", "b")], schema=EVENTS
)


def names(found: list[dict[str, Any]]) -> list[str]:
    return [f"{each['night'][-1]}{each['cluster']}" for each in found]


def test_without_a_question_the_last_night_and_whatever_was_reported() -> None:
    shown, reported = chosen(ROWS, None, None)
    assert (names(shown), names(reported)) == (["2a", "2b"], ["1a"])


def test_one_night_one_cluster_or_both() -> None:
    assert names(chosen(ROWS, "2025-03-01", None)[0]) == ["1a"]
    assert names(chosen(ROWS, None, "a")[0]) == ["1a", "2a"]
    assert names(chosen(ROWS, "2025-03-02", "b")[0]) == ["2b"]
    assert chosen(ROWS, "2025-03-03", None) == ([], [])


def test_the_report_tells_the_least_likely_first_and_counts_accounts() -> None:
    ordinary = Novelty("c-2", 14, 14, 7, 6, {"text": 0.88}, 0, 0.027)
    sure = Novelty("c-1", 10, 9, 10, 9, {"text": 0.96, "image": 0.84}, 2, 1e-9)
    first, second = newcomer_lines((ordinary, sure))
    assert (first.cluster, second.cluster) == ("c-1", "c-2")
    assert "10 recent cases from 9 accounts" in first.sentence
    assert "2 photos sent by more than one account" in first.sentence
    assert "less than 1 in 1,000" in first.sentence
    assert "photos" not in second.sentence
    assert "2.7%" in second.sentence
