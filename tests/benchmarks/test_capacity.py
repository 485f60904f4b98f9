"""The calculation does what it says with figures that can be reckoned by hand, and the figures that are kept fit it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.capacity import Assumed, limits, needed, prices, report
from benchmarks.costs import Costs, Line, fitted, held

GIB = 2.0**30


def line(a_night: float, a_case: float) -> Line:
    return Line(a_night, a_case)


COSTS = Costs(
    "a machine", [100, 200], {"embeddings": line(6.0, 0.009)}, line(1.0, 0.001), line(4.0, 0.0),
    {"decisions": line(0, 1)},
    {"memory at its peak": line(GIB, GIB / 10_000), "ledger": line(0, 1024.0), "lake": line(0, 2048.0)},
    {"statements": line(300, 0), "Dagster events": line(280, 0)}, {"GET": line(40, 0), "PUT": line(60, 0)},
)  # fmt: skip
PRICE = {
    "core": 1.0, "gpu": 2.0, "object_month": 1.0, "writes": 1.0, "reads": 0.5, "block_month": 1.0, "person": 10.0,
}  # fmt: skip


def test_what_is_needed_is_reckoned_workflow_by_workflow() -> None:
    found = needed(COSTS, PRICE, Assumed(window=1.0, busy=0.5, workflow_cases=1_000, host_cores=2), 10_000)
    assert (found.workflows, found.rows, found.statements, found.events, found.requests) == (
        10,
        10_000,
        3_000,
        2_800,
        1_000,
    )
    assert found.core_hours == pytest.approx(10 * (6 + 9 + 4) / 3600)
    assert found.database_core_hours == pytest.approx(10 * 2 / 3600)
    assert found.row_rate == pytest.approx(10_000 / 3600)
    assert found.ledger_gib == pytest.approx(10_000 * 1024 / GIB)
    assert found.people == 6 and found.people_money == pytest.approx(10_000 * 0.25 / 60 * 10)
    # 60 x 10 PUT and 40 x 10 GET
    assert found.store_money == pytest.approx((found.ledger_gib + found.lake_gib) * 365 / 30 + 0.6 + 0.2)


def test_hosts_are_counted_by_memory_where_that_runs_out_first() -> None:
    small = needed(COSTS, PRICE, Assumed(host_gib=1024.0), 1_000_000).hosts
    assert needed(COSTS, PRICE, Assumed(host_gib=2.0), 1_000_000).hosts > small == 1


def test_what_breaks_first_stands_first() -> None:
    found = limits(COSTS, Assumed(window=1.0))
    assert [limit.at for limit in found] == sorted(limit.at for limit in found)
    whole = next(limit for limit in found if limit.what.startswith("one workflow's night"))
    assert whole.at == pytest.approx((3600 - 11) / 0.010) and "embeddings" in whole.why
    memory = next(limit for limit in found if limit.what.startswith("memory"))
    assert memory.at == pytest.approx(630_000)


def test_a_line_goes_through_what_was_measured_and_says_how_sure_it_is() -> None:
    found = fitted([100, 500, 2_000], [3.0, 7.0, 22.0])
    assert (found.a_night, found.a_case) == (pytest.approx(2.0), pytest.approx(0.01))
    assert found.low == pytest.approx(0.01) == pytest.approx(found.high)
    noisy = fitted([100, 500, 2_000, 2_000], [3.0, 9.0, 20.0, 24.0])
    assert noisy.low is not None and noisy.high is not None and noisy.low < noisy.a_case < noisy.high
    of_two = fitted([100, 500], [3.0, 7.0])
    assert (of_two.a_case, of_two.low, of_two.high) == (pytest.approx(0.01), None, None)
    with pytest.raises(ValueError, match="two sizes"):
        fitted([100, 100], [1.0, 2.0])


def test_the_figures_and_the_prices_that_are_kept_make_a_table(tmp_path: Path) -> None:
    found = report(held(), prices(), Assumed(), [100_000])
    assert "| rows of the ledger |" in found and "What breaks" in found
    bad = tmp_path / "prices.csv"
    bad.write_text("item,price\ncore,dear\n")
    with pytest.raises(ValueError, match="dear"):
        prices(bad)
