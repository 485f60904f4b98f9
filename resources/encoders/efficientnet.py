"""The forward pass of EfficientNet-Lite0 on a file of tensors: all of a vision library that the encoder needs.

The network and its weights are M. Tan's and Q. Le's (arXiv 1905.11946; the "Lite" variants leave out squeeze-and-
excitation and bound their activations). Published weights carry each normalization apart from the convolution before
it; `folded` makes one linear step of the two, which is how the network is stored here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Photos are read in this size, and one becomes so many numbers.
SIDE, DIMENSION = 224, 1280
_BLOCKS = 16
#: The blocks that halve the picture.
_HALVING = frozenset({1, 3, 5, 11})
_EPSILON = 1e-3


def folded(published: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convolutions with their normalizations in them, by name: `stem`, `0.expand`, `0.depthwise`, `0.project`, `head`.

    Computed in float64, elementwise, so that every machine makes the same bits.

    Args:
        published: tensors by the names of the weights' file.

    Raises:
        KeyError: a tensor is missing.
    """
    import torch

    made: dict[str, torch.Tensor] = {}

    def fold(name: str, convolution: str, normalization: str) -> None:
        scale, shift, mean, variance = (
            published[f"{normalization}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / torch.sqrt(variance + _EPSILON)
        weight = published[f"{convolution}.weight"].double() * scale[:, None, None, None]
        made[f"{name}.weight"] = weight.float().contiguous()
        made[f"{name}.bias"] = (shift - mean * scale).float()

    fold("stem", "_conv_stem", "_bn0")
    for block in range(_BLOCKS):
        inside = f"_blocks.{block}"
        if f"{inside}._expand_conv.weight" in published:
            fold(f"{block}.expand", f"{inside}._expand_conv", f"{inside}._bn0")
        fold(f"{block}.depthwise", f"{inside}._depthwise_conv", f"{inside}._bn1")
        fold(f"{block}.project", f"{inside}._project_conv", f"{inside}._bn2")
    fold("head", "_conv_head", "_bn1")
    return made


def efficientnet_lite0(tensors: Mapping[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """The means over the picture of the last layer's features.

    Args:
        tensors: as from `folded`.
        pixels: scaled, shape (photos, 3, 224, 224).

    Returns:
        Shape (photos, 1280).
    """
    from torch.nn import functional

    def convolved(inputs: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        kernel, groups = weight.shape[-1], inputs.shape[1] // weight.shape[1]
        around = kernel // 2
        if stride > 1:
            # the weights were learned with TensorFlow's padding: of an even picture, the odd row goes below
            inputs = functional.pad(inputs, ((kernel - 2) // 2, around) * 2)
            around = 0
        return functional.conv2d(inputs, weight, bias, stride, around, groups=groups)

    hidden = functional.relu6(convolved(pixels, "stem", stride=2))
    for block in range(_BLOCKS):
        inner = hidden
        if f"{block}.expand.weight" in tensors:
            inner = functional.relu6(convolved(inner, f"{block}.expand"))
        inner = functional.relu6(convolved(inner, f"{block}.depthwise", stride=2 if block in _HALVING else 1))
        inner = convolved(inner, f"{block}.project")
        hidden = hidden + inner if inner.shape == hidden.shape else inner
    return functional.relu6(convolved(hidden, "head")).mean(dim=(2, 3))
