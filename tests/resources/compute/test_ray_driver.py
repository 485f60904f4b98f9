"""What whoever waits for a cluster is told, and that nothing is left behind."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from pipeline_project.domain.core.errors import ComputeUnavailable
from resources.compute.driver import RayDriver
from resources.compute.jobs import CallsJob

JOB = CallsJob(len, ["a"], [])

#: Errors as Ray raises them, and what each is told as. In a process of its own: Ray is imported nowhere else.
_REPLIES = """
import json
from ray import exceptions as e
from pipeline_project.domain.core.errors import TooFewOutcomes
from resources.compute.driver_process import reply_to

class Odd(Exception):
    def __init__(self, one, two): super().__init__("of a case")

wrapped = e.RayTaskError("train", "traceback", TooFewOutcomes("wait")).as_instanceof_cause()
errors = [e.ObjectStoreFullError(), e.OutOfDiskError(), e.OutOfMemoryError("m"), e.WorkerCrashedError(), MemoryError(),
          e.RayActorError(), e.RaySystemError("s"), ConnectionError("c"), wrapped, ValueError("v"), Odd(1, 2)]
print(json.dumps([[reply.value, f"{type(value).__name__} {value}"] for reply, value in map(reply_to, errors)]))
"""


def test_what_went_wrong_is_told_as_what_to_do_about_it() -> None:
    done = subprocess.run([sys.executable, "-c", _REPLIES], capture_output=True, text=True, check=True)
    replies = json.loads(done.stdout)
    assert [reply for reply, _ in replies] == [
        *["unavailable"] * 2,
        *["lost"] * 4,
        *["unavailable"] * 2,
        *["raised"] * 3,
    ]
    told = [words for _, words in replies]
    assert "disk that it spills to are full" in told[0] and "disk that it spills to are full" in told[1]
    assert told[8:10] == ["TooFewOutcomes wait", "ValueError v"]
    assert told[10].startswith("RuntimeError Odd on a worker")


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.compute.driver.find_spec", lambda name: None)
    assert importlib.util.find_spec("ray") is not None
    with pytest.raises(ComputeUnavailable, match=r"pip install '.\[ray\]'"):
        list(RayDriver("auto").results(JOB))


def test_a_cluster_that_gives_nothing_is_not_waited_for_for_ever() -> None:
    driver = RayDriver("127.0.0.1:1", patience=0.01)
    stream = driver.results(JOB)
    with pytest.raises(ComputeUnavailable, match="gave no result"):
        next(stream)
    assert driver._process is None


def test_a_process_that_ended_is_a_cluster_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.compute.driver.sys.executable", "/bin/false")
    driver = RayDriver("127.0.0.1:1", patience=60)
    with pytest.raises(ComputeUnavailable, match="its head died") as told:
        list(driver.results(JOB))
    assert told.value.passing
