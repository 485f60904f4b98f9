"""What an image of deploy/Dockerfile weighs, calculated from what is installed here: the packages that pyproject.toml
and its extras bring along, and the files that .dockerignore lets in. The base image comes on top.

    python -m benchmarks.image_size
    python -m benchmarks.image_size --extras k8s,onnx
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
MEBIBYTE = 2**20
#: How many of the largest packages are listed.
LISTED = 8


def brought(extras: Sequence[str]) -> dict[str, Distribution]:
    """Every installed package that the project needs, itself not included.

    Raises:
        PackageNotFoundError: one that the project itself names is not installed.
        KeyError: there is no such extra.
    """
    found: dict[str, Distribution] = {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    waiting = [(Requirement(line), True) for line in named]
    while waiting:
        requirement, ours = waiting.pop()
        name = re.sub("[-_.]+", "-", requirement.name).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(requirement.name)
        except PackageNotFoundError:
            # what a package names for other builds of itself: torch's CUDA beside a torch for processors
            if ours:
                raise
            continue
        waiting += [(more, False) for more in _needed(found[name], sorted(requirement.extras))]
    return found


def _needed(of: Distribution, extras: Sequence[str]) -> Iterator[Requirement]:
    for line in of.requires or ():
        requirement = Requirement(line)
        chosen = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(one) for one in chosen):
            yield requirement


def size(of: Distribution) -> int:
    """Bytes of a package's files, without what Python compiles of them."""
    paths = [Path(str(of.locate_file(file))) for file in of.files or () if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def let_in() -> int:
    """Bytes of the checkout's files that .dockerignore lets into the image."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    named = [ROOT / line[1:] for line in lines if line.startswith("!")]
    files = [file for path in named for file in ([path] if path.is_file() else path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file() and "__pycache__" not in file.parts)


def main() -> None:
    """Prints the sum and the largest packages."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--extras", default="k8s,s3,ray")
    extras = [extra for extra in options.parse_args().extras.split(",") if extra]
    sizes = {name: size(one) for name, one in brought(extras).items()}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:LISTED]
    print(f"{len(sizes)} packages {sum(sizes.values()) / MEBIBYTE:6.0f} MiB, extras {', '.join(extras) or 'none'}")
    for name in largest:
        print(f"  {name:<24} {sizes[name] / MEBIBYTE:6.0f} MiB")
    print(f"the checkout    {let_in() / MEBIBYTE:6.1f} MiB")


if __name__ == "__main__":
    main()
