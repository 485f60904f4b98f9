"""The measurements of size run, and what they call growing."""

from __future__ import annotations

import pytest

from benchmarks.lifecycle.sizes import PARTS, Measured, grows_no_faster, measure


def test_time_may_grow_as_the_cases_do_and_no_more() -> None:
    before = Measured(1_000, 1.0, 0, 0)
    assert grows_no_faster(before, Measured(10_000, 10.5, 0, 0))
    assert not grows_no_faster(before, Measured(10_000, 13.0, 0, 0))


@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_is_measured_in_a_process_of_its_own(part: str) -> None:
    found = measure(part, 1_000)
    assert found.cases == 1_000
    assert found.seconds > 0
    assert found.peak_bytes >= found.prepared > 0


def test_a_measurement_that_fails_says_so() -> None:
    with pytest.raises(SystemExit, match="nothing of 1,000 cases"):
        measure("nothing", 1_000)
