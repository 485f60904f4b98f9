"""`python -m tests.lint`: code that nobody uses, and class names that stand for two things."""

from __future__ import annotations

import sys

from benchmarks.figures import production, shared_class_names
from tests.lint.dead_code import HOUSE, unused


def main() -> int:
    """1 where anything was found, with a line for each."""
    problems = [*unused(), *(f"two classes of one name: {name}" for name in shared_class_names(production(HOUSE)))]
    print("\n".join([*problems, f"{len(problems)} found"]) if problems else "No dead code, no class name twice.")
    return min(1, len(problems))


if __name__ == "__main__":
    sys.exit(main())
