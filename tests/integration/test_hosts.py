"""A cluster of network namespaces: what happens to hosts and to what is between them changes no night."""

from __future__ import annotations

import pytest

from benchmarks.chaos.hosts import FAULTS, QUICK, suite
from benchmarks.chaos.tally import Came


@pytest.mark.hosts
def test_nights_end_as_on_one_quiet_machine_whatever_happens_between_hosts() -> None:
    tally = suite(QUICK)
    assert FAULTS.keys() <= tally.counts.keys()
    assert {came for each in tally.counts.values() for came in each} == {Came.WELL}, tally.words
