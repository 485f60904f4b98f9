"""What an image is calculated from is what pyproject.toml brings along, and nothing that only tests need."""

from __future__ import annotations

import pytest

from benchmarks.image_size import brought, let_in, size


def test_the_packages_are_those_that_run_and_what_they_bring_along() -> None:
    plain = brought([])
    assert {"torch", "dagster", "numpy", "dagster-shared"} <= set(plain)
    assert not {"pytest", "ruff", "hypothesis", "kubernetes"} & set(plain)
    assert set(brought(["k8s"])) - set(plain) >= {"dagster-k8s", "kubernetes"}
    with pytest.raises(KeyError):
        brought(["no such extra"])


def test_sizes_are_those_of_files_that_are_there() -> None:
    assert size(brought([])["numpy"]) > 10 * 2**20
    assert 2**20 < let_in() < 20 * 2**20
