from __future__ import annotations

from typing import Any

import pytest

from pipeline_project.domain.review.typical import typical_and_different


def content(price: float | None, category: str, worn: float = 0.5) -> dict[str, Any]:
    return {
        "fields": {"price": price, "category": category},
        "labels": {"worn": {"probability": worn, "best": None}, "fine": {"probability": 1 - worn, "best": None}},
    }


def test_the_odd_one_is_shown_as_different() -> None:
    contents = [content(20 + i, "lamp") for i in range(8)] + [content(500, "shoes", worn=0.99)]
    typical, different = typical_and_different(contents)
    assert len(typical) == len(different) == 3
    assert different[0] == 8
    assert 8 not in typical
    assert not set(typical) & set(different)


def test_different_ones_differ_from_each_other() -> None:
    contents = [content(20, "lamp")] * 6 + [content(20, "shoes")] * 3 + [content(20, "bag")]
    _, different = typical_and_different(contents)
    assert {contents[i]["fields"]["category"] for i in different[:2]} == {"shoes", "bag"}


@pytest.mark.parametrize("count", range(8))
def test_small_clusters_show_everybody_once(count: int) -> None:
    typical, different = typical_and_different([content(i, "lamp") for i in range(count)])
    shown = [*typical, *different]
    assert len(shown) == len(set(shown)) == min(count, 6)


def test_missing_values_and_missing_models_are_borne() -> None:
    contents: list[dict[str, Any]] = [{"fields": {"price": None}, "labels": {}}, {}, {"fields": {"price": 3.0}}]
    contents += [{"fields": {"price": 3.0}, "labels": {"worn": {"probability": None, "best": "x"}}}]
    assert len({i for part in typical_and_different(contents) for i in part}) == 4
