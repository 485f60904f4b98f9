"""What photo encoders share as networks: decoding, batches, engines, their graph, and fixed samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.intake.photo_opener import open_photo
from pipeline_project.domain.vectors.engines import Precision
from pipeline_project.domain.vectors.stored import Floats, unit
from pipeline_project.ports.encoders import PreparedPart
from resources.encoders.batches import halving
from resources.encoders.engines import EngineChoice, Forward, Inputs, Network, Prepared, chosen, prepared
from resources.encoders.engines.exported import onnx_of
from resources.encoders.engines.threads import spread
from resources.encoders.pixels import Pixels, pixels_of_prepared, prepared_photos
from resources.encoders.weights import narrowed, torch_device

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    #: Scaled pixels of shape (photos, 3, height, width) to features of shape (photos, dimension).
    PhotoFeatures = Callable[[torch.Tensor], torch.Tensor]


class PhotoNetwork(ABC):
    """A network that makes a vector of a photo's pixels.

    Args:
        batch: photos in a batch.
        max_pixels: a larger photo is refused unopened.
        device: cpu, cuda or cuda:1.
        choice: the engine and its precision, as the spec asks for them.

    Attributes:
        identity: of the weights and of whatever else a vector depends on but the arithmetic.
        dimension: values of a vector.
        size: width and height that the network reads. Photos are squeezed to it, not cropped: damage sits at edges too.
        normalization: mean and spread of each colour, by which pixels between 0 and 1 are scaled.

    Raises:
        ValueError: the engine does not compute in that precision, or not on that device.
    """

    def __init__(self, batch: int, max_pixels: int, device: str, choice: EngineChoice) -> None:
        self.batch = batch
        self.max_pixels = max_pixels
        self.device = device
        self.choice = choice
        self.arithmetic = chosen(choice, device)

    @property
    @abstractmethod
    def identity(self) -> str: ...

    @property
    @abstractmethod
    def dimension(self) -> int: ...

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]: ...

    @property
    @abstractmethod
    def normalization(self) -> tuple[Floats, Floats]: ...

    @abstractmethod
    def features(self, device: torch.device) -> PhotoFeatures:
        """The forward pass of torch in full precision.

        Raises:
            ModelUnavailable: the weights cannot be had or used.
        """

    @property
    def version(self) -> str:
        return f"{self.identity}{self.arithmetic.suffix}"

    def encode(self, images: Sequence[bytes]) -> tuple[Floats, list[str | None]]:
        """Unit-length float32 vectors, shape (images, dimension), zeros where one failed; and why, or None.

        A batch that does not fit into memory is halved.

        Raises:
            ModelUnavailable: the files cannot be had or used, or there is no such engine or device.
        """
        vectors = np.zeros((len(images), self.dimension), np.float32)
        problems: list[str | None] = [None] * len(images)

        def encode(rows: list[int]) -> None:
            opened: dict[int, Image] = {}
            for row in rows:
                try:
                    opened[row] = open_photo(images[row], self.max_pixels, self.size)
                except PhotoUnreadable as problem:
                    problems[row] = str(problem)
            if opened:
                vectors[list(opened)] = self.prepared.forward([self.scaled(list(opened.values()))])

        self._in_batches(encode, len(images))
        return unit(vectors), problems

    def prepare(self, images: Sequence[bytes], most: int | None = None) -> tuple[list[PreparedPart], dict[int, str]]:
        """The pixels of each photo as the network reads them, not yet scaled, for `encode_prepared`."""
        return prepared_photos(images, self.max_pixels, self.size, most or self.batch)

    def encode_prepared(self, prepared: Sequence[bytes]) -> Floats:
        """As `encode`, of photos that could be read."""
        vectors = np.zeros((len(prepared), self.dimension), np.float32)

        def encode(rows: list[int]) -> None:
            vectors[rows] = self.prepared.forward(
                [self.scaled([pixels_of_prepared(prepared[row], self.size) for row in rows])]
            )

        self._in_batches(encode, len(prepared))
        return unit(vectors)

    def _in_batches(self, encode: Callable[[list[int]], None], images: int) -> None:
        starts = range(0, images, self.batch)
        batches = [list(range(start, min(start + self.batch, images))) for start in starts]
        spread(lambda batch: halving(encode, batch), batches, self.prepared.workers)

    @cached_property
    def prepared(self) -> Prepared:
        """The network in the engine that was chosen, compared with torch once."""
        network = Network(identity=self.identity, in_torch=self._in_torch, graph=self._graph, samples=self._samples)
        return prepared(network, self.arithmetic, self.choice, self.device)

    def _samples(self) -> list[Inputs]:
        """Fixed noise of several scales on fixed grounds: what a photo is, as far as a network can tell."""
        from PIL import Image

        rng = np.random.default_rng(0)
        photos = []
        for side in (1, 4, 16, 64, 224):
            pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            photos.append(Image.fromarray(pixels).resize(self.size))
        return [[self.scaled(photos)], [self.scaled(photos[:1])]]

    def _in_torch(self, precision: Precision, device: str) -> Forward:
        import torch

        place = torch_device(device)
        features = narrowed(self.features(place), precision, place)

        def forward(inputs: Inputs) -> Floats:
            with torch.inference_mode():
                (pixels,) = inputs
                vectors: Floats = features(torch.from_numpy(np.asarray(pixels)).to(place)).float().cpu().numpy()
                return vectors

        return forward

    def _graph(self) -> bytes:
        import torch

        features = self.features(torch_device("cpu"))

        class _TracedPhotos(torch.nn.Module):
            def forward(self, pixels: torch.Tensor) -> torch.Tensor:
                return features(pixels)

        (pixels,) = self._samples()[0]
        return onnx_of(_TracedPhotos(), [torch.from_numpy(np.asarray(pixels))], ("pixels",), (0,))

    def scaled(self, photos: Sequence[Image | Pixels]) -> Floats:
        """Pixels as the network reads them, shape (photos, 3, height, width)."""
        mean, spread_of = self.normalization
        pixels = (np.stack([np.asarray(photo, np.float32) for photo in photos]) / 255 - mean) / spread_of
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
