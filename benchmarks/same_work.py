"""`python -m benchmarks.same_work HOME OTHER [WORKFLOW ...]`: whether two homes came to the same work, to the cent.

Decisions, tasks, actions, outcomes, models and their champions of both ledgers and the tables of both lakes are
compared row by row. It ends with 1 where anything differs: a version that only moves code decides the same nights of
the same files, with the same keys (`PIPELINE_KEYS`), as the version before it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from benchmarks.tables import table
from tests.integration.house import House, Rows, differences


@dataclass(frozen=True)
class Compared:
    """One table of two homes; `money` sums what of its rows is paid, where they pay."""

    workflow: str
    what: str
    rows: int
    others: int
    money: Decimal
    others_money: Decimal
    differences: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_work", description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("workflow", nargs="*", default=["returns"])
    given = parser.parse_args()
    compared = [
        line
        for name in given.workflow
        for line in compare(House(name, given.home.resolve(), None), House(name, given.other.resolve(), None))
    ]
    lines = [
        (each.workflow, each.what, each.rows, each.others, each.money, each.others_money, len(each.differences))
        for each in compared
    ]
    print(table("Two homes", ["workflow", "", "rows", "rows", "money", "money", "differences"], lines))
    wrong = [each for each in compared if each.differences]
    for each in wrong:
        print(f"\n{each.workflow}, {each.what}:")
        for difference in each.differences:
            print(f"- {difference}")
    return 1 if wrong else 0


def compare(house: House, other: House) -> list[Compared]:
    """Every table of both, those of the ledger first."""
    ours, theirs = _tables(house), _tables(other)
    return [
        Compared(
            house.name, name, len(rows), len(theirs[name]), _money(rows), _money(theirs[name]),
            differences(rows, theirs[name]),
        )
        for name, rows in ours.items()
    ]  # fmt: skip


def _tables(house: House) -> dict[str, Rows]:
    return {**house.facts(), **house.work(), **{f"lake: {name}": rows or [] for name, rows in house.tables().items()}}


def _money(rows: Iterable[dict[str, object]]) -> Decimal:
    return sum((Decimal(str(row["money"])) for row in rows if row.get("money") is not None), Decimal(0))


if __name__ == "__main__":
    raise SystemExit(main())
