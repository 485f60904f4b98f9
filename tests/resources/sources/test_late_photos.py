"""A photo that lands after its night: seen through the real lake, sources and event log, and taken in once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from pipeline_project.automation.progress import late_photos, night_states, taken_at
from pipeline_project.container.night import OpenedSources
from pipeline_project.domain.intake.due_nights import is_done
from pipeline_project.domain.vectors.modalities import FileModality
from pipeline_project.ports.sources import CaseSource, OutcomeSource
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from resources.lake.io_manager import LakeIOManager
from resources.lake.lake import DeltaLake
from resources.sources import everything_landed, outcome_source
from tests.doubles import FIELDS, NIGHT, World, checks, claims, metadata

GATHERED = ("arrivals", "cases", "quarantine", "embeddings", "outcomes")


class Files(OpenedSources):
    """The doors without what was posted, which is kept in a database."""

    def cases(self, spec: WorkflowSpec) -> CaseSource:
        return everything_landed(spec, self.settings, {})

    def outcomes(self, spec: WorkflowSpec) -> OutcomeSource:
        return outcome_source(spec, self.settings, {})


class Encoders:
    version, dimension = "v", 2

    def files(self, spec: WorkflowSpec, modality: FileModality) -> Encoders:
        return self

    def encode(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[str | None]]:
        return np.ones((len(images), 2), np.float32), [None] * len(images)


class Vectors:
    def get(self, encoder: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        return {}

    def put(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Every content is new to it."""


@dataclass
class FilesWorld(World):
    settings: Settings | None = None

    def resources(self) -> dict[str, Any]:
        assert self.settings is not None
        lake = DeltaLake(self.settings.lake_url)
        real = {"lake": lake, "io_manager": LakeIOManager(lake), "sources": Files(self.settings)}
        return super().resources() | real | {"encoders": Encoders(), "vectors": Vectors()}


@pytest.fixture
def world(tmp_path: Path) -> FilesWorld:
    """Two cases with a photo each, of which one has not landed."""
    spec = claims(fields={**FIELDS, "photo": {"type": "image", "required": False}}).placed_in(tmp_path)
    (tmp_path / "in" / NIGHT).mkdir(parents=True)
    rows = "claim_id,customer,price,photo\nC1,k,10,a.jpg\nC2,k,12,b.jpg\n"
    (tmp_path / "in" / NIGHT / "a.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "in" / "a.jpg").write_bytes(b"a")
    return FilesWorld(spec=spec, settings=Settings(home=tmp_path / "home"))


def test_a_photo_that_lands_late_is_noticed_and_read_once(world: FilesWorld, tmp_path: Path) -> None:
    assert world.settings is not None
    doors = Files(world.settings)
    with dg.DagsterInstance.ephemeral() as instance:

        def late() -> dict[str, str]:
            return late_photos(instance, world.spec, doors, [NIGHT])

        first = world.run(NIGHT, *GATHERED, instance=instance)
        assert first.success and checks(first)["nothing_vanished"]
        assert metadata(first, "embeddings")["photos_failed"] == 1 and late() == {}
        (tmp_path / "in" / "b.jpg").write_bytes(b"b")
        (tmp_path / "in" / "c.jpg").write_bytes(b"of no case")
        assert list(late()) == [NIGHT]
        state = night_states(instance, world.spec, doors.cases(world.spec), [NIGHT], late())[NIGHT]
        assert state.taken is not None and state.landed != state.taken and not is_done(state)

        again = world.run(NIGHT, *GATHERED, instance=instance)
        assert metadata(again, "embeddings")["photos_failed"] == 0
        assert late() == {}
        state = night_states(instance, world.spec, doors.cases(world.spec), [NIGHT], late())[NIGHT]
        assert state.landed == state.taken
        assert taken_at(instance, world.spec, [NIGHT])[NIGHT].late_at is not None
