"""Calls that do not depend on each other, as Ray tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ray

from resources.compute.encoding import TRIES
from resources.compute.jobs import CallsJob


def called(job: CallsJob) -> Iterator[Any]:
    """The results in the order of the parts; what is shared is sent once."""
    task = ray.remote(num_cpus=1, num_gpus=1 if job.on_gpu else 0, max_retries=TRIES - 1)(job.function)
    shared = [ray.put(value) for value in job.shared]
    for reference in [task.remote(part, *shared) for part in job.parts]:
        yield ray.get(reference)
