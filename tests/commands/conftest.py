"""Commands called as from a shell, in this process, in a home whose lake and ledger were written by hand."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest

from benchmarks.passed import passed
from pipeline_project import cli
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.schema import QUARANTINE, cases_schema
from pipeline_project.domain.deciding.decisions import DECISIONS
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.load import load_spec
from resources.lake.lake import DeltaLake
from resources.ledger.audit.checkpoint_file import FILE
from resources.ledger.migrate import upgrade
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.schema import metadata
from resources.postgres.databases import databases, engine_of
from tests.keys import shared_keys

NAME = "told_claims"
FIRST, WARM, NIGHT, NEXT, LANDED = "2025-02-27", "2025-02-28", "2025-03-01", "2025-03-02", "2025-03-03"
PERSON, REFUNDED = "C-1", "C-2"
#: What only the refused row holds: nothing that is printed may repeat it.
CUSTOMER, WRONG_PRICE = "anna.schmidt@example.com", "a lot"
#: What a spreadsheet would compute.
FORMULA = '=HYPERLINK("http://x.example")'

_SPEC: dict[str, Any] = {
    "workflow": NAME,
    "title": "Claims that are told of",
    "owners": ["team:claims"],
    "currency": "EUR",
    "nights": {"time_zone": "Europe/Berlin", "first": FIRST, "decide_from": NIGHT, "schedule": "30 2 * * *"},
    "source": {"kind": "files", "folder": "in", "pattern": "{night}/*.csv", "delimiter": ";"},
    "fields": {
        "claim_id": {"type": "identifier", "role": "id"},
        "customer": {"type": "identifier", "role": "subject", "pii": True},
        "price": {"type": "number", "role": "amount", "minimum": 0},
    },
    "labels": ["kept", "worn"],
    "outcome": {
        "kind": "files", "folder": "in", "pattern": "outcomes/{night}.csv", "case_column": "claim_id",
        "label_column": "finding", "known_at_column": "seen_at",
    },
    "options": {
        "refund": {"title": "Refund", "costs": {"kept": 0, "worn": "price"}},
        "reject": {"title": "Reject", "denies": True, "costs": {"kept": "price", "worn": 0}},
    },
    "review": {"cost": 4, "capacity": 2},
}  # fmt: skip


@dataclass
class Home:
    """PIPELINE_HOME and the variables that point there."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environ = {"PIPELINE_HOME": str(self.folder), **self.environ}

    @property
    def settings(self) -> Settings:
        return Settings.from_environ(self.environ)


@dataclass(frozen=True)
class Said:
    """What one call of `pipeline` came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document; NaN and whatever else is no JSON is refused."""

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


Call = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls `pipeline WORDS` with the variables given; the process's environment is as before afterwards."""

    def called(*words: object, **variables: str) -> Said:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
        argv = ["pipeline", *(str(word) for word in words)]
        capsys.readouterr()
        with (
            mock.patch.dict(os.environ, {**kept, "COLUMNS": "80", **variables}, clear=True),
            mock.patch.object(sys, "argv", argv),
            pytest.raises(SystemExit) as end,
        ):
            cli.main()
        told = capsys.readouterr()
        return Said(int(end.value.code or 0), told.out, told.err)

    return called


@pytest.fixture(scope="session")
def home(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Two decided nights of a small workflow: one case each way, one refused row, an alert, a night that waits."""
    folder = tmp_path_factory.mktemp("told")
    own = folder / "own"
    for night in (WARM, NIGHT, NEXT, LANDED):
        (own / "in" / night).mkdir(parents=True)
        (own / "in" / night / "a.csv").write_text("claim_id;customer;price\n", encoding="utf-8")
    (own / f"{NAME}.yaml").write_text(json.dumps(_SPEC, indent=1), encoding="utf-8")
    places = {"PIPELINE_WORKFLOWS": str(own), "PIPELINE_KEYS": str(shared_keys(tmp_path_factory.getbasetemp()))}
    places["PIPELINE_CHECKPOINTS"] = f"{places['PIPELINE_KEYS']}-checkpoints"
    made = Home(folder, {"PIPELINE_POSTGRES_URL": postgres_server, **places})
    spec = load_spec(own / f"{NAME}.yaml")
    _fill_lake(DeltaLake(made.settings.lake_url), spec)
    url = databases(made.settings).ledger_url
    upgrade(url)
    _fill_ledger(PostgresLedger(url), spec)
    yield made


@pytest.fixture
def untouched(home: Home) -> Iterator[None]:
    """Afterwards the ledger, its chain and its checkpoints are as before: who verifies next must miss nothing."""
    tables = [table.name for table in metadata.sorted_tables]
    engine = engine_of(databases(home.settings).ledger_url)
    checkpoints = Path(home.settings.checkpoints) / FILE
    signed = checkpoints.read_bytes() if checkpoints.exists() else None
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA before")
        for table in tables:
            connection.exec_driver_sql(f"CREATE TABLE before.{table} AS TABLE {table}")
    yield
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in tables:
            connection.exec_driver_sql(f"DELETE FROM {table}")
            connection.exec_driver_sql(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE before.{table}")
        connection.exec_driver_sql("DROP SCHEMA before CASCADE")
    checkpoints.unlink(missing_ok=True) if signed is None else checkpoints.write_bytes(signed)


def _decided(case: str, option: str, reason: str) -> dict[str, Any]:
    scored = {"probabilities": [0.7, 0.3], "expected_costs": [6.0, 14.0], "amount": 20.0, "propensity": 0.01}
    return {"case_id": case, "option": option, "reason": reason, "reasons": ["price is high (+0.2)"], **scored}


_DECIDED = {NIGHT: [_decided(PERSON, "ask_person", "doubt")], NEXT: [_decided(REFUNDED, "refund", "cheapest")]}


def _fill_lake(lake: DeltaLake, spec: WorkflowSpec) -> None:
    cases = cases_schema(spec.case_schema)
    lake.write_night(NAME, "cases", WARM, pa.Table.from_pylist([], cases))
    for night, decided in _DECIDED.items():
        admitted = [
            {"night": night, "case_id": d["case_id"], "row_sha256": "0" * 64, "customer": "b", "price": 20.0}
            for d in decided
        ]
        lake.write_night(NAME, "cases", night, pa.Table.from_pylist(admitted, cases))
        rows = [{"night": night, "would_be": d["option"], **d} for d in decided]
        lake.write_night(NAME, "decisions", night, pa.Table.from_pylist(rows, DECISIONS))
    raw = {"claim_id": "C-9", "customer": CUSTOMER, "price": WRONG_PRICE, "noted": "é; twice", "wish": FORMULA}
    why = [f"price: '{WRONG_PRICE}' is not a number", f"customer: {CUSTOMER} broke the rule `is one of 2 or 3`"]
    place = {"night": NIGHT, "case_id": "C-9", "file": f"{NIGHT}/a.csv", "line": 3, "row_sha256": "1" * 64}
    refused = {**place, "reasons": why, "raw": json.dumps(raw)}
    lake.write_night(NAME, "quarantine", NIGHT, pa.Table.from_pylist([refused], QUARANTINE))


def _fill_ledger(ledger: PostgresLedger, spec: WorkflowSpec) -> None:
    ledger.record_workflow(NAME, spec.spec_hash, spec.model_dump(mode="json"))
    ledger.record_champion(NAME, ModelVersion(NAME, "3", NIGHT, "2" * 64, "run", {}), NIGHT, "first")
    for night, decided in _DECIDED.items():
        more: dict[str, Any] = {
            "spec_hash": spec.spec_hash,
            "data_versions": {f"{NAME}/cases": 4},
            "model_version": "3",
        }
        attempt = ledger.begin_attempt(NAME, night, "6ccbf624-33c6-4454-ac6c-ba336cba9456")
        ledger.record_decisions(
            NAME, night, attempt, [NewDecision(**d, **more) for d in decided], basis=passed(ledger, NAME, night)
        )
    for night in (LANDED, "2025-03-04", "2025-03-05"):
        message = f"{NAME}_nightly failed on {night} at cases; run 6ccbf624-33c6-4454-ac6c-ba336cba9456"
        command = f"pipeline nights {NAME} --from {night} --to {night}"
        ledger.raise_alert(NAME, "run_failed", f"nightly/{night}", message, "team:claims", command)
