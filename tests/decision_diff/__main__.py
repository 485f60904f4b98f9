"""`make decision-diff`: compares the decisions of this tree with the accepted ones; --accept writes them anew."""

from __future__ import annotations

import argparse
import sys

from tests.decision_diff import compare, nights


def main() -> int:
    """0 where nothing changed or it was accepted, 1 with a table where decisions differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.decision_diff", description=__doc__)
    parser.add_argument("--accept", action="store_true", help="write the decisions of this tree as what is expected")
    parser.add_argument("--train", action="store_true", help="train the kept model again first; use with --accept")
    asked = parser.parse_args()
    if asked.train:
        if not asked.accept:
            parser.error("--train changes every decision; give --accept too")
        nights.keep_model()
    decided = nights.decided()
    found = compare.flips(compare.expected() if compare.EXPECTED.exists() else {}, decided)
    out = sys.stdout
    out.write(
        (compare.table(found) if found else f"{len(decided)} decisions, none differs from what is expected.") + "\n"
    )
    if asked.accept:
        compare.accept(decided)
        out.write(f"Accepted; commit {compare.EXPECTED.name} with the change that means it.\n")
        return 0
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
