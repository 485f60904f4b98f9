"""`python -m tests.lint`: code nobody uses, class names that stand for two things, names that CONTEXT.md avoids."""

from __future__ import annotations

import sys

from benchmarks.figures import production, shared_class_names
from tests.lint.dead_code import HOUSE, unused
from tests.lint.names import misnamed


def main() -> int:
    """1 where anything was found, with a line for each."""
    twice = (f"two classes of one name: {name}" for name in shared_class_names(production(HOUSE)))
    problems = [*unused(), *twice, *misnamed()]
    print(
        "\n".join([*problems, f"{len(problems)} found"])
        if problems
        else "No dead code, no class name twice, no name that CONTEXT.md avoids."
    )
    return min(1, len(problems))


if __name__ == "__main__":
    sys.exit(main())
