"""A forward pass of torch as an ONNX file, which other engines read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import ModelUnavailable
from resources.files.small_files import write_whole

if TYPE_CHECKING:
    import torch

#: Part of the name of a kept graph: another one when `onnx_of` exports otherwise.
_EXPORT = "1"
_OPSET = 18


def onnx_of(
    module: torch.nn.Module, example: Sequence[torch.Tensor], names: Sequence[str], free: Sequence[int]
) -> bytes:
    """The graph of a module by tracing it.

    Args:
        example: inputs with padding among them: what the trace does not go through is not in the graph.
        names: of the inputs.
        free: axes of each input that may have another length.

    Raises:
        ModelUnavailable: torch cannot export this architecture.
    """
    import torch

    axes = {name: {axis: f"axis{axis}" for axis in free} for name in names}
    try:
        with _quietly() as folder, torch.inference_mode():
            file = folder / "graph.onnx"
            torch.onnx.export(
                module.eval(), tuple(example), file, dynamo=False, input_names=list(names), output_names=["vectors"],
                dynamic_axes=axes, opset_version=_OPSET,
            )  # fmt: skip
            return file.read_bytes()
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelUnavailable(
            f"torch cannot export this encoder for other engines ({type(error).__name__}: {in_a_line(error)}); write "
            "`engine: torch`, or leave `engine` out"
        ) from error


@contextlib.contextmanager
def _quietly() -> Iterator[Path]:
    """A folder for a file, in which nothing is said.

    The exporter that needs nothing but `onnx` is called legacy; what it warns of (branches on values) is what the
    comparison at first use would show, and what it prints of a graph is in its exception.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield Path(folder)


def kept_graph(folder: Path | None, identity: str, make: Callable[[], bytes]) -> bytes:
    """The graph of these weights, made once per home.

    What is read back need not be trusted: a comparison belongs to the very bytes that were compared.
    """
    if folder is None:
        return make()
    file = folder / "graphs" / f"{safe_name(identity)}-{_EXPORT}.onnx"
    if file.is_file():
        return file.read_bytes()
    graph = make()
    keep(file, graph)
    return graph


def in_a_line(error: Exception) -> str:
    """The beginning of what an engine says, some of whom say pages."""
    return " ".join(str(error).split())[:200]


def safe_name(identity: str) -> str:
    """An identity as part of a file's name."""
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


def keep(file: Path, content: bytes) -> None:
    """Writes a file that others see whole or not at all; where there is no room it is not kept."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)
