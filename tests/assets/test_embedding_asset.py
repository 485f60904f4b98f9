"""The vectors of a night, and what their metadata say of the photos that they were made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import numpy as np
import pytest

from assets.inference import MEMORY_ALERT
from pipeline_project.domain.core.errors import ComputeExhausted, PhotoUnreadable
from pipeline_project.domain.vectors.modalities import FileModality
from pipeline_project.spec import WorkflowSpec
from tests.doubles import FIELDS, NIGHT, Sources, World, arrival, claims, metadata
from tests.present import present


@dataclass
class Folder:
    """`ports.PhotoSource` over photos in memory; remembers the order in which it was asked."""

    photos: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    def stamp(self, paths: Iterable[str]) -> str:
        self.asked.append("stamp")
        return repr([(path, self.photos.get(path)) for path in sorted(set(paths))])

    def read(self, path: str) -> bytes:
        self.asked.append("read")
        if path not in self.photos:
            raise PhotoUnreadable("missing")
        return self.photos[path]


class WithPhotos(Sources):
    folder = Folder({})

    def photos(self, spec: WorkflowSpec) -> Any:
        return self.folder


class Encoders:
    version, dimension = "v", 2

    def encode(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[str | None]]:
        return np.ones((len(images), 2), np.float32), [None] * len(images)


class Vectors:
    def get(self, encoder: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        return {}

    def put(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Every content is new to it."""


class Opened:
    """`ports.Encoders`."""

    exhausted = False

    def files(self, spec: WorkflowSpec, modality: FileModality) -> Encoders:
        if self.exhausted:
            raise ComputeExhausted("a worker died of a single content")
        return Encoders()

    def version(self, spec: WorkflowSpec, modality: FileModality) -> str:
        return Encoders.version


@dataclass
class PhotoWorld(World):
    encoders: Opened = field(default_factory=Opened)

    def resources(self) -> dict[str, Any]:
        return super().resources() | {"encoders": self.encoders, "vectors": Vectors()}


@pytest.fixture
def world() -> PhotoWorld:
    fields = {**FIELDS, "photo": {"type": "image", "required": False}}
    world = PhotoWorld(spec=claims(fields=fields), sources=WithPhotos())
    world.sources.folder = Folder({"a.jpg": b"a"})  # type: ignore[attr-defined]
    rows = [arrival(NIGHT, i) for i in range(2)]
    for row, photo in zip(rows, ("a.jpg", "b.jpg"), strict=True):
        row["raw"] = row["raw"].replace("}", f', "photo": "{photo}"}}')
    world.sources.rows[NIGHT] = rows
    world.gather(NIGHT)
    return world


def test_photos_are_stamped_before_they_are_read_and_what_came_late_is_said(world: PhotoWorld) -> None:
    folder: Folder = world.sources.folder  # type: ignore[attr-defined]
    with dg.DagsterInstance.ephemeral() as instance:
        first = metadata(world.run(NIGHT, "embeddings", instance=instance), "embeddings")
        assert folder.asked == ["stamp", "read", "read"]
        assert (first["late"], first["photos_failed"]) == (False, 1)
        again = metadata(world.run(NIGHT, "embeddings", instance=instance), "embeddings")
        assert (again["landed"], again["late"]) == (first["landed"], False)
        folder.photos["b.jpg"] = b"b"
        mended = metadata(world.run(NIGHT, "embeddings", instance=instance), "embeddings")
        assert (mended["late"], mended["photos_failed"]) == (True, 0) and mended["landed"] != first["landed"]
        after = metadata(world.run(NIGHT, "embeddings", instance=instance), "embeddings")
        assert (after["landed"], after["late"]) == (mended["landed"], False) and after["late_at"] > 0


def test_the_page_says_what_was_encoded_and_how_long_the_device_was_held(world: PhotoWorld) -> None:
    world.meter.device = "cuda"
    assert world.run(NIGHT, "embeddings", "scores", "decisions", "night_report").success
    assert (
        "Encoded: 1 photo, each content once. Vectors of 0 photos were there already." in world.reports.written[NIGHT]
    )
    kept = {row["step"]: row for row in present(world.lake.read_night("claims", "night_report", NIGHT)).to_pylist()}
    assert kept["embeddings"]["device"] == kept["embeddings"]["seconds"] > 0
    assert kept["scores"]["device"] == 0


def test_a_worker_without_memory_for_one_content_is_an_alert_until_a_night_goes_through(world: PhotoWorld) -> None:
    world.compute.elsewhere = world.encoders.exhausted = True
    assert not world.run(NIGHT, "embeddings").success
    alert = world.ledger.alerts[MEMORY_ALERT]
    assert alert["kind"] == "out_of_memory" and alert["message"] == "a worker died of a single content"
    assert alert["next_command"] == f"pipeline nights claims --from {NIGHT} --to {NIGHT}"
    world.encoders.exhausted = False
    assert world.run(NIGHT, "embeddings").success
    assert not world.ledger.alerts and world.ledger.closed == [MEMORY_ALERT]
    world.compute.elsewhere = False
    assert world.run(NIGHT, "embeddings").success
    assert world.ledger.closed == [MEMORY_ALERT], "a night in this process asks nothing more of the ledger"
