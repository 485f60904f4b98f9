"""Houses on one real PostgreSQL: each has a workflow, a home and a lake of its own."""

from __future__ import annotations

import os
import uuid
from collections import Counter
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
    """Makes a home whose workflow is named like no other on the server, and declares the workflow.

    On a server of the tests' own the name is the same in every session, and with it what chance draws from it.
    """
    shared = "PIPELINE_TEST_POSTGRES_URL" in os.environ
    session = f"_{uuid.uuid4().hex[:8]}" if shared else ""
    made: Counter[str] = Counter()

    def make(label: str, **changes: object) -> House:
        made[label] += 1
        number = f"_{made[label]}" if made[label] > 1 else ""
        house = House(f"{label}{number}{session}", tmp_path_factory.mktemp(label), postgres_server)
        house.declare(**changes)
        return house

    return make
