"""`make elsewhere`: the numerical tests as on a plainer processor, and whole nights on one core."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.elsewhere import PLAIN

NUMERICAL = ["-n", "2", "tests/domain", "tests/decision_diff", "tests/resources/encoders/test_encoders.py"]
PINNED = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execv(sys.argv[2], sys.argv[2:])"
NIGHTS = [f"tests/integration/test_{name}.py" for name in ("returns", "again", "own_workflow")]


def main() -> int:
    """The worse of the two exit codes. Both run at once: whole nights leave half of two cores to the numbers."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    core = str(min(os.sched_getaffinity(0)))
    whole = subprocess.Popen(
        # whatever it starts inherits the one core
        [sys.executable, "-c", PINNED, core, *pytest, *NIGHTS],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    numerical = subprocess.run([*pytest, *NUMERICAL], env={**os.environ, **PLAIN}, check=False)
    told, _ = whole.communicate()
    print(told)
    return max(numerical.returncode, whole.returncode)


if __name__ == "__main__":
    sys.exit(main())
