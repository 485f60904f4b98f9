"""A content's vector is stored once, comes back with the same bits, and no writer loses any."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline_project.domain.core.errors import LakeUnavailable
from pipeline_project.domain.vectors.stored import as_stored
from resources.lake.delta import DeltaStore
from resources.lake.vectors import LakeVectorStore
from tests.present import present

ENCODER = "MiniLM/l6 v2@abc"


def some(first: int, count: int, dimension: int = 8) -> dict[str, np.ndarray]:
    """Vectors by key, the same for the same numbers."""
    made = {}
    for number in range(first, first + count):
        vector = np.random.default_rng(number).standard_normal(dimension).astype(np.float32)
        made[hashlib.sha256(str(number).encode()).hexdigest()] = vector / np.linalg.norm(vector)
    return made


def same(found: Mapping[str, np.ndarray], put: Mapping[str, np.ndarray]) -> None:
    assert set(found) == set(put)
    for key, vector in found.items():
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector, as_stored(put[key]))


@pytest.fixture
def store(tmp_path: Path) -> LakeVectorStore:
    return LakeVectorStore(str(tmp_path / "lake"))


def rows_stored(store: LakeVectorStore) -> int:
    table = store.store.open(store.uri(ENCODER))
    assert table is not None
    return table.to_pyarrow_table().num_rows


def test_what_is_put_comes_back_rounded_once(store: LakeVectorStore) -> None:
    put = some(0, 20)
    assert store.get(ENCODER, list(put)) == {}
    store.put(ENCODER, put)
    found = store.get(ENCODER, [*put, "unknown"])
    same(found, put)
    store.put("another", found)
    same(store.get("another", list(put)), found)
    assert store.get(ENCODER, []) == {}


def test_keys_are_found_in_any_file_and_row_group(store: LakeVectorStore) -> None:
    put = {**some(0, 5000, 4), **some(9000, 3, 4)}
    store.put(ENCODER, some(0, 5000, 4))
    store.put(ENCODER, some(9000, 3, 4))
    wanted = [key for i, key in enumerate(put) if i % 97 == 0 or i >= 5000 or i in (2047, 2048, 4095, 4096)][::-1]
    same(store.get(ENCODER, wanted), {key: put[key] for key in wanted})
    reader = LakeVectorStore(store.store.url)
    same(reader.get(ENCODER, wanted), {key: put[key] for key in wanted})
    last = list(put)[4998:5000]
    same(reader.get(ENCODER, last), {key: put[key] for key in last})


def test_a_key_already_there_adds_nothing_and_keeps_its_vector(store: LakeVectorStore) -> None:
    put = some(0, 5)
    store.put(ENCODER, put)
    version = present(store.store.open(store.uri(ENCODER))).version()
    store.put(ENCODER, {key: -vector for key, vector in put.items()})
    assert present(store.store.open(store.uri(ENCODER))).version() == version
    store.put(ENCODER, {**put, **some(5, 1)})
    assert rows_stored(store) == 6
    same(store.get(ENCODER, list(put)), put)


def test_encoder_versions_never_mix(store: LakeVectorStore) -> None:
    store.put("a/b", some(0, 1))
    assert store.get("a-b", list(some(0, 1))) == {}
    assert store.uri("a/b") != store.uri("a-b") != store.uri("A-b")


def test_a_zero_vector_is_stored(store: LakeVectorStore) -> None:
    store.put(ENCODER, {"blank": np.zeros(4, np.float32), "one": np.ones(4, np.float32)})
    same(store.get(ENCODER, ["blank"]), {"blank": np.zeros(4)})


def test_a_vector_must_be_finite_and_of_one_dimension(store: LakeVectorStore) -> None:
    with pytest.raises(ValueError, match="NaN"):
        store.put(ENCODER, {"a": np.array([1.0, np.nan])})
    with pytest.raises(ValueError, match="shape"):
        store.put(ENCODER, {"a": np.ones(3), "b": np.ones(4)})
    assert store.store.open(store.uri(ENCODER)) is None


def test_two_writers_at_once_lose_nothing_and_add_nothing_twice(
    store: LakeVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(ENCODER, some(0, 1))
    add_file = DeltaStore.add_file
    met: list[bool] = []

    def interrupted(inner: DeltaStore, *arguments: object, **options: object) -> object:
        added = add_file(inner, *arguments, **options)  # type: ignore[arg-type]
        if not met:
            met.append(True)
            LakeVectorStore(store.store.url).put(ENCODER, some(0, 10))
        return added

    monkeypatch.setattr(DeltaStore, "add_file", interrupted)
    store.put(ENCODER, some(5, 10))
    assert rows_stored(store) == 15
    same(store.get(ENCODER, list(some(0, 15))), some(0, 15))


def test_threads_that_start_a_table_together_all_land(store: LakeVectorStore) -> None:
    threads = [threading.Thread(target=store.put, args=(ENCODER, some(5 * n, 10))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows_stored(store) == 25
    same(store.get(ENCODER, list(some(0, 25))), some(0, 25))


def test_tidy_makes_one_file_and_loses_nothing(store: LakeVectorStore) -> None:
    for n in range(4):
        store.put(ENCODER, some(10 * n, 10))
    same(store.get(ENCODER, list(some(0, 40))), some(0, 40))
    assert store.tidy(ENCODER).merged == 4
    assert len(present(store.store.open(store.uri(ENCODER))).file_uris()) == 1
    same(store.get(ENCODER, list(some(0, 40))), some(0, 40))
    assert len(store._keys) == 1
    store.put(ENCODER, some(35, 10))
    assert rows_stored(store) == 45


def test_keys_of_a_file_are_read_once(store: LakeVectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(ENCODER, some(0, 10))
    store.get(ENCODER, ["unknown"])
    for file in Path(store.uri(ENCODER)).glob("*.parquet"):
        file.write_bytes(b"x" * file.stat().st_size)
    assert store.get(ENCODER, ["still unknown"]) == {}


def test_an_unreachable_store_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = LakeVectorStore(str(tmp_path / "file"))
    with pytest.raises(LakeUnavailable, match="PIPELINE_LAKE_URL"):
        store.put(ENCODER, some(0, 1))


def test_vectors_that_nothing_names_go_and_the_others_keep_their_bits(store: LakeVectorStore) -> None:
    kept, dropped, young = some(0, 30), some(30, 30), some(60, 5)
    for part in ({**kept, **dropped}, young):
        store.put(ENCODER, part)
    before = datetime.now(UTC) + timedelta(days=1)
    uri, named = store.uri(ENCODER), {key.encode() for key in kept}

    assert store.drop_unnamed(uri, named, datetime.now(UTC) - timedelta(days=1)) == 0, "a night is about to name them"
    assert store.drop_unnamed(uri, named, before, dry=True) == 35 and rows_stored(store) == 65
    assert store.drop_unnamed(uri, named, before) == 35
    same(store.get(ENCODER, [*kept, *dropped, *young]), kept)
    assert rows_stored(store) == 30
    assert store.drop_unnamed(uri, named, before) == 0
    # what comes again is stored again, and every file still carries its digest
    store.put(ENCODER, dropped)
    same(LakeVectorStore(store.store.url).get(ENCODER, [*kept, *dropped]), {**kept, **dropped})
    assert store.drop_unnamed(uri, set(), before) == 60 and rows_stored(store) == 0


def test_what_is_put_while_others_are_dropped_stays(store: LakeVectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, dropped, meanwhile = some(0, 5), some(5, 5), some(10, 5)
    store.put(ENCODER, {**kept, **dropped})
    other, rewrite = LakeVectorStore(store.store.url), store._rewrite
    met: list[bool] = []

    def put_first(*given: Any) -> None:
        if not met:
            other.put(ENCODER, meanwhile)
            met.append(True)
        rewrite(*given)

    monkeypatch.setattr(store, "_rewrite", put_first)
    named = {key.encode() for key in (*kept, *meanwhile)}
    assert store.drop_unnamed(store.uri(ENCODER), named, datetime.now(UTC) + timedelta(days=1)) == 5
    same(store.get(ENCODER, [*kept, *dropped, *meanwhile]), {**kept, **meanwhile})
