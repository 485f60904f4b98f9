"""Prints what an image needs by pyproject.toml, its extras included, one requirement a line; the lock pins it.

python deploy/requirements.py pyproject.toml k8s,onnx
"""

import sys
import tomllib
from pathlib import Path


def wanted(pyproject: Path, extras: str) -> list[str]:
    """The requirements of a project and of its extras, separated by commas.

    Raises:
        KeyError: there is no such extra.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    named = [extra for extra in extras.split(",") if extra]
    return [*project["dependencies"], *(line for extra in named for line in project["optional-dependencies"][extra])]


if __name__ == "__main__":
    print("\n".join(wanted(Path(sys.argv[1]), sys.argv[2])))  # noqa: T201
