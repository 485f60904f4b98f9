"""Which version of the code a process runs: what is refused beside it, in a house that is being updated."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from pipeline_project.settings import ROOT

PROJECT = "pipeline-project"
#: Where the code lies; all of it may change what is decided.
PACKAGES = ("pipeline_project", "assets", "resources")


@cache
def running_code() -> str:
    """The version and a hash of the code, the same wherever the same files lie.

    Of the first call of a process, which has to come before somebody replaces the files: whatever is long-lived calls
    it as it begins.
    """
    digest = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{project_version()}+{digest.hexdigest()[:12]}"


def project_version() -> str:
    """The version of the package."""
    try:
        return version(PROJECT)
    except PackageNotFoundError:
        return "not installed"
