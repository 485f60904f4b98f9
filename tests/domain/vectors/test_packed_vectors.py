from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline_project.domain.vectors.stored import LONGEST_TEXT, clean_text, pack, photo_key, text_key, unit, unpack


def test_packed_vectors_come_back_and_a_zero_row_is_null():
    vectors = np.array([[0.25, -0.5, 1.0], [0, 0, 0], [0.125, 0, 0]], np.float32)
    packed = pack(vectors)
    assert packed.type == pa.binary()
    assert packed.null_count == 1 and packed[1].as_py() is None
    assert packed[0].as_py() == np.array([0.25, -0.5, 1.0], "<f2").tobytes()
    np.testing.assert_array_equal(unpack(packed), vectors)
    np.testing.assert_array_equal(unpack(pa.chunked_array([packed[:1], packed[1:]])), vectors)
    np.testing.assert_array_equal(unpack(packed.slice(1)), vectors[1:])


def test_nothing_to_pack_or_unpack():
    assert len(pack(np.zeros((0, 3), np.float32))) == 0
    assert unpack(pa.array([], pa.binary())).shape == (0, 0)
    assert unpack(pa.chunked_array([], pa.binary()), 5).shape == (0, 5)
    assert unpack(pa.nulls(2, pa.binary()), 4).shape == (2, 4)
    assert unpack(pack(np.zeros((2, 4))), 4).shape == (2, 4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_a_vector_that_is_no_number_is_refused(bad):
    with pytest.raises(ValueError, match="NaN, infinity"):
        pack(np.array([[1.0, bad]]))


def test_vectors_of_two_encoders_are_not_mixed_up():
    mixed = pa.chunked_array([pack(np.ones((1, 3))), pack(np.ones((1, 4)))])
    with pytest.raises(ValueError, match="encoder changed"):
        unpack(mixed)
    with pytest.raises(ValueError, match="encoder changed"):
        unpack(pack(np.ones((1, 3))), 4)


def test_unit_leaves_zero_rows_alone():
    found = unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]])
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  a\t\n b\x00c ", "a b c"),
        ("cafe\u0301", "café"),
        ("e\u200b\u0301", "é"),
        ("\u202eevil\u202c", "evil"),
        ("half \ud800 pair", "half pair"),
        ("क्\u200dष", "क्\u200dष"),
        ("注文が届かない", "注文が届かない"),
        (None, ""),
        ("\x07", ""),
    ],
)
def test_text_is_cleaned_before_it_is_hashed(text, clean):
    assert clean_text(text) == clean
    assert clean_text(clean) == clean
    assert text_key(text or "") == text_key(clean)


def test_a_text_of_one_megabyte_is_capped():
    assert len(clean_text("ü " * 500_000)) <= LONGEST_TEXT
    assert clean_text("a" * 30_000) == "a" * LONGEST_TEXT


def test_keys_are_sha256_of_the_bytes():
    assert text_key("abc") == photo_key(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
