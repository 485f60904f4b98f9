"""Encoders: texts and photos into vectors, chosen by the name that the spec gives.

Making one costs nothing; weights and heavy imports wait for the first `encode`. What the import of an engine takes
on two cores, in seconds: torch with tokenizers and safetensors 1.1, transformers' `BertModel` on top 2.5 more, which
is why the encoder that comes with the package has a forward pass of its own (`bert.py`).
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline_project.ports.encoders import ImageEncoder, TextEncoder
from resources.encoders.hub import HubImageEncoder, HubTextEncoder
from resources.encoders.minilm import MiniLmTextEncoder
from resources.encoders.photo_statistics import PhotoStatisticsEncoder
from resources.encoders.weights import FolderWeights, HubWeights, Weights

__all__ = [
    "HubImageEncoder",
    "HubTextEncoder",
    "MiniLmTextEncoder",
    "PhotoStatisticsEncoder",
    "image_encoder",
    "text_encoder",
]

_HUB = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>.*))?")


def text_encoder(
    name: str,
    tokens_per_batch: int = 2048,
    max_tokens: int = 256,
    device: str = "cpu",
    base: Path | None = None,
) -> TextEncoder:
    """The text encoder a spec names: `all-minilm-l6-v2`, `hf:owner/name@commit` or a folder.

    Args:
        base: where a relative folder starts, usually the folder of the spec.

    Raises:
        ValueError: the name is none of these; the message says what to write.
    """
    if name == "all-minilm-l6-v2":
        return MiniLmTextEncoder(tokens_per_batch=tokens_per_batch, max_tokens=max_tokens, device=device)
    weights = _weights(name, base, known="all-minilm-l6-v2")
    return HubTextEncoder(weights, tokens_per_batch=tokens_per_batch, max_tokens=max_tokens, device=device)


def image_encoder(
    name: str,
    batch: int = 32,
    max_pixels: int = 50_000_000,
    device: str = "cpu",
    base: Path | None = None,
) -> ImageEncoder:
    """The image encoder a spec names: `photo-statistics-v1`, `hf:owner/name@commit` or a folder.

    Args and errors as for `text_encoder`.
    """
    if name == "photo-statistics-v1":
        return PhotoStatisticsEncoder(max_pixels=max_pixels)
    weights = _weights(name, base, known="photo-statistics-v1")
    return HubImageEncoder(weights, batch=batch, max_pixels=max_pixels, device=device)


def _weights(name: str, base: Path | None, known: str) -> Weights:
    if name.startswith("hf:"):
        match = _HUB.fullmatch(name)
        if match is None:
            raise ValueError(f"encoder {name!r}: write hf:owner/name@commit")
        if not re.fullmatch(r"[0-9a-f]{40}", match["revision"] or ""):
            raise ValueError(
                f"encoder {name!r}: name the commit, as hf:{match['name']}@ and the 40 digits that the model's page "
                "shows under Files. A branch or tag can move, and stored vectors would then be of another model"
            )
        return HubWeights(match["name"], match["revision"])
    folder = (base or Path()) / name
    if not folder.is_dir():
        raise ValueError(f"encoder {name!r}: write {known}, hf:owner/name@commit, or a folder that exists")
    return FolderWeights(folder)
