"""Encoders: texts and photos into vectors, chosen by the name that the spec gives.

Making one costs nothing; weights and heavy imports wait for the first `encode`. What the import of an engine takes
on two cores, in seconds: torch with tokenizers and safetensors 1.1, transformers' `BertModel` on top 2.5 more, which
is why the encoder that comes with the package has a forward pass of its own (`bert.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pipeline_project.domain.core.devices import settled
from pipeline_project.domain.vectors.modalities import EncoderTerms
from pipeline_project.ports.encoders import FileEncoder, TextEncoder
from resources.encoders.engines import USUAL, EngineChoice
from resources.encoders.hub import HubImageEncoder, HubTextEncoder
from resources.encoders.joined import JoinableEncoder, JoinedImageEncoder
from resources.encoders.lite0 import Lite0ImageEncoder
from resources.encoders.minilm import MiniLmTextEncoder
from resources.encoders.onnx_photos import GRAPH, OnnxImageEncoder, OnnxWeights
from resources.encoders.photo_statistics import PhotoStatisticsEncoder
from resources.encoders.weights import FolderWeights, HubWeights, Weights

__all__ = [
    "ENCODERS",
    "IMAGE_ENCODERS",
    "NAMED",
    "TEXT_ENCODERS",
    "EngineChoice",
    "HubImageEncoder",
    "HubTextEncoder",
    "JoinedImageEncoder",
    "Lite0ImageEncoder",
    "MiniLmTextEncoder",
    "OnnxImageEncoder",
    "PhotoStatisticsEncoder",
    "encoder_of",
    "image_encoder",
    "text_encoder",
]

#: The one that is no network, so that no engine is asked to compute it.
_STATISTICS = "photo-statistics-v1"
#: Encoders with a name of their own, made from what a spec says of batches and bounds; any other name is a model of the
#: hub or a folder.
TEXT_ENCODERS: Mapping[str, Callable[..., TextEncoder]] = {"all-minilm-l6-v2": MiniLmTextEncoder}
IMAGE_ENCODERS: Mapping[str, Callable[..., JoinableEncoder]] = {
    _STATISTICS: lambda max_pixels, **_: PhotoStatisticsEncoder(max_pixels=max_pixels),
    "efficientnet-lite0": lambda batch, max_pixels, device, choice: Lite0ImageEncoder(
        batch, max_pixels, settled(device), choice
    ),
}

_HUB = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>.*))?")


def text_encoder(
    name: str,
    tokens_per_batch: int = 1024,
    max_tokens: int = 256,
    device: str = "cpu",
    base: Path | None = None,
    choice: EngineChoice = USUAL,
) -> TextEncoder:
    """The text encoder a spec names: `all-minilm-l6-v2`, `hf:owner/name@commit` or a folder.

    Args:
        base: where a relative folder starts, usually the folder of the spec.
        choice: the engine and its precision.

    Raises:
        ValueError: the name is none of these, or the engine does not compute in that precision or on that device; the
            message says what to write.
    """
    if name in TEXT_ENCODERS:
        return TEXT_ENCODERS[name](tokens_per_batch, max_tokens, settled(device), choice=choice)
    weights = _weights(name, base, TEXT_ENCODERS)
    return HubTextEncoder(weights, tokens_per_batch, max_tokens, settled(device), choice)


def image_encoder(
    name: str | Sequence[str],
    batch: int = 32,
    max_pixels: int = 50_000_000,
    device: str = "cpu",
    base: Path | None = None,
    choice: EngineChoice = USUAL,
) -> FileEncoder:
    """The image encoder a spec names: `photo-statistics-v1`, `efficientnet-lite0`, `hf:owner/name@commit` or a folder;
    of several names, their vectors side by side.

    Args and errors as for `text_encoder`.
    """
    names = (name,) if isinstance(name, str) else tuple(name)
    if set(names) == {_STATISTICS} and choice.asks:
        raise ValueError(f"encoder {_STATISTICS!r} is numpy's arithmetic; leave `engine` and `precision` out")

    def one(name: str) -> JoinableEncoder:
        if name in IMAGE_ENCODERS:
            return IMAGE_ENCODERS[name](batch=batch, max_pixels=max_pixels, device=device, choice=choice)
        weights = _weights(name, base, IMAGE_ENCODERS)
        if isinstance(weights, FolderWeights) and (weights.path / GRAPH).is_file():
            return OnnxImageEncoder(OnnxWeights(weights.path), batch, max_pixels, settled(device), choice)
        return HubImageEncoder(weights, batch, max_pixels, settled(device), choice)

    encoders = [one(name) for name in names]
    return encoders[0] if len(encoders) == 1 else JoinedImageEncoder(encoders)


#: By modality, what makes the encoder that its terms name.
ENCODERS: Mapping[str, Callable[..., TextEncoder | FileEncoder]] = {"text": text_encoder, "image": image_encoder}
#: By modality, the encoders with a name of their own.
NAMED: Mapping[str, Collection[str]] = {"text": TEXT_ENCODERS, "image": IMAGE_ENCODERS}


def encoder_of(
    modality: str, terms: EncoderTerms, device: str = "cpu", base: Path | None = None, kept: Path | None = None
) -> TextEncoder | FileEncoder:
    """The encoder of a modality that its terms name; arguments and errors as for `text_encoder`.

    Args:
        kept: the folder in which engines keep what they made and what comparisons came to; None keeps nothing.
    """
    given = dict(vars(terms))
    asked = {name: given.pop(name) for name in ("engine", "precision", "least_cosine")}
    choice = EngineChoice(**asked, folder=kept)
    return ENCODERS[modality](given.pop("encoder"), **given, device=device, base=base, choice=choice)


def _weights(name: str, base: Path | None, shipped: Iterable[str]) -> Weights:
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
        raise ValueError(f"encoder {name!r}: write {', '.join(shipped)}, hf:owner/name@commit, or a folder that exists")
    return FolderWeights(folder)
