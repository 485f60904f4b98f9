"""`make elsewhere`: the numerical tests as on a plainer processor, and whole nights on one core."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.elsewhere import PLAIN

NUMERICAL = ["-n", "2", "tests/domain", "tests/decision_diff", "tests/resources/test_encoders.py"]
NIGHTS = [f"tests/integration/test_{name}.py" for name in ("returns", "again", "own_workflow")]


def main() -> int:
    """The worse of the two exit codes."""
    pytest = [sys.executable, "-m", "pytest", "-q"]
    numerical = subprocess.run([*pytest, *NUMERICAL], env={**os.environ, **PLAIN}, check=False)
    # whoever we start inherits it
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    whole = subprocess.run([*pytest, *NIGHTS], check=False)
    return max(numerical.returncode, whole.returncode)


if __name__ == "__main__":
    sys.exit(main())
