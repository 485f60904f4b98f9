"""What the stores let go, and what stays because a decision rests on it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import text

from benchmarks.passed import passed
from pipeline_project.domain.core.errors import LakeUnavailable, SettingInvalid
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.store_terms import StoreTerms
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.vectors.modalities import EMBEDDINGS
from pipeline_project.operations import upkeep
from pipeline_project.operations.upkeep import LetGo, StoreUpkeep, alone
from resources.dagster_storage.old_events import OldRows
from resources.lake.lake import DeltaLake
from resources.lake.vectors import LakeVectorStore
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import Databases, connected, engine_of
from resources.postgres.locks import UPKEEP
from resources.registry.letting_go import OldVersion
from tests.resources.lake.test_vectors import ENCODER, some

NAME, NIGHTS = "returns", ("2025-03-01", "2025-03-02")
NOW = datetime.now(UTC) + timedelta(days=400)


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "lake"))


@pytest.fixture
def stores(lake: DeltaLake, ledger: PostgresLedger, tmp_path: Path) -> StoreUpkeep:
    databases = Databases("postgresql://dagster", "postgresql://mlflow", ledger.url)
    return StoreUpkeep(databases, lake, None, tmp_path / "dagster", StoreTerms(), NOW)  # type: ignore[arg-type]


def write(lake: DeltaLake, night: str, case: str) -> int:
    return lake.write_night(NAME, "cases", night, pa.table({"case_id": [case]}))


def aged(lake: DeltaLake, days: int) -> None:
    """Everything in the lake was done so many days earlier."""
    for path in Path(lake.store.url).rglob("_delta_log/*.json"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for entry in lines:
            if "remove" in entry:
                entry["remove"]["deletionTimestamp"] -= days * 86_400_000
        path.write_text("\n".join(json.dumps(entry) for entry in lines))
    for path in Path(lake.store.url).rglob("*.parquet"):
        stat = path.stat()
        os.utime(path, (stat.st_atime, stat.st_mtime - days * 86_400))


def decide(ledger: PostgresLedger, night: str, version: int, model: str = "1") -> None:
    ledger.record_workflow(NAME, "0" * 64, {})
    ledger.record_champion(NAME, ModelVersion(NAME, model, night, "2" * 64, "run", {}), night, "best")
    attempt = ledger.begin_attempt(NAME, night, "run")
    decision = NewDecision(
        case_id=night, option="refund", reason="cheapest", spec_hash="0" * 64, model_version=model,
        data_versions={f"{NAME}/cases": version},
    )  # fmt: skip
    ledger.record_decisions(NAME, night, attempt, [decision], basis=passed(ledger, NAME, night))


def counts(let_go: Sequence[LetGo], words: str) -> list[int]:
    return [one.count for one in let_go if words in one.what]


def test_a_version_that_a_decision_rests_on_stays_readable(
    stores: StoreUpkeep, lake: DeltaLake, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StoreUpkeep, "_models", lambda *_: [])
    draft = write(lake, NIGHTS[0], "draft")
    decided = write(lake, NIGHTS[0], "decided")
    decide(ledger, NIGHTS[0], decided)
    write(lake, NIGHTS[0], "again")
    decide(ledger, NIGHTS[1], write(lake, NIGHTS[1], "second"))
    assert counts(stores.of_workflow(NAME, dry=False), "replaced files") == [0], "they may still be read"
    aged(lake, 100)

    (dry,) = stores.of_workflow(NAME, dry=True)
    assert (dry.count, dry.what) == (1, "replaced files of cases, 1 versions stay") and dry.size > 0
    assert stores.of_workflow(NAME, dry=False) == [dry]
    for version, case in ((decided, "decided"), (None, "again")):
        rows = lake.read_night(NAME, "cases", NIGHTS[0], version)
        assert rows is not None and rows["case_id"].to_pylist() == [case]
    with pytest.raises(LakeUnavailable, match="a file it needs is gone"):
        lake.read_night(NAME, "cases", NIGHTS[0], draft)
    version = lake.version(NAME, "cases")
    assert counts(stores.of_workflow(NAME, dry=False), "replaced files") == [0]
    assert lake.version(NAME, "cases") == version, "nothing to do leaves no commit"


def test_models_that_decided_or_may_be_signed_are_needed(
    stores: StoreUpkeep, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(ledger, NIGHTS[0], 1, model="4")
    asked: list[set[str]] = []
    gone: list[str] = []
    monkeypatch.setattr(upkeep, "unneeded_versions", lambda *given: asked.append(given[3]) or [OldVersion("7", (), 9)])
    monkeypatch.setattr(upkeep, "fruitless_runs", lambda *_: ["run"])
    monkeypatch.setattr(upkeep, "let_go", lambda registry, workflow, old, at: gone.append(old.version))
    monkeypatch.setattr(upkeep, "remove_runs", lambda registry, runs: gone.extend(runs))
    stores.of_workflow(NAME, dry=True)
    assert (asked, gone) == ([{"4"}], [])
    stores.of_workflow(NAME, dry=False)
    assert gone == ["7", "run"]
    with engine_of(ledger.url).connect() as connection:
        bodies = connection.scalars(
            text("SELECT body FROM audit_rows JOIN audit_batches ON number = batch WHERE kind = 'erased'")
        )
        facts = list(bodies)
    assert [json.loads(fact)["data"] for fact in facts] == ["models"]


def test_vectors_that_no_night_of_any_workflow_names_go(
    stores: StoreUpkeep, lake: DeltaLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "old_rows", lambda *_: [OldRows("event_logs", 3, 12)])
    monkeypatch.setattr(upkeep, "remove_old_rows", lambda *_: [])
    monkeypatch.setattr(upkeep, "ended_runs", lambda *_: {"ended", "without a folder"})
    for run in ("ended", "running"):
        (stores.dagster_home / "storage" / run).mkdir(parents=True)
        (stores.dagster_home / "storage" / run / "out").write_text("printed")
    vectors = LakeVectorStore(lake.store.url)
    words, photo, nobody = list(some(0, 3))
    vectors.put(ENCODER, some(0, 3))
    for workflow, keys in (("returns", {"text_key": words}), ("tickets", {"photo_keys": [photo]})):
        row = {"night": NIGHTS[0], "case_id": "a", **keys}
        lake.write_night(workflow, "embeddings", NIGHTS[0], pa.Table.from_pylist([row], EMBEDDINGS))

    dry = stores.of_house(dry=True)
    assert (counts(dry, "vectors of"), counts(dry, "event_logs"), counts(dry, "printed")) == ([1], [3], [1])
    assert set(vectors.get(ENCODER, [words, photo, nobody])) == {words, photo, nobody}
    stores.of_house(dry=False)
    assert set(LakeVectorStore(lake.store.url).get(ENCODER, [words, photo, nobody])) == {words, photo}
    assert [path.name for path in (stores.dagster_home / "storage").iterdir()] == ["running"]


def test_it_waits_for_a_backup(ledger: PostgresLedger) -> None:
    databases = Databases("", "", ledger.url)
    waited: list[str] = []
    with connected(engine_of(ledger.url)) as backup:
        UPKEEP.hold_shared(backup)
        backup.commit()

        def ends(seconds: float) -> None:
            waited.append("slept")
            backup.exec_driver_sql("SELECT pg_advisory_unlock_all()")
            backup.commit()

        with alone(databases, lambda: waited.append("said"), ends):
            assert not UPKEEP.try_hold(backup)
    assert waited == ["said", "slept"]


def test_terms_are_read_or_refused() -> None:
    assert StoreTerms.of([], "PIPELINE_KEEP") == StoreTerms()
    assert StoreTerms.of(["events=7", "vectors = 400"], "PIPELINE_KEEP") == StoreTerms(events=7, vectors=400)
    assert StoreTerms.of(str(StoreTerms(models=2)).split(","), "PIPELINE_KEEP") == StoreTerms(models=2)
    for wrong in ("events", "events=0", "events=-1", "runs=3", "events=a week"):
        with pytest.raises(SettingInvalid, match=r"PIPELINE_KEEP is read as events=90, models=365"):
            StoreTerms.of([wrong], "PIPELINE_KEEP")
