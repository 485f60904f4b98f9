"""Which bad model is stopped by what, and after how many decisions."""

from __future__ import annotations

import sys

from benchmarks.lifecycle.bad_models import MAKERS, good_one
from benchmarks.lifecycle.house import LIVE_DECISIONS, House
from benchmarks.lifecycle.judging import Bench, Stop
from benchmarks.tables import table

_LONGEST = 150


def tell(each: int) -> None:
    """
    Args:
        each: cases of a night.
    """
    bench = Bench.of(House.made(each))
    found: dict[str, Stop] = {}
    for maker in (good_one, *MAKERS):
        found[maker.__name__] = bench.judged(maker(bench.house))
        print(f"{maker.__name__}: {found[maker.__name__].by or 'nothing'}", file=sys.stderr, flush=True)
    columns = ["model", "stopped by", "decisions it made", "the watch alone, decisions", "why"]
    print(table("Bad models", columns, [_row(name, stop) for name, stop in found.items()]))
    bad = {name: stop for name, stop in found.items() if name != good_one.__name__}
    through = [name for name, stop in bad.items() if stop.by is None]
    print(
        f"{len(bad) - len(through)} of {len(bad)} bad models stopped before or within {LIVE_DECISIONS} decisions; "
        f"came through: {', '.join(through) or 'none'}."
    )


def _row(name: str, stop: Stop) -> list[object]:
    made = "all" if stop.by is None else stop.watched if stop.by == "watch" else 0
    what = stop.what if len(stop.what) <= _LONGEST else stop.what[:_LONGEST] + "…"
    alone = "–" if stop.watched is None else stop.watched
    return [name.replace("_", " "), stop.by or "nothing", made, alone, what]
