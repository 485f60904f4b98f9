"""Model files: JSON, UBJSON and safetensors, which run nothing when they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable

ALLOWED = (".json", ".ubj", ".safetensors")
SEAL = "seal.json"


def digest(files: Mapping[str, bytes]) -> str:
    """sha256 over the files' names and bytes, whatever their order."""
    whole = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            whole.update(len(part).to_bytes(8, "big"))
            whole.update(part)
    return whole.hexdigest()


def check_formats(files: Mapping[str, bytes]) -> None:
    """
    Raises:
        ModelUnavailable: a file is not of an allowed format, by its name or by what it begins with.
    """
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.suffix not in ALLOWED or len(path.parts) != 1:
            raise ModelUnavailable(
                f"the model holds a file {path.name!r}, and only {', '.join(ALLOWED)} are read, because others may run "
                "code when loaded; train the model again"
            )
        begins = content[8:9] if path.suffix == ".safetensors" else content[:1]
        if begins != b"{":
            raise ModelUnavailable(
                f"{path.name} is not the {path.suffix} file it is named after; train the model again"
            )


def sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files and one more, `seal.json`, with the sha256 of each."""
    return {**files, SEAL: to_json({name: _sha256(content) for name, content in files.items()})}


def check_seal(files: Mapping[str, bytes]) -> None:
    """Before anything is parsed: a native reader of a damaged file does not raise, it takes the process down.

    Raises:
        ModelUnavailable: a file is damaged, missing or not among the sealed.
    """
    seals = from_json(files, SEAL)
    for name in sorted(seals.keys() | files.keys() - {SEAL}):
        if name not in seals:
            raise ModelUnavailable(
                f"the model holds a file {name} that was not there when it was sealed; train it again"
            )
        if _sha256(named(files, name)) != seals[name]:
            raise ModelUnavailable(f"the model's file {name} is damaged or was changed after training; train it again")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def named(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise ModelUnavailable(f"the model lacks its file {name}; there are {', '.join(sorted(files))}; train it again")
    return files[name]


def to_json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False).encode()


def from_json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        content = json.loads(named(files, name))
    except ValueError as problem:
        raise ModelUnavailable(f"{name} is not readable JSON ({problem}); train the model again") from problem
    if not isinstance(content, dict):
        raise ModelUnavailable(f"{name} holds no JSON object; train the model again")
    return content


def to_tensors(tensors: Mapping[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(tensor) for name, tensor in sorted(tensors.items())})


def from_tensors(files: Mapping[str, bytes], name: str) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = named(files, name)
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as problem:
        raise ModelUnavailable(f"{name} is not readable as safetensors ({problem}); train the model again") from problem
