"""Queries that tell for which nights something is there, and outcomes that come from a query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from resources.sources import case_source, everything_landed, outcome_source
from resources.sources import sql as sql_module
from tests.resources.sources.claim_specs import NIGHT, WINDOW, claims

NEXT = "2025-03-02"
CASES = "SELECT claim_id, at AS claimed_at, price FROM claim WHERE at >= :start AND at < :end"
LANDED = "SELECT date(at) AS night, count(*), max(changed) FROM claim WHERE at >= :start AND at < :end GROUP BY 1"
TOLD = "SELECT claim_id, finding, seen_at FROM verdict WHERE seen_at >= :start AND seen_at < :end"
TOLD_LANDED = (
    "SELECT date(seen_at), count(*), max(seen_at) FROM verdict WHERE seen_at >= :start AND seen_at < :end GROUP BY 1"
)
COLUMNS = {"case_column": "claim_id", "label_column": "finding", "known_at_column": "seen_at", "values": {"K": "kept"}}
VARIABLE = "PIPELINE_SECRET_CLAIMS"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    run(
        engine,
        "CREATE TABLE claim (claim_id TEXT, at TEXT, price REAL, changed INTEGER)",
        "CREATE TABLE verdict (claim_id TEXT, finding TEXT, seen_at TEXT)",
        "INSERT INTO claim VALUES ('C1', '2025-03-01 10:00:00', 1.5, 1), ('C2', '2025-03-01 11:00:00', 2, 2), "
        "('C3', '2025-03-02 09:00:00', 3, 3)",
    )
    yield engine
    engine.dispose()


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def spec(folder: Path, **source: Any) -> WorkflowSpec:
    declared = {"kind": "sql", "url_variable": VARIABLE, "query": CASES, "landed": LANDED, **source}
    outcome = {"kind": "sql", "url_variable": VARIABLE, "query": TOLD, "landed": TOLD_LANDED, **COLUMNS}
    return claims(folder, source=declared, outcome=outcome)


@pytest.fixture
def environ(shop: Engine) -> dict[str, str]:
    return {VARIABLE: str(shop.url)}


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that are sent from now on."""
    sent: list[str] = []
    asked = sql_module.QueryByNight._asked

    def heard(self: sql_module.QueryByNight, query: str, *rest: Any) -> Any:
        sent.append(query)
        return asked(self, query, *rest)

    monkeypatch.setattr(sql_module.QueryByNight, "_asked", heard)
    return sent


def test_a_query_tells_its_nights_and_what_changed_in_one_question(
    tmp_path: Path, settings: Settings, shop: Engine, environ: dict[str, str], questions: list[str]
) -> None:
    def tick() -> dict[str, str]:
        source = case_source(spec(tmp_path), settings, environ)
        return {night: source.fingerprint(window_of(night, "Europe/Berlin")) for night in source.nights_landed()}

    before = tick()
    assert list(before) == [NIGHT, NEXT] and questions == [LANDED]
    assert case_source(spec(tmp_path), settings, environ).fingerprint(WINDOW) == before[NIGHT], "a run sees the same"
    for statement in (
        "UPDATE claim SET price = 9, changed = 4 WHERE claim_id = 'C1'",
        "DELETE FROM claim WHERE price = 2",
    ):
        run(shop, statement)
        after = tick()
        assert after[NIGHT] != before[NIGHT] and after[NEXT] == before[NEXT]
        before = after
    run(shop, "INSERT INTO claim VALUES ('C9', '2025-03-05 10:00:00', 1, 1)")
    assert list(tick()) == [NIGHT, NEXT, "2025-03-05"]
    assert spec(tmp_path).source.tells_nights and not spec(tmp_path, landed=None).source.tells_nights


def test_without_it_a_query_tells_no_night_and_is_read_for_its_fingerprint(
    tmp_path: Path, settings: Settings, environ: dict[str, str], questions: list[str]
) -> None:
    source = case_source(spec(tmp_path, landed=None), settings, environ)
    assert source.nights_landed() == [] and questions == []
    source.fingerprint(WINDOW)
    assert questions == [CASES]


def test_what_is_no_night_is_refused_and_not_repeated(
    tmp_path: Path, settings: Settings, environ: dict[str, str]
) -> None:
    landed = "SELECT claim_id, count(*) FROM claim WHERE at >= :start AND at < :end GROUP BY 1"
    with pytest.raises(SourceUnreadable, match=r"`source\.landed` gives first is no night.*YYYY-MM-DD") as told:
        case_source(spec(tmp_path, landed=landed), settings, environ).nights_landed()
    assert "C1" not in str(told.value)
    with pytest.raises(SourceUnreadable, match=r"check PIPELINE_SECRET_CLAIMS and `source\.landed`"):
        case_source(spec(tmp_path, landed=landed.replace("claim_id", "nothing")), settings, environ).nights_landed()


@pytest.mark.parametrize(
    "landed", ["SELECT 1", "DELETE FROM claim WHERE :start < :end", "SELECT 1 WHERE ':start' < :end"]
)
def test_it_is_bounded_and_only_reads(tmp_path: Path, landed: str) -> None:
    with pytest.raises(ValueError, match="landed"):
        spec(tmp_path, landed=landed)


def test_outcomes_come_from_a_query(tmp_path: Path, settings: Settings, shop: Engine, environ: dict[str, str]) -> None:
    run(
        shop,
        "INSERT INTO verdict VALUES ('C1', 'K', '2025-03-01 20:00:00'), ('C2', 'eaten', '2025-03-01 21:00:00'), "
        "('C3', 'worn', '2025-03-02 20:00:00')",
    )
    told = outcome_source(spec(tmp_path), settings, environ).read(WINDOW)
    (outcome,) = told.rows.to_pylist()
    assert (outcome["case_id"], outcome["label"], outcome["source"]) == ("C1", "kept", "query")
    assert outcome["known_at"].isoformat() == "2025-03-01T19:00:00+00:00"
    (problem,) = told.problems
    assert problem.file == "outcome query" and "'eaten' is no label" in problem.reason
    with pytest.raises(SourceUnreadable, match="the database that `outcome` reads"):
        outcome_source(spec(tmp_path), settings, {}).read(WINDOW)


def test_an_outcome_of_a_query_brings_its_night_back(
    tmp_path: Path, settings: Settings, shop: Engine, environ: dict[str, str], questions: list[str]
) -> None:
    before = everything_landed(spec(tmp_path), settings, environ).fingerprint(WINDOW)
    run(shop, "INSERT INTO verdict VALUES ('C1', 'K', '2025-03-01 20:00:00'), ('C1', 'K', '2025-03-07 20:00:00')")
    questions.clear()
    source = everything_landed(spec(tmp_path), settings, environ)
    assert source.nights_landed() == [NIGHT, NEXT, "2025-03-07"]
    assert source.fingerprint(WINDOW) != before
    assert questions == [LANDED, TOLD_LANDED]
    silent = spec(tmp_path).outcome.model_copy(update={"landed": None})
    quiet = spec(tmp_path).model_copy(update={"outcome": silent})
    assert everything_landed(quiet, settings, environ).fingerprint(WINDOW) == before
