"""A cluster of two nodes and four actors: what comes of it is what comes of one process, whoever dies meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline_project.container import compute
from pipeline_project.container.compute import ComputedEncoders, OpenedCompute
from pipeline_project.container.night import OpenedSources, open_vectors
from pipeline_project.domain.core.compute import ComputeEngine, ComputeTerms
from pipeline_project.domain.core.errors import ComputeUnavailable, TooFewOutcomes
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.domain.models.trained import Prediction, TrainedModel
from pipeline_project.domain.vectors.modalities import PhotoModality
from pipeline_project.domain.vectors.stored import photo_key
from pipeline_project.ports.compute import Workers
from pipeline_project.ports.encoders import EncodedFile, FileEncoder
from pipeline_project.services.candidates import Candidate, trained_candidates
from pipeline_project.services.embedding import Embedded, embed_files
from pipeline_project.services.in_turn import InTurn
from pipeline_project.settings import Settings
from resources.compute import encoders
from resources.compute.driver import RayDriver, RayWorkers
from resources.compute.encoders import RayFileEncoder
from resources.compute.jobs import Encoding, FilesJob
from resources.lake.vectors import LakeVectorStore
from tests.assets import test_replaying_assets as replaying
from tests.assets.test_replaying_assets import MODEL, NEWER
from tests.domain.models.test_training import TWO, known, table
from tests.doubles import FIELDS, NIGHT, WARM, MemoryRegistry, World, arrival, claims
from tests.resources.compute import doubles
from tests.resources.compute.doubles import Folder, Hashes, encoded

ACTORS = 4


@dataclass
class Ray:
    """A cluster, and the driver through which all tests of this file use it."""

    process: subprocess.Popen[str]
    address: str = ""
    driver: RayDriver = field(init=False)

    def __post_init__(self) -> None:
        self.address = self._answer()
        self.driver = RayDriver(self.address, patience=150)

    def does(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def ray() -> Iterator[Ray]:
    # a head that is gone is noticed after this many seconds, by default a minute
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")
        script = str(Path(doubles.__file__).with_name("cluster.py"))
        with subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            cluster = Ray(process)
            cluster.does("node")
            cluster.does("node")
            yield cluster
            cluster.driver.close()


@dataclass
class Photos:
    """A folder of photos, a lake for their vectors, and both ways to encode them."""

    root: Path
    heavy: bytes = b""
    gate: Path | None = None

    def __post_init__(self) -> None:
        self.source = Folder(self.root / "photos")
        self.log = self.root / "log"
        self.source.folder.mkdir()
        self.log.mkdir()

    def lie(self, number: int, waiting: int = 0) -> list[list[str]]:
        """So many cases of two photos each: one of its own, and one that three cases share under names of their own.

        Args:
            waiting: cases, the last ones, whose photos of their own wait for the gate.
        """
        for place in range(number):
            wait = b"wait" if place >= number - waiting else b""
            (self.source.folder / f"own-{place}").write_bytes(wait + b"%d " % place * 100)
            (self.source.folder / f"shared-{place}").write_bytes(b"s%d " % (place // 3) * 100)
        return [[f"own-{place}", f"shared-{place}"] for place in range(number)]

    @property
    def encoder(self) -> Hashes:
        return Hashes(self.log, self.heavy, self.gate)

    def store(self, name: str) -> LakeVectorStore:
        return LakeVectorStore(str(self.root / name))

    def on(self, cluster: Ray, most: int | None = None, actors: int = ACTORS) -> RayFileEncoder:
        encoding = Encoding(partial(Hashes, self.log, self.heavy, self.gate), Hashes.version, actors=actors, most=most)
        store = partial(LakeVectorStore, str(self.root / "lake"))
        return RayFileEncoder(self.encoder, encoding, cluster.driver, partial(Folder, self.source.folder), store)

    def embedded(self, paths: Sequence[Sequence[str]], encoder: FileEncoder, lake: str = "lake") -> Embedded:
        return embed_files(PhotoModality(), paths, self.source, encoder, self.store(lake))

    def here(self, paths: Sequence[Sequence[str]]) -> Embedded:
        """In this process, without being counted."""
        elsewhere = self.root / "uncounted"
        elsewhere.mkdir()
        return self.embedded(paths, Hashes(elsewhere), "other")


def assert_same(one: Embedded, other: Embedded) -> None:
    np.testing.assert_array_equal(one.vectors, other.vectors)
    assert (one.keys, one.problems) == (other.keys, other.problems)
    assert (one.encoded, one.reused, one.failed) == (other.encoded, other.reused, other.failed)


class Told:
    """A model that goes by what the text says and what the first photo shows."""

    labels = ("kept", "worn")

    def predict(self, table: FeatureTable, explain: bool = True) -> Prediction:
        worn = np.clip(0.5 + 4 * table.vectors["text"][:, 0] + table.vectors["image"][:, 3], 0.01, 0.99).astype(float)
        nothing: list[list[str]] = [[] for _ in worn]
        return Prediction(np.column_stack([1 - worn, worn]), nothing, [None] * len(worn))


@dataclass
class RealWorld(World):
    """Encoders, photos and vectors as the settings have them."""

    settings: Settings = field(default_factory=lambda: Settings(Path()))

    def resources(self) -> dict[str, Any]:
        photos = OpenedSources(self.settings)
        self.sources.photos = photos.photos  # type: ignore[method-assign, assignment]
        real = {"encoders": ComputedEncoders(self.settings), "vectors": open_vectors(self.settings)}
        return {**super().resources(), **real, "compute": OpenedCompute(self.settings)}


def decided(folder: Path, settings: Settings) -> list[pa.Table]:
    """The tables of one night of forty cases with a text and two photos."""
    fields = {**FIELDS, "text": {"type": "text"}, "photo": {"type": "image", "many": True, "required": False}}
    spec = claims(fields=fields, text={"tokens_per_batch": 64}, compute={"actors": 2, "batch": 16})
    world = RealWorld(spec.placed_in(folder), settings=settings)
    world.registry = MemoryRegistry({"1": {"model": b"1"}}, versions=[MODEL])
    world.ledger.champions.append((WARM, MODEL, "first"))
    rows = [arrival(NIGHT, place, str(20 + place)) for place in range(40)]
    for place, row in enumerate(rows):
        photos = f"{place % 7}.png;{place % 5}.png"
        words = " ".join(["the zip tore", "too small"][: 1 + place % 2] * (1 + place % 4))
        row["raw"] = json.dumps({**json.loads(row["raw"]), "text": f"{words} {place}", "photo": photos})
    world.sources.rows[NIGHT] = rows
    world.gather(NIGHT)
    assert world.run(NIGHT, "embeddings", "scores", "decisions").success
    return [world.lake.tables["claims", name][NIGHT] for name in ("embeddings", "scores", "decisions")]


def test_a_night_has_the_tables_of_the_plain_path(ray: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainedModel, "from_files", lambda files, device="cpu": Told())
    (tmp_path / "in").mkdir()
    for place in range(7):
        pixels = np.random.default_rng(place).integers(0, 256, (64, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{place}.png")
    (tmp_path / "in" / "6.png").write_bytes(b"no image")
    monkeypatch.setattr(compute, "_driver", lambda terms: ray.driver)
    there = Settings(tmp_path / "there", compute=ComputeTerms(ComputeEngine.RAY, ray.address))
    plain, on_ray = decided(tmp_path, Settings(tmp_path / "here")), decided(tmp_path, there)
    assert on_ray == plain
    embeddings, _, decisions = plain
    assert embeddings["text_vector"].null_count == 0 and set(embeddings["image_problem"].to_pylist()) > {None}
    assert len(set(decisions["option"].to_pylist())) > 1


def test_each_photo_is_encoded_once_and_a_bad_one_costs_only_itself(ray: Ray, tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    paths = photos.lie(30)
    (photos.source.folder / "own-3").write_bytes(b"!")
    (photos.source.folder / "own-4").unlink()
    here = photos.here(paths)
    photos.embedded([["own-0"]], photos.encoder)
    before = encoded(photos.log)
    there = photos.embedded(paths, photos.on(ray))
    np.testing.assert_array_equal(there.vectors, here.vectors)
    assert (there.keys, there.problems, there.failed) == (here.keys, here.problems, here.failed)
    # 28 photos of their own, ten that are shared; the one of before is not encoded again
    assert (there.encoded, there.reused) == (37, 1) and here.encoded == 38
    assert set((encoded(photos.log) - before).values()) == {1} and (encoded(photos.log) - before).total() == 37


def test_more_photos_than_the_object_store_holds(ray: Ray, tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    paths = [[f"photo-{place}"] for place in range(150)]
    for (path,) in paths:
        (photos.source.folder / path).write_bytes(path.encode() * 250_000)
    assert sum(file.stat().st_size for file in photos.source.folder.iterdir()) > 3 * 100 * 1024**2 * 0.9
    there = photos.embedded(paths, photos.on(ray, actors=2))
    assert_same(there, photos.here(paths))
    assert set(encoded(photos.log).values()) == {1}


@pytest.fixture
def kept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes is kept after every few contents, so that there is a half-way."""
    monkeypatch.setitem(encoders._KEPT_AT_ONCE, FilesJob, 20)


@pytest.mark.usefixtures("kept_often")
def test_a_node_killed_half_way(ray: Ray, tmp_path: Path) -> None:
    photos = Photos(tmp_path, gate=tmp_path / "gate")
    paths = photos.lie(60, waiting=40)
    given = photos.on(ray)

    @dataclass(frozen=True)
    class Killed(RayFileEncoder):
        def stream_files(self, paths: Sequence[str]) -> Iterator[list[EncodedFile]]:
            stream = super().stream_files(paths)
            yield next(stream)
            # each actor has a part in its hands that waits
            ray.does("kill node")
            (tmp_path / "gate").touch()
            yield from stream

    there = photos.embedded(paths, Killed(given.local, given.encoding, given.driver, given.source, given.store))
    ray.does("node")
    assert_same(there, photos.here(paths))
    # what the node had made and nobody had fetched is made again, nothing else
    again = [key for key, times in encoded(photos.log).items() if times > 1]
    assert there.encoded == len(encoded(photos.log)) == 80 and len(again) < 40


def test_a_worker_that_is_killed_for_memory_gets_half_of_it(ray: Ray, tmp_path: Path) -> None:
    photos = Photos(tmp_path, heavy=b"7 " * 100)
    paths = photos.lie(9)
    there = photos.embedded(paths, photos.on(ray, most=4, actors=2))
    assert_same(there, photos.here(paths))
    assert encoded(photos.log)[photo_key(photos.heavy)] == 1


def test_models_are_trained_and_errors_told_as_in_one_process(ray: Ray) -> None:
    workers = RayWorkers(ray.driver, at_once=2)
    features, y = table(600, 1, 2)
    examples = known(features, y, TWO)
    plans = {name: replace(TWO, estimator=name) for name in ("boosting", "logistic")}
    here, there = (trained_candidates(examples, plans, who) for who in (InTurn(), workers))
    assert {name: model.files() for name, model in there.items()} == {n: model.files() for n, model in here.items()}
    with pytest.raises(TooFewOutcomes, match="outcomes"):
        trained_candidates(examples.slice(0, 5), plans, workers)


models, world = replaying.models, replaying.world


def test_nights_are_replayed_with_the_figures_of_one_process(ray: Ray, world: World) -> None:
    def by(workers: Workers) -> ReplayResult:
        found = replaying.replayed(world, Candidate("v2", NEWER), knows_the_future=True, workers=workers)
        return replace(found, seconds=0.0)

    there = by(RayWorkers(ray.driver, at_once=2))
    # as they are written down: what is not known is no number, which equals nothing
    assert there.flips and repr(there) == repr(by(InTurn()))


@pytest.mark.usefixtures("kept_often")
def test_a_head_that_dies_fails_the_step_which_goes_on_when_there_is_one_again(ray: Ray, tmp_path: Path) -> None:
    photos = Photos(tmp_path, gate=tmp_path / "gate")
    paths = photos.lie(60, waiting=40)
    stream = photos.on(ray, actors=2).stream_files([path for case in paths for path in case])
    store = photos.store("lake")
    with pytest.raises(ComputeUnavailable, match="its head died") as told:
        for place, files in enumerate(stream):
            store.put(Hashes.version, {file.key: file.vector for file in files if file.key and file.vector is not None})
            if place == 0:
                ray.does("kill head")
    assert told.value.passing
    (tmp_path / "gate").touch()
    here = photos.here(paths)
    kept = len(store.get(Hashes.version, [key for keys in here.keys for key in keys]))
    assert 0 < kept <= 40
    ray.does("head")
    ray.does("node")
    there = photos.embedded(paths, photos.on(ray, actors=2))
    np.testing.assert_array_equal(there.vectors, here.vectors)
    assert (there.encoded, there.reused) == (80 - kept, kept)
