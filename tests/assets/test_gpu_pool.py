"""Steps that touch a GPU wait for each other, whichever runs and workflows they belong to."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import yaml

from assets.common import GPU
from pipeline_project.domain.lifecycle.rollout.stages import NightModels
from pipeline_project.settings import ROOT
from pipeline_project.workflow import build_assets
from resources.dagster_storage import BatchedStorage
from tests.assets.test_embedding_asset import Encoders, Folder, Vectors, WithPhotos
from tests.doubles import FIELDS, NIGHT, MemoryLive, World, arrival, claims

#: How long whoever is on the device waits there for somebody else, in seconds: longer than a run takes to begin a step.
PATIENCE = 3.0
ON_A_DEVICE = {"challenger", "embeddings", "scores", "shadow_scores"}
PHOTO = {"type": "image", "required": False}


@dataclass(frozen=True)
class Device:
    """Stands in for the GPU: whoever computes stays until another one does so too, or their patience ends.

    Attributes:
        folder: has a file for each who computes.
    """

    folder: Path = Path()

    def compute(self) -> None:
        mine = self.folder / f"{time.monotonic_ns()}"
        mine.touch()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and len([*self.folder.iterdir()]) < 2:
            time.sleep(0.02)
        mine.unlink()


@dataclass
class BusyEncoders(Encoders):
    device: Device

    def files(self, spec: Any, modality: Any) -> BusyEncoders:
        return self

    def encode(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[str | None]]:
        self.device.compute()
        return super().encode(images)


class BusyLive(MemoryLive):
    """`scores` asks it who decides, right before a model computes."""

    device = Device()

    def night_models(self, workflow: str, night: str) -> NightModels:
        self.device.compute()
        return super().night_models(workflow, night)


@dataclass
class BusyWorld(World):
    """A workflow with photos whose encoders and models compute on a device."""

    device: Device = field(default_factory=Device)

    def resources(self) -> dict[str, Any]:
        live = BusyLive(self.ledger)
        live.device = self.device
        return super().resources() | {"encoders": BusyEncoders(self.device), "vectors": Vectors(), "live": live}


def world_of(workflow: str, device: Device) -> BusyWorld:
    world = BusyWorld(spec=claims(workflow=workflow, fields={**FIELDS, "photo": PHOTO}), device=device)
    world.sources = WithPhotos()
    world.sources.folder = Folder({"a.jpg": b"a"})
    row = arrival(NIGHT, 0)
    row["raw"] = row["raw"].replace("}", ', "photo": "a.jpg"}')
    world.sources.rows[NIGHT] = [row]
    world.gather(NIGHT)
    return world


@contextmanager
def instance_on(url: str) -> Iterator[dg.DagsterInstance]:
    """On a real database, with the limits of the house's own `dagster.yaml`."""
    storage = {
        "module": BatchedStorage.__module__, "class": BatchedStorage.__name__, "config": {"postgres_url": url},
    }  # fmt: skip
    concurrency = yaml.safe_load((ROOT / "dagster.yaml").read_text())["concurrency"]
    with dg.instance_for_test(overrides={"storage": {"custom": storage}, "concurrency": concurrency}) as made:
        yield made


def run(url: str, folder: Path, workflow: str, asset_name: str, begin: Barrier) -> None:
    """A run of one asset in a process of its own, as every run of the house is."""
    world = world_of(workflow, Device(folder))
    if asset_name == "scores":
        # no vectors are needed to find out who decides
        world.spec = claims(workflow=workflow)
    with instance_on(url) as instance:
        begin.wait()
        dg.materialize(
            build_assets(world.spec, "cuda"),
            selection=[dg.AssetKey([workflow, asset_name])],
            partition_key=NIGHT,
            resources=world.resources(),
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def test_two_steps_on_the_device_never_overlap(new_database: Callable[[], str], tmp_path: Path) -> None:
    url, spawned = new_database(), multiprocessing.get_context("spawn")
    with instance_on(url) as instance:
        # the first to come makes the tables; that two may do so at once is not asked here
        begin = spawned.Barrier(2)
        runs = [
            spawned.Process(target=run, args=(url, tmp_path, workflow, name, begin))
            for workflow, name in (("here", "embeddings"), ("there", "scores"))
        ]
        for process in runs:
            process.start()
        for process in runs:
            process.join(60)
        assert [process.exitcode for process in runs] == [0, 0]
        spans = sorted(span_of(instance, made.run_id) for made in instance.get_runs())
        pools = [(pool.name, pool.limit) for pool in instance.event_log_storage.get_pool_limits()]
    assert len(spans) == 2 and spans[0][1] <= spans[1][0], "they were on the device at once"
    # whoever was there first waited in vain for another one
    assert spans[0][1] - spans[0][0] >= PATIENCE
    assert pools == [(GPU, 1)]


def span_of(instance: dg.DagsterInstance, run_id: str) -> tuple[float, float]:
    """When the step of a run began and ended, by its events."""
    events = {event.dagster_event_type: event.timestamp for event in instance.all_logs(run_id)}
    return events[dg.DagsterEventType.STEP_START], events[dg.DagsterEventType.STEP_SUCCESS]


@pytest.mark.parametrize(
    ("device", "pooled"),
    [("cpu", {"embeddings"}), ("auto", ON_A_DEVICE), ("cuda", ON_A_DEVICE), ("cuda:1", ON_A_DEVICE)],
)
def test_the_pool_holds_what_touches_the_device(device: str, pooled: set[str]) -> None:
    assets = build_assets(claims(fields={**FIELDS, "photo": PHOTO}), device)
    pools = {asset.key.path[-1]: asset.op.pool for asset in assets if len(asset.keys) == 1}
    assert {name for name, pool in pools.items() if pool} == pooled
    assert {pool for pool in pools.values() if pool} == {GPU}
