from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest

from pipeline_project.domain.core.errors import PhotoUnreadable, SourceStillGrowing
from pipeline_project.domain.vectors.modalities import EMBEDDINGS, PhotoModality
from pipeline_project.domain.vectors.stored import photo_key, text_key, unit, unpack
from pipeline_project.ports.encoders import EncodedFile
from pipeline_project.services import embedding
from pipeline_project.services.embedding import embed_files, embed_inline, embeddings_table


class Store:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], np.ndarray] = {}

    def get(self, encoder: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        return {key: self.kept[encoder, key] for key in keys if (encoder, key) in self.kept}

    def put(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None:
        self.kept.update({(encoder, key): vector for key, vector in vectors.items()})


class Letters:
    """Counts letters; remembers what it was asked."""

    dimension = 26

    def __init__(self, version: str = "letters-1") -> None:
        self.version = version
        self.asked: list = []

    def encode(self, texts):
        self.asked += texts
        return unit(np.array([[text.count(chr(97 + letter)) for letter in range(26)] for text in texts], np.float32))


class Bytes(Letters):
    """Encodes photos that begin with an exclamation mark as failures."""

    def encode(self, images):
        good = [not image.startswith(b"!") for image in images]
        vectors = super().encode([image.decode() for image in images])
        return vectors * np.array(good)[:, None], [None if fine else "not an image" for fine in good]


class Folder:
    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.read_paths: list[str] = []

    def read(self, path: str) -> bytes:
        self.read_paths.append(path)
        if path == "disk":
            raise PermissionError("/secret/place")
        if path not in self.files:
            raise PhotoUnreadable(f"{path} is missing")
        return self.files[path]

    def stamp(self, paths: Iterable[str]) -> str:
        return repr(sorted(set(paths)))


def test_each_text_is_encoded_once_and_never_again():
    encoder, store = Letters(), Store()
    texts = ["torn seam", None, "too small", "torn\tseam", "", "\x00"]
    first = embed_inline(texts, encoder, store)
    assert encoder.asked == ["torn seam", "too small"]
    assert (first.encoded, first.reused) == (2, 0)
    torn, small = text_key("torn seam"), text_key("too small")
    assert first.keys == [[torn], [], [small], [torn], [], []]
    np.testing.assert_array_equal(first.vectors[0], first.vectors[3])
    np.testing.assert_allclose(np.linalg.norm(first.vectors, axis=1), [1, 0, 1, 1, 0, 0], atol=1e-3)

    second = embed_inline(texts, encoder, store)
    assert len(encoder.asked) == 2
    assert (second.encoded, second.reused) == (0, 2)
    np.testing.assert_array_equal(second.vectors, first.vectors)


def test_another_encoder_version_encodes_again():
    store = Store()
    embed_inline(["torn"], Letters("letters-1"), store)
    assert embed_inline(["torn"], Letters("letters-2"), store).encoded == 1


def test_vectors_are_the_same_fresh_and_stored_in_16_bits():
    class Half(Store):
        def put(self, encoder, vectors):
            super().put(encoder, {key: v.astype(np.float16).astype(np.float32) for key, v in vectors.items()})

    store = Half()
    texts = ["abcd", "abbccc", "xyzzy"]
    fresh, again = (embed_inline(texts, Letters(), store) for _ in range(2))
    np.testing.assert_array_equal(fresh.vectors, again.vectors)


def test_a_killed_night_keeps_what_was_encoded(monkeypatch):
    monkeypatch.setattr(embedding, "_TEXTS_AT_ONCE", 2)

    class Dies(Letters):
        def encode(self, texts):
            if "c" in texts:
                raise KeyboardInterrupt
            return super().encode(texts)

    store = Store()
    try:
        embed_inline(["a", "b", "c"], Dies(), store)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("the encoder was meant to die")
    assert embed_inline(["a", "b", "c"], Letters(), store).encoded == 1


def test_no_texts_at_all():
    nothing = embed_inline([None, ""], Letters(), Store())
    assert nothing.vectors.shape == (2, 26) and not nothing.vectors.any()
    assert embed_inline([], Letters(), Store()).vectors.shape == (0, 26)


def test_a_bad_photo_costs_only_itself():
    folder = Folder(a=b"aa", b=b"bb", same=b"aa", broken=b"!")
    found = embed_files(
        PhotoModality(), [["a", "b"], ["gone", "broken", "same"], [], ["disk"]], folder, Bytes(), Store()
    )
    assert found.keys == [[photo_key(b"aa"), photo_key(b"bb")], [photo_key(b"aa")], [], []]
    assert found.problems == [
        None,
        "photo 1: gone is missing; photo 2: not an image",
        None,
        "photo 1: cannot be read (PermissionError)",
    ]
    np.testing.assert_allclose(found.vectors[0][:2], [0.5**0.5, 0.5**0.5], atol=1e-3)
    np.testing.assert_allclose(found.vectors[1][:2], [1, 0], atol=1e-3)
    assert not found.vectors[2:].any()
    assert (found.encoded, found.reused, found.failed) == (2, 0, 3)


def test_each_photo_is_read_and_encoded_once(monkeypatch):
    monkeypatch.setattr(embedding, "_FILES_AT_ONCE", 2)
    folder, encoder, store = Folder(a=b"aa", b=b"bb", c=b"aa"), Bytes(), Store()
    first = embed_files(PhotoModality(), [["a", "b"], ["b", "c"]], folder, encoder, store)
    assert sorted(folder.read_paths) == ["a", "b", "c"]
    assert encoder.asked == ["aa", "bb"]
    second = embed_files(PhotoModality(), [["a", "b"], ["b", "c"]], folder, encoder, store)
    assert len(encoder.asked) == 2
    assert (second.encoded, second.reused) == (0, 2)
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_many_problems_are_cut_to_a_sentence():
    found = embed_files(PhotoModality(), [[f"missing-{number}" for number in range(100)]], Folder(), Bytes(), Store())
    assert found.problems[0] is not None and len(found.problems[0]) == 300


def test_the_table_of_a_night():
    texts = embed_inline(["torn", None], Letters(), Store())
    photos = embed_files(PhotoModality(), [["a"], ["b"]], Folder(a=b"aa"), Bytes(), Store())
    table = embeddings_table("2025-03-01", ["k1", "k2"], {"text": texts, "image": photos})
    assert table.schema.equals(EMBEDDINGS)
    assert table["night"].to_pylist() == ["2025-03-01"] * 2
    assert table["text_vector"].null_count == table["image_vector"].null_count == 1
    assert table["photo_keys"].to_pylist() == [[photo_key(b"aa")], []]
    assert table["image_problem"].to_pylist() == [None, "photo 1: b is missing"]
    np.testing.assert_array_equal(unpack(table["text_vector"]), texts.vectors)


def test_a_workflow_without_photos_or_without_cases_has_a_table_too():
    table = embeddings_table("2025-03-01", ["k1"], {"text": embed_inline(["x"], Letters(), Store())})
    assert table["image_vector"].null_count == 1 and table["photo_keys"].to_pylist() == [[]]
    empty = embeddings_table("2025-03-01", [], {"text": embed_inline([], Letters(), Store())})
    assert empty.num_rows == 0 and empty.schema.equals(EMBEDDINGS)
    assert embeddings_table("2025-03-01", ["k1"], {}).schema.equals(EMBEDDINGS)


def test_an_encoder_that_wants_many_texts_is_given_them():
    class Many(Letters):
        texts_at_once = 4

        def encode(self, texts):
            sizes.append(len(texts))
            return super().encode(texts)

    sizes: list[int] = []
    embed_inline([chr(97 + place) for place in range(10)], Many(), Store())
    assert sizes == [4, 4, 2]


class StreamedLetters(Letters):
    """Gives what it makes of texts one by one."""

    def stream_texts(self, texts):
        for key, text in texts.items():
            yield {key: self.encode([text])[0]}


def test_vectors_of_a_stream_are_kept_as_they_come_and_are_those_of_one_process():
    class Dies(StreamedLetters):
        def stream_texts(self, texts):
            yield next(iter(super().stream_texts(texts)))
            raise OSError("the cluster is gone")

    store = Store()
    with pytest.raises(OSError, match="gone"):
        embed_inline(["a", "b"], Dies(), store)
    streamed = StreamedLetters()
    made = embed_inline(["a", "b", "a"], streamed, store)
    assert (streamed.asked, made.encoded, made.reused) == (["b"], 1, 1)
    np.testing.assert_array_equal(made.vectors, embed_inline(["a", "b", "a"], Letters(), Store()).vectors)


class StreamedBytes(Bytes):
    """Gives what is said of files."""

    def __init__(self, *files):
        super().__init__()
        self.files = files

    def stream_files(self, paths):
        return iter(self.files)


def test_files_of_a_stream_share_the_vector_and_the_problem_of_their_content():
    vector = np.eye(26, dtype=np.float32)[0]
    store = Store()
    store.put("letters-1", {"stored": np.eye(26, dtype=np.float32)[1]})
    encoder = StreamedBytes(
        [EncodedFile("same", "k", None, None), EncodedFile("gone", None, None, "missing")],
        [EncodedFile("a", "k", vector, None), EncodedFile("broken", "b", None, "not an image")],
        [EncodedFile("broken too", "b", None, None), EncodedFile("old", "stored", None, None)],
    )
    paths = [["a", "old"], ["same"], ["gone", "broken too"], ["broken"]]
    made = embed_files(PhotoModality(), paths, Folder(), encoder, store)
    assert made.keys == [["k", "stored"], ["k"], [], []]
    assert made.problems == [None, None, "photo 1: missing; photo 2: not an image", "photo 1: not an image"]
    assert (made.encoded, made.reused, made.failed) == (1, 1, 3)
    assert set(store.kept) == {("letters-1", "stored"), ("letters-1", "k")}


def test_a_content_that_nobody_encoded_after_all_is_tried_again():
    with pytest.raises(SourceStillGrowing, match="changed while it was read"):
        embed_files(PhotoModality(), [["a"]], Folder(), StreamedBytes([EncodedFile("a", "k", None, None)]), Store())
