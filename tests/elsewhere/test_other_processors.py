"""Another processor, imitated: the libraries are told to leave out what this one can do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from resources.encoders.engines.machine import has_bfloat16_units
from tests.elsewhere import PLAIN
from tests.elsewhere.told import told


def test_decisions_and_clusters_are_the_same_and_vectors_to_five_digits() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.elsewhere.told"]
    done = subprocess.run(
        command, env={**os.environ, **PLAIN}, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    there, here = json.loads(done.stdout), told()
    assert there["clusters"] == here["clusters"]
    assert there["many"] == here["many"] and max(here["many"]) > 5
    assert there["decisions"] == [list(one) for one in here["decisions"]]
    # where bfloat16 is multiplied in hardware texts are encoded in it; whoever imitates those units rounds otherwise
    for name, digits in (("texts", 2e-3 if has_bfloat16_units() else 1e-5), ("photos", 1e-5)):
        assert np.abs(np.array(there[name]) - np.array(here[name])).max() < digits, name
    costs = [np.array([cost for cost in each["costs"] if cost is not None]) for each in (there, here)]
    assert np.abs(costs[0] - costs[1]).max() <= 0.011, "to the cent, which may fall to either side of its edge"
