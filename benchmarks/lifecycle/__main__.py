"""`python -m benchmarks.lifecycle WHAT`: one of the measurements below, as Markdown tables."""

from __future__ import annotations

import argparse
import time

from benchmarks.tables import machine


def main() -> None:
    given = _arguments()
    began = time.perf_counter()
    print(f"{machine()}.\n", flush=True)
    if given.what == "bad-models":
        from benchmarks.lifecycle.tell_bad_models import tell

        tell(given.cases)
    elif given.what == "returns":
        from benchmarks.lifecycle.automation import tell as tell_automation

        tell_automation(given.workflow)
    elif given.what == "costs":
        from benchmarks.lifecycle.orders import tell_costs

        tell_costs()
    elif given.what == "retraining":
        from benchmarks.lifecycle.orders import tell_retraining

        tell_retraining()
    elif given.what == "sizes":
        from benchmarks.lifecycle.sizes import tell as tell_sizes

        tell_sizes(given.sizes, given.parts)
    print(f"Taken in {time.perf_counter() - began:,.0f} seconds.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycle", description=__doc__)
    parts = parser.add_subparsers(dest="what", required=True)
    bad = parts.add_parser("bad-models", help="models that must not decide, and what stops each")
    bad.add_argument("--cases", type=int, default=120, help="cases a night (default: %(default)s)")
    made = parts.add_parser("returns", help="share to people, error, fraud and waiting of the nights in PIPELINE_HOME")
    made.add_argument("--workflow", default="returns", help="(default: %(default)s)")
    parts.add_parser("costs", help="order_returns under other costs of a warning; needs PIPELINE_REAL_DATA")
    parts.add_parser("retraining", help="order_returns trained once or every month; needs PIPELINE_REAL_DATA")
    sizes = parts.add_parser("sizes", help="training, replay and drift as the cases grow")
    sizes.add_argument("--sizes", type=_numbers, default=(10_000, 100_000, 1_000_000), help="(default: %(default)s)")
    sizes.add_argument("--parts", type=_words, default=("training", "replay", "drift"), help="(default: %(default)s)")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(each) for each in text.split(",")))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    main()
