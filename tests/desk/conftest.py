"""One desk for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.ledger.nights.ledger import PostgresLedger
from tests.desk.house import DeskHouse


@pytest.fixture
def house(ledger: PostgresLedger, tmp_path: Path) -> Iterator[DeskHouse]:
    made = DeskHouse(ledger, tmp_path / "keys")
    yield made
    made.close()
