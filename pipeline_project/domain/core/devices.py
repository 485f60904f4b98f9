"""Where models are trained and score: on the processor or on a GPU of NVIDIA's, by the name that a setting gives.

Nothing here is imported or asked for where the name is `cpu`.
"""

from __future__ import annotations

import re

from pipeline_project.domain.core.errors import ModelUnavailable

CPU, AUTO = "cpu", "auto"
#: How a device may be named, for messages.
CHOICES = "auto, cpu, cuda or cuda:1 (the second GPU)"
_NAMES = re.compile(r"auto|cpu|cuda(:\d+)?")


def is_device(name: str) -> bool:
    """Whether a setting may name a device so; says nothing of whether there is one."""
    return _NAMES.fullmatch(name) is not None


def torch_device_name(name: str) -> str:
    """`cpu`, `cuda` or `cuda:N` as torch takes it; `auto` is the first GPU, or the processor where there is none.

    Raises:
        ModelUnavailable: a GPU is asked for that is not there, or the name means nothing; it says what to do.
    """
    if not is_device(name):
        raise ModelUnavailable(f"PIPELINE_DEVICE is {name!r}; write {CHOICES}")
    if name == CPU:
        return CPU
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == AUTO:
        return "cuda" if there else CPU
    if not there:
        build = "this torch is built without CUDA" if torch.version.cuda is None else "the driver shows no GPU"
        raise ModelUnavailable(
            f"PIPELINE_DEVICE is {name} but {build}. Set PIPELINE_DEVICE=cpu, or install the CUDA build of torch "
            f"{torch.__version__.split('+')[0]} on a machine with an NVIDIA GPU, as docs/gpu.md says"
        )
    number = int(name.partition(":")[2] or 0)
    if number >= there:
        raise ModelUnavailable(
            f"PIPELINE_DEVICE is {name} and the GPUs of this machine are "
            f"{', '.join(f'cuda:{one}' for one in range(there))}; write one of them"
        )
    return name


def settled(name: str) -> str:
    """What `auto` stands for here; any other name as it is, whether there is such a device or not."""
    return torch_device_name(name) if name == AUTO else name


def xgboost_device_name(name: str) -> str:
    """As `torch_device_name`; the processor also where this xgboost is built without CUDA, which takes nothing but
    time: trees learned on either are read by both, and a training says where it was."""
    return torch_device_name(name) if name != CPU and xgboost_has_cuda() else CPU


def xgboost_has_cuda() -> bool:
    """Whether the xgboost that is installed can compute on a GPU; the one in the lock cannot."""
    import xgboost

    return bool(xgboost.build_info()["USE_CUDA"])


def described(name: str, resolved: str) -> str:
    """A device in words for a model's card: which card it was, and why not the one that the setting names.

    Args:
        name: as the setting has it.
        resolved: what was computed on, as `torch_device_name` gives it.
    """
    if resolved == CPU:
        return CPU if name in (CPU, AUTO) else f"{CPU}, because this xgboost is built without CUDA"
    import torch

    return f"{resolved} ({torch.cuda.get_device_name(resolved)})"
