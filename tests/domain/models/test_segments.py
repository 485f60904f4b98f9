"""A segment has a calibration of its own where that is clearly better, and figures of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.measures.probabilities import ece, log_loss
from pipeline_project.domain.models.calibration import Calibration, fit_calibration
from pipeline_project.domain.models.segments import SegmentMaps, fit_segments, slice_metrics, slices

SHARES = {"web": 0.5, "app": 0.3, "shop": 0.17, "fair": 0.03}
FIELDS = ("channel", "payment")


def cases(rows: int, seed: int, shop_is_other: bool = True):
    """Features, predictions, labels and folds; in the shop (and at fairs) labels come less often than predicted."""
    random = np.random.default_rng(seed)
    channel = random.choice(list(SHARES), rows, p=list(SHARES.values())).astype(object)
    payment = random.choice(["card", "invoice"], rows).astype(object)
    payment[:20] = None
    p = random.uniform(0.05, 0.95, rows)
    other = np.isin(channel, ["shop", "fair"]) & shop_is_other
    y = (random.random(rows) < np.where(other, p**3, p)).astype(np.int64)
    ids = np.array([f"case{i}" for i in range(rows)], dtype=object)
    table = FeatureTable(ids, ids, (), np.empty((rows, 0)), FIELDS, np.column_stack([channel, payment]))
    return table, np.column_stack([1 - p, p]), y, np.arange(rows) * 3 // rows


def fitted(rows: int = 4000, seed: int = 1, shop_is_other: bool = True):
    table, p, y, groups = cases(rows, seed, shop_is_other)
    weights = np.ones(rows)
    common, crossed = fit_calibration(p, y, groups, weights)
    return common, *fit_segments(table, FIELDS, p, crossed, y, groups, weights)


def test_a_segment_that_is_otherwise_has_its_own_map_and_it_holds_on_new_cases() -> None:
    common, maps, _ = fitted()
    table, p, y, _ = cases(20_000, 2)
    told = maps.apply(p, common.apply(p), table)
    shop = table.categories[:, 0] == "shop"

    assert "channel=shop" in maps.names
    assert "channel=fair" not in maps.names  # too few of its cases
    assert ece(common.apply(p)[shop], y[shop]) > 0.12
    assert ece(told[shop], y[shop]) < 0.04
    np.testing.assert_allclose(told.sum(axis=1), 1)


@pytest.mark.parametrize("seed", range(5))
def test_where_all_are_alike_the_common_map_serves_all(seed: int) -> None:
    assert fitted(3000, seed, shop_is_other=False)[1].names == []


def test_the_figures_come_from_maps_that_had_not_seen_the_case() -> None:
    table, p, y, _ = cases(4000, 1)
    common, maps, found = fitted()
    shop = table.categories[:, 0] == "shop"
    seen = maps.apply(p, common.apply(p), table)

    assert log_loss(seen[shop], y[shop]) < log_loss(found[shop], y[shop])
    for third in range(3):
        rows = shop & (np.arange(4000) * 3 // 4000 == third)
        without = shop & ~rows
        # a map of the other thirds, whatever happened in this one
        own, _ = fit_calibration(p[without], y[without], np.zeros(without.sum()))
        assert log_loss(found[rows], y[rows]) == pytest.approx(log_loss(own.apply(p[rows]), y[rows]), abs=0.02)


def test_a_case_takes_the_first_field_that_has_a_map_for_it() -> None:
    shift = [Calibration("platt", {"slope": [0.0], "intercept": [at]}) for at in (-9.0, 9.0)]
    maps = SegmentMaps({"payment": {"card": shift[0]}, "channel": {"web": shift[1]}})
    values = np.array([["web", "card"], ["web", "invoice"], ["shop", "invoice"], [None, None]], dtype=object)
    table = FeatureTable(values[:, 0], values[:, 0], (), np.empty((4, 0)), FIELDS, values)
    even = np.full((4, 2), 0.5)

    assert maps.apply(even, even, table)[:, 1].round(2).tolist() == [0.0, 1.0, 0.5, 0.5]
    back = SegmentMaps.from_dict(json.loads(json.dumps(maps.to_dict(), sort_keys=True)))
    assert back == maps
    assert back.names == ["payment=card", "channel=web"]


@pytest.mark.parametrize(
    "damaged",
    [
        {"channel": {}},
        [["channel"]],
        [["channel", ["shop"]]],
        [["channel", {"shop": {"kind": "magic", "values": {}}}]],
        [["channel", {"shop": {"kind": "platt", "values": {"slope": [1.0]}}}]],
        [["channel", {"shop": None}]],
        7,
    ],
)
def test_damaged_segments_are_unavailable(damaged: object) -> None:
    with pytest.raises(ModelUnavailable, match="train the model again"):
        SegmentMaps.from_dict(damaged)


def test_figures_by_slice() -> None:
    table, p, y, _ = cases(4000, 1)
    found = slices(table, FIELDS, p, y, np.ones(4000))
    shop = table.categories[:, 0] == "shop"

    assert list(found) == ["channel", "payment"]
    assert found["channel"]["shop"]["cases"] == shop.sum()
    assert found["channel"]["shop"]["ece"] == pytest.approx(ece(p[shop], y[shop]))
    assert found["channel"]["web"]["ece"] < 0.05 < found["channel"]["shop"]["ece"]
    assert set(found["payment"]) == {"card", "invoice"}
    few = slices(table.select(np.arange(200)), FIELDS, p[:200], y[:200], np.ones(200))
    assert "fair" not in few["channel"]


def test_names_of_metrics_are_names_that_mlflow_takes() -> None:
    from mlflow.utils.validation import _validate_metric_name

    of = {
        "where from": {
            "a/b": {"ece": 0.1},
            "a b": {"ece": 0.2},
            "ä€": {"ece": 0.3},
            "": {"ece": 0.4},
            "x" * 300: {"ece": 0.5},
        }
    }
    found = slice_metrics(of)

    assert sorted(found.values()) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert {"ece.where_from.a_b", "ece.where_from.a_b__2"} <= set(found)
    for name in found:
        _validate_metric_name(name)
        assert len(name) <= 200


def test_a_segment_that_is_no_category_is_named() -> None:
    table, p, y, groups = cases(500, 1)
    with pytest.raises(KeyError, match=r"no category 'brand'.*channel, payment"):
        fit_segments(table, ("brand",), p, p, y, groups, np.ones(500))
