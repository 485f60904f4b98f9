"""`python -m benchmarks`: every measurement, or some of them, as Markdown tables."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from benchmarks import commands, loading, nights, ui
from benchmarks.tables import machine


def main() -> None:
    given = _arguments()
    began = time.perf_counter()
    print(f"## Speed and size\n\n{machine()}.\n", flush=True)
    parts: dict[str, Callable[[], str]] = {
        "import": loading.report,
        "commands": commands.report,
        "night": lambda: nights.decided(given.sizes, given.repeats),
        "backfill": lambda: nights.backfill(given.nights, given.cases),
        "growth": lambda: nights.growth(given.last),
        "ui": ui.report,
        "sizes": _growing,
    }
    for name, report in parts.items():
        if name in (given.only or parts):
            print(report(), flush=True)
    print(f"Taken in {time.perf_counter() - began:,.0f} seconds.")


def _arguments() -> argparse.Namespace:
    parts = ["import", "commands", "night", "backfill", "growth", "ui", "sizes"]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=parts, help="these measurements alone")
    shown = "(default: %(default)s)"
    parser.add_argument("--sizes", type=_sizes, default=nights.SIZES, help=f"cases a night, as 70,2000 {shown}")
    parser.add_argument("--repeats", type=int, default=nights.REPEATS, help=f"nights of the smallest size {shown}")
    parser.add_argument("--nights", type=int, default=nights.BACKFILL, help=f"nights of the backfill {shown}")
    parser.add_argument("--cases", type=int, default=nights.BACKFILL_CASES, help=f"cases in each of them {shown}")
    parser.add_argument("--last", type=int, default=nights.LAST, help=f"the late night that growth looks at {shown}")
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in text.split(",")))


def _growing() -> str:
    """Training, replay and drift at sizes of their own."""
    from benchmarks.lifecycle.sizes import tell

    tell()
    return ""


if __name__ == "__main__":
    main()
