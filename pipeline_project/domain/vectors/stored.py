"""Vectors as the lake keeps them, and the keys by which a content is encoded only once."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float32]

#: Longest text that is hashed and encoded, in characters. Encoders read some 2,000 at most, so a text of 1 MB
#: would only cost time.
LONGEST_TEXT = 20_000

# Joiners carry meaning in Indic and Arabic scripts and in emoji; every other format character is invisible.
_JOINERS = "\u200c\u200d"


def pack(vectors: npt.NDArray[np.floating]) -> pa.BinaryArray:
    """One binary value per row, little-endian float16; a zero row, which stands for "nothing there", is null.

    Args:
        vectors: shape (n, d).

    Raises:
        ValueError: a value is not finite or too large for 16 bits.
    """
    if vectors.shape[0] == 0:
        return pa.array([], pa.binary())
    with np.errstate(over="ignore"):
        halves = np.ascontiguousarray(vectors, dtype="<f2")
    if not np.isfinite(halves).all():
        raise ValueError("a vector holds NaN, infinity or a value beyond 65504; encode these cases again")
    rows, width = halves.shape
    there = halves.any(axis=1)
    ends = np.concatenate([[0], np.cumsum(there * (2 * width))])
    if ends[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{rows:,} vectors of {width} values pass 2 GB in one column; write the night in parts")
    bits = pa.py_buffer(np.packbits(there, bitorder="little").tobytes())
    data = pa.py_buffer(halves[there].tobytes())
    return pa.Array.from_buffers(pa.binary(), rows, [bits, pa.py_buffer(ends.astype(np.int32).tobytes()), data])


def unpack(column: pa.ChunkedArray | pa.Array, dimension: int | None = None) -> Floats:
    """What `pack` wrote, as float32 of shape (n, d); null becomes a zero row.

    Args:
        column: binary.
        dimension: d, when known; without it a column of nulls has d = 0.

    Raises:
        ValueError: vectors of different length, so they come from different encoders.
    """
    widths = pc.unique(pc.binary_length(column)).drop_null().to_pylist()
    if len(widths) > 1 or (widths and dimension is not None and widths[0] != 2 * dimension):
        lengths = ", ".join(str(width // 2) for width in sorted(widths))
        raise ValueError(
            f"vectors of {lengths} values where {dimension or 'one length'} was expected: the encoder changed between "
            "these nights; materialize the embeddings of the older nights again"
        )
    width = widths[0] // 2 if widths else dimension or 0
    vectors = np.zeros((len(column), width), np.float32)
    there = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False) if len(column) else [], dtype=bool)
    if there.any():
        packed = b"".join(value for value in column.to_pylist() if value is not None)
        vectors[there] = np.frombuffer(packed, "<f2").reshape(-1, width)
    return vectors


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    """Each row scaled to length one, float32, shape kept; zero rows stay zero."""
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-12)


def as_stored(vectors: npt.NDArray[np.floating]) -> Floats:
    """The vectors as 16 bits keep them, so that a fresh one and one from the store give the same night."""
    return np.asarray(vectors, np.float16).astype(np.float32)


def clean_text(text: str | None) -> str:
    """The text as it is hashed and encoded: NFC, no control or invisible characters, single spaces, capped.

    Lone surrogates, which no file can hold as UTF-8, go too.
    """
    if not text:
        return ""
    # Cleaning only shortens, so four times the cap is all that can matter of ordinary text.
    text = text[: 4 * LONGEST_TEXT]
    if not (text.isascii() and text.isprintable()):
        # Composed last: taking an invisible character out can bring a letter and its accent together.
        text = unicodedata.normalize("NFC", "".join(_visible(character) for character in text))
    return " ".join(text.split())[:LONGEST_TEXT].rstrip()


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    return "" if category == "Cs" or (category == "Cf" and character not in _JOINERS) else character


def text_key(text: str) -> str:
    """The content key of a text: sha256 hex of its UTF-8 bytes, after `clean_text`."""
    return hashlib.sha256(clean_text(text).encode()).hexdigest()


def photo_key(content: bytes) -> str:
    """The content key of a photo: sha256 hex of its bytes."""
    return hashlib.sha256(content).hexdigest()
