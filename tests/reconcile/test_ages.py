"""Stores of different ages: each that is older or newer than the ledger is named, and a house of one age is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import text

from benchmarks.passed import passed
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.reconcile.ages import check_ages, check_keys
from pipeline_project.reconcile.scope import DeclaredWorkflow, Link, SourceFiles, Span, Where
from resources.files import files_at
from resources.keys.checkpoint_key import publish, signing_key
from resources.lake.lake import DeltaLake
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of

NAME, NIGHTS = "returns", ("2025-03-01", "2025-03-02")
DECLARED = DeclaredWorkflow(NAME, NIGHTS[0], SourceFiles())
TABLES = {
    "mlflow_url": ("model_versions (name text, version int)", f"model_versions VALUES ('{NAME}', 1), ('{NAME}', 2)"),
    "dagster_url": (
        "event_logs (dagster_event_type text, asset_key text, partition text)",
        "event_logs VALUES "
        + ", ".join(f"('ASSET_MATERIALIZATION', '[\"{NAME}\", \"decisions\"]', '{night}')" for night in NIGHTS),
    ),
}


@dataclass
class Stores:
    """Two decided nights: their tables, their model, their materializations, their keys."""

    where: Where
    ledger: PostgresLedger

    def ages(self, span: Span | None = None) -> Link:
        with engine_of(self.ledger.url).connect() as connection:
            return check_ages(connection, self.where, DECLARED, span or Span())

    def keys(self) -> Link:
        assert self.where.keys is not None
        with engine_of(self.ledger.url).connect() as connection:
            return check_keys(connection, self.where.keys, self.where.checkpoints)

    def run(self, url: str | None, statement: str) -> None:
        assert url is not None
        with engine_of(url).begin() as connection:
            connection.execute(text(statement))


@pytest.fixture
def stores(ledger: PostgresLedger, new_database: Callable[[], str], tmp_path: Path) -> Iterator[Stores]:
    keys, checkpoints = tmp_path / "keys", tmp_path / "checkpoints"
    where = Where(
        ledger.url,
        str(tmp_path / "lake"),
        str(tmp_path),
        tmp_path,
        str(checkpoints),
        new_database(),
        new_database(),
        keys,
    )
    stores = Stores(where, ledger)
    for name, (columns, rows) in TABLES.items():
        stores.run(getattr(where, name), f"CREATE TABLE {columns}")
        stores.run(getattr(where, name), f"INSERT INTO {rows}")
    lake = DeltaLake(where.lake_url)
    ledger.record_workflow(NAME, "0" * 64, {})
    for version, night in (("1", NIGHTS[0]), ("2", NIGHTS[1])):
        ledger.record_champion(NAME, ModelVersion(NAME, version, night, "2" * 64, "run", {}), night, "best")
    for night in NIGHTS:
        read = lake.write_night(NAME, "cases", night, pa.table({"case_id": [night]}))
        attempt = ledger.begin_attempt(NAME, night, "run")
        decision = NewDecision(
            case_id=night, option="refund", reason="cheapest", spec_hash="0" * 64, model_version="2",
            data_versions={f"{NAME}/cases": read},
        )  # fmt: skip
        ledger.record_decisions(NAME, night, attempt, [decision], basis=passed(ledger, NAME, night))
    checkpoints.mkdir()
    publish(signing_key(keys).public_key(), files_at(checkpoints))
    for name in ("subject-names.key", "subject-master-3.key"):
        (keys / name).write_text("a key")
    stores.run(ledger.url, "INSERT INTO subject_keys (pseudonym, wrapped_key, master) VALUES ('s-abc', 'x', 3)")
    yield stores


def broken(link: Link) -> dict[str, tuple[str, ...]]:
    return {mismatch.words.partition(":")[0]: tuple(mismatch.named) for mismatch in link.breaks}


def test_stores_of_one_age_add_up(stores: Stores) -> None:
    ages, keys = stores.ages(), stores.keys()
    assert (ages.breaks, ages.notes, ages.counted) == ([], [], (1, 1))
    assert (keys.breaks, keys.notes, keys.counted) == ([], [], (1, 1))


def test_a_lake_of_before(stores: Stores) -> None:
    log = Path(stores.where.lake_url) / NAME / "cases" / "_delta_log"
    (log / f"{2:020}.json").unlink()
    table = f"{NAME}/cases"
    assert broken(stores.ages()) == {
        "tables of the lake that are older than decisions which rest on them": (
            f"{table} (version 1, decisions rest on 2)",
        )
    }
    shutil.rmtree(log)
    (named,) = broken(stores.ages()).values()
    assert named == (f"{table} (version None, decisions rest on 2)",)


def test_a_registry_of_before_and_of_after(stores: Stores) -> None:
    stores.run(stores.where.mlflow_url, "DELETE FROM model_versions WHERE version = 2")
    assert broken(stores.ages()) == {
        "champions that the registry does not have, so that every case goes to people": ("2",),
        "model versions of the ledger that the registry does not have": ("2",),
    }
    stores.run(stores.where.mlflow_url, f"INSERT INTO model_versions VALUES ('{NAME}', 2), ('{NAME}', 3)")
    later = stores.ages()
    assert (later.breaks, later.notes) == ([], ["the registry has 1 versions that are newer than the ledger's"])


def test_a_registry_that_was_never_made(stores: Stores) -> None:
    stores.run(stores.where.mlflow_url, "DROP TABLE model_versions")
    assert len(broken(stores.ages())) == 2


def test_a_dagster_of_after_and_of_before(stores: Stores) -> None:
    key = json.dumps([NAME, "decisions"])
    stores.run(
        stores.where.dagster_url, f"INSERT INTO event_logs VALUES ('ASSET_MATERIALIZATION', '{key}', '2025-03-03')"
    )
    assert broken(stores.ages()) == {"nights that Dagster calls decided and the ledger does not": ("2025-03-03",)}
    assert stores.ages(Span(*NIGHTS)).breaks == []
    stores.run(stores.where.dagster_url, f"DELETE FROM event_logs WHERE partition <> '{NIGHTS[0]}'")
    before = stores.ages()
    assert before.breaks == [] and before.notes[0].startswith("1 decided nights that Dagster does not know of")


def test_keys_that_are_missing(stores: Stores) -> None:
    assert isinstance(stores.where.keys, Path)
    for path in stores.where.keys.iterdir():
        path.unlink()
    assert broken(stores.keys()) == {
        "master keys that are missing, so that values sealed under them cannot be read": (
            "subject-master-3.key (1 subjects)",
        ),
        "keys that are missing, so that subjects are given other names": ("subject-names.key",),
        "keys of signatures that are missing or others": (
            "audit_ed25519.pem: neither checkpoints nor models can be verified by it",
        ),
    }
    signing_key(stores.where.keys)
    (named,) = [names for words, names in broken(stores.keys()).items() if words.startswith("keys of signatures")]
    assert "is not the key that signed the checkpoints" in named[0]
