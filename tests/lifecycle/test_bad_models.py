"""A small version of `python -m benchmarks.lifecycle bad-models`: the good model comes through, the bad ones do not."""

from __future__ import annotations

import pytest

from benchmarks.lifecycle import bad_models as bad
from benchmarks.lifecycle.house import LIVE_DECISIONS, House
from benchmarks.lifecycle.judging import Bench


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench.of(House.made(each=60))


def test_there_are_at_least_twenty_and_each_says_what_is_wrong_with_it() -> None:
    assert len({maker.__name__ for maker in bad.MAKERS}) == len(bad.MAKERS) >= 20
    assert all(maker.__doc__ for maker in bad.MAKERS)


def test_the_good_one_comes_through_and_the_watch_lets_it_be(bench: Bench) -> None:
    stop = bench.judged(bad.good_one(bench.house))
    assert stop.by is None, stop
    assert stop.watched is None


@pytest.mark.parametrize(
    ("maker", "by", "words"),
    [
        (bad.leaked_field, "guard", "days_to_close alone"),
        (bad.duplicates, "guard", "8,341 rows hold"),
        (bad.missing_label, "training", "fraud 0"),
        (bad.knows_the_future, "replay", "knows the future"),
        (bad.missing_field, "scoring", "years_a_customer"),
        (bad.other_labels, "artifact", "other labels"),
        (bad.truncated, "artifact", "damaged"),
        (bad.changed_and_sealed_again, "artifact", "registered and signed"),
        (bad.older_version, "artifact", "registered and signed"),
        (bad.pickled, "artifact", "may run code"),
        (bad.pickle_in_disguise, "artifact", "not the .json file"),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_stopped_before_anything_is_replayed(bench: Bench, maker: bad.Maker, by: str, words: str) -> None:
    stop = bench.judged(maker(bench.house))
    assert stop.by == by, stop
    assert words in stop.what


@pytest.mark.parametrize(
    ("maker", "gate"),
    [
        (bad.constant, "money"),
        (bad.overconfident, "calibration"),
        (bad.underconfident, "calibration"),
        (bad.cost_blind, "calibration"),
        (bad.shifted_labels, "slices"),
        (bad.swapped_category, "slices"),
        (bad.drifted_encoder, "money"),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_stopped_by_a_gate(bench: Bench, maker: bad.Maker, gate: str) -> None:
    stop = bench.judged(maker(bench.house))
    assert stop.by == "gate", stop
    assert gate in stop.what.partition(":")[0].split(", ")


@pytest.mark.parametrize(
    "maker", [bad.constant, bad.other_order, bad.drifted_encoder, bad.noise_only], ids=lambda maker: maker.__name__
)
def test_the_watch_alone_would_roll_back_what_errs_much_more_than_promised(bench: Bench, maker: bad.Maker) -> None:
    watched = bench.judged(maker(bench.house)).watched
    assert watched is not None
    assert watched <= LIVE_DECISIONS
