"""A night's fingerprint changes whichever of its sources something lands at, late as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pipeline_project.settings import Settings
from resources.sources import everything_landed
from tests.resources.sources.claim_specs import NIGHT, WINDOW, claims, row, write

OUTCOMES = "claim_id,finding,seen_at"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_an_outcome_file_brings_its_night_back(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1))
    source = everything_landed(claims(tmp_path), settings, {})
    prints = [source.fingerprint(WINDOW)]
    path = write(tmp_path, name=f"outcomes/{NIGHT}.csv", header=OUTCOMES)
    prints.append(source.fingerprint(WINDOW))
    path.write_text(f"{OUTCOMES}\nC1,K,2025-03-01\n", encoding="utf-8")
    prints.append(source.fingerprint(WINDOW))
    assert len(set(prints)) == 3
    write(tmp_path, name="outcomes/2025-03-02.csv", header=OUTCOMES)
    assert source.fingerprint(WINDOW) == prints[-1], "what is of another night changes nothing"
    assert source.nights_landed() == [NIGHT, "2025-03-02"]


def test_the_truth_in_a_column_of_a_query_brings_its_night_back(tmp_path: Path, settings: Settings) -> None:
    url = f"sqlite:///{tmp_path / 'claims.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE claims (claim_id TEXT, claimed_at TEXT, price REAL, back TEXT)"))
        connection.execute(text("INSERT INTO claims VALUES ('C1', '2025-03-01 10:00:00', 10, NULL)"))
    fields = {
        "claim_id": {"type": "identifier", "role": "id"},
        "claimed_at": {"type": "time", "role": "time"},
        "price": {"type": "number", "role": "amount"},
    }
    where = "substr(:start, 1, 0) || claimed_at >= '2025-03-01' AND :end IS NOT NULL"
    source = {"kind": "sql", "url_variable": "PIPELINE_SECRET_CLAIMS", "query": f"SELECT * FROM claims WHERE {where}"}
    outcome = {"kind": "column", "column": "back", "known_at": [{"field": "night", "plus_days": 3}]}
    spec = claims(tmp_path, fields=fields, source=source, outcome=outcome)
    landed = everything_landed(spec, settings, {"PIPELINE_SECRET_CLAIMS": url})
    before = landed.fingerprint(WINDOW)
    with engine.begin() as connection:
        connection.execute(text("UPDATE claims SET back = 'kept'"))
    assert landed.fingerprint(WINDOW) != before
    engine.dispose()
