"""Houses on one real PostgreSQL: each has a workflow, a home and a lake of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from tests.integration.house import House

NewHouse = Callable[..., House]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/integration/" in item.path.as_posix():
            item.add_marker(pytest.mark.night)


@pytest.fixture(scope="session")
def new_house(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> NewHouse:
    """Makes a home whose workflow is named like no other on the server, and declares the workflow."""

    def make(label: str, **changes: object) -> House:
        house = House(f"{label}_{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp(label), postgres_server)
        house.declare(**changes)
        return house

    return make
