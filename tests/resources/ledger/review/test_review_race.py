"""The race of `make chaos`, in small: nothing double, nothing lost; and without its protection it fails."""

from __future__ import annotations

import pytest

from benchmarks.chaos.reviews import Entry, Race, check, without_claims
from resources.ledger.nights.ledger import PostgresLedger


@pytest.mark.parametrize("seed", [1, 2])
def test_a_small_race_ends_with_everything_once(ledger: PostgresLedger, seed: int) -> None:
    verdict = Race(ledger.url, reviewers=8, tasks=120, seed=seed).run()
    assert verdict.passed(), verdict
    assert verdict.answered == 120 and verdict.refused > 0 and verdict.expired > 0


def test_without_the_check_of_claims_the_race_fails(ledger: PostgresLedger) -> None:
    with without_claims():
        verdict = Race(ledger.url, reviewers=8, tasks=120, seed=1).run()
    assert not verdict.passed()


def test_the_checker_sees_what_was_told_and_is_not_there(ledger: PostgresLedger) -> None:
    race = Race(ledger.url, reviewers=2, tasks=10, seed=3)
    assert race.run().passed()
    gone = Entry("reviewer-0", "answered", 99, 2)
    assert check(ledger.url, [*race.history, gone], 10).lost == 1
    twice = next(entry for entry in race.history if entry.what == "claimed")
    assert check(ledger.url, [*race.history, twice], 10).double == 1
