"""What a stream gives before it fails, and how it goes on where workers died."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline_project.domain.core.errors import ComputeExhausted, ComputeUnavailable
from resources.compute.driver import RayWorkers, WorkersLost
from resources.compute.encoders import RayFileEncoder, RayTextEncoder
from resources.compute.jobs import EncodedContent, Encoding, FilesJob, Job, TextsJob
from tests.services.test_embedding import Bytes, Letters


@dataclass
class Cluster:
    """`RayDriver`: gives what a test says that comes of the jobs, one after the other."""

    comes: Callable[[Job], list[Any]]
    jobs: list[Job] = field(default_factory=list)

    def results(self, job: Job) -> Generator[Any, None, None]:
        self.jobs.append(job)
        for made in self.comes(job):
            if isinstance(made, Exception):
                raise made
            yield made


def texts(cluster: Cluster, most: int | None = None) -> RayTextEncoder:
    encoding = Encoding(Letters, "letters-1", most=most)
    return RayTextEncoder(Letters(), encoding, cluster)  # type: ignore[arg-type]


def vector_of(key: str) -> EncodedContent:
    return EncodedContent(key, key, b"\0\0\0\0", None)


def test_what_came_is_given_before_the_error_that_ended_it() -> None:
    cluster = Cluster(lambda job: [[vector_of("a")], ComputeUnavailable("gone")])
    stream = texts(cluster).stream_texts({"a": "x", "b": "y"})
    assert list(next(stream)) == ["a"]
    with pytest.raises(ComputeUnavailable, match="gone"):
        next(stream)


def test_what_is_left_is_tried_in_parts_of_half_the_size_until_one_is_too_much() -> None:
    def comes(job: Job) -> list[Any]:
        assert isinstance(job, TextsJob)
        return [*([[vector_of("a")]] if "a" in job.texts else []), WorkersLost("ActorDiedError")]

    cluster = Cluster(comes)
    with pytest.raises(ComputeExhausted, match=r"exit code 137.*compute\.actors"):
        list(texts(cluster, most=5).stream_texts({"a": "x", "b": "y"}))
    jobs = [job for job in cluster.jobs if isinstance(job, TextsJob)]
    assert [(list(job.texts), job.encoding.most) for job in jobs] == [(["a", "b"], 5), (["b"], 2), (["b"], 1)]


def test_without_a_number_it_begins_with_whole_batches() -> None:
    answers: list[list[Any]] = [[WorkersLost("")], [[vector_of("a")]]]
    cluster = Cluster(lambda job: answers.pop(0))
    assert len(list(texts(cluster).stream_texts({"a": "x"}))) == 1
    assert [job.encoding.most for job in cluster.jobs if isinstance(job, TextsJob)] == [None, 64]


def test_fewer_files_are_read_together_where_parts_are_small() -> None:
    cluster = Cluster(lambda job: [[EncodedContent("p", None, None, "missing")]])
    files = RayFileEncoder(Bytes(), Encoding(Bytes, "v", most=8), cluster, source=Bytes, store=Bytes)  # type: ignore[arg-type]
    ((one,),) = files.stream_files(["p"])
    assert (one.path, one.key, one.vector, one.problem) == ("p", None, None, "missing")
    (job,) = cluster.jobs
    assert isinstance(job, FilesJob) and job.at_once == 8


def test_calls_whose_workers_die_say_what_to_do() -> None:
    workers = RayWorkers(Cluster(lambda job: [WorkersLost("OutOfMemoryError")]), 2)  # type: ignore[arg-type]
    with pytest.raises(ComputeExhausted, match="more memory"):
        workers.call(len, ["a"])
