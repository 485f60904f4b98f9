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
    print(f"Taken in {time.perf_counter() - began:,.0f} seconds.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycle", description=__doc__)
    parts = parser.add_subparsers(dest="what", required=True)
    bad = parts.add_parser("bad-models", help="models that must not decide, and what stops each")
    bad.add_argument("--cases", type=int, default=120, help="cases a night (default: %(default)s)")
    made = parts.add_parser("returns", help="share to people, error, fraud and waiting of the nights in PIPELINE_HOME")
    made.add_argument("--workflow", default="returns", help="(default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
