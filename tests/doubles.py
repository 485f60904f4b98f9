"""Plain objects in the places of lake, ledger, registry, sources and contracts, and a small workflow for them."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import dagster as dg
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.alerts import OpenAlert
from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.model_version import ModelVersion, TrainingRecord
from pipeline_project.domain.core.nights import NightWindow, shifted, window_of
from pipeline_project.domain.core.schema import ARRIVALS
from pipeline_project.domain.core.stored_tables import NotedTable, StoredTable
from pipeline_project.domain.deciding.clearance import CODE, NIGHT_IS_SOUND, NOTHING_VANISHED, SPEC, Basis, CheckVerdict
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.planned_actions import ActionTerms, PlannedAction
from pipeline_project.domain.intake.admission import admit, read_rows
from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.domain.intake.landing import Overlooked
from pipeline_project.domain.intake.lookups.versions import ReadTable
from pipeline_project.domain.intake.outcomes import OUTCOMES, ArrivedOutcomes, OutcomeProblem
from pipeline_project.domain.intake.readings import ArrivedRows, FileReading
from pipeline_project.domain.intake.typed_rows import TypedRows
from pipeline_project.domain.lifecycle.drift.recorded import RecordedSignal, TrainingRequest
from pipeline_project.domain.lifecycle.drift.signals import PastNight, Signal
from pipeline_project.domain.lifecycle.proposing import ModelProposal
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.domain.lifecycle.rollout.checking import BreachResponse, RolloutCheck
from pipeline_project.domain.lifecycle.rollout.stages import NightModels, Watched
from pipeline_project.domain.review.new_tasks import NewTask, ReviewTerms
from pipeline_project.domain.review.night_work import NightWork
from pipeline_project.ports.compute import Workers
from pipeline_project.ports.metering import StepProcessor
from pipeline_project.reconcile.scope import Link
from pipeline_project.services.in_turn import InTurn
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.contract import rules
from pipeline_project.spec.output_contract import output_rules
from pipeline_project.workflow import build_workflow
from tests.present import present

FIRST, WARM, NIGHT, NEXT = "2025-02-20", "2025-02-28", "2025-03-01", "2025-03-02"

FIELDS: dict[str, Any] = {
    "claim_id": {"type": "identifier", "role": "id"},
    "customer": {"type": "identifier", "role": "subject"},
    "price": {"type": "number", "role": "amount", "minimum": 0},
}
_CLAIMS: dict[str, Any] = {
    "workflow": "claims",
    "title": "Claims",
    "owners": ["team:claims", "team:others"],
    "nights": {"time_zone": "Europe/Berlin", "first": FIRST, "decide_from": NIGHT, "schedule": "30 2 * * *"},
    "source": {"kind": "files", "folder": "in", "pattern": "{night}/*.csv"},
    "fields": FIELDS,
    "labels": ["kept", "worn"],
    "outcome": {
        "kind": "files",
        "folder": "in",
        "pattern": "outcomes/{night}.csv",
        "case_column": "claim_id",
        "label_column": "finding",
        "known_at_column": "seen_at",
    },
    "model": {"estimator": "boosting", "retrain": {"every": "month", "after_outcomes": 50, "minimum_outcomes": 30}},
    "options": {
        "refund": {"title": "Refund", "costs": {"kept": 0, "worn": "price"}},
        "reject": {"title": "Reject", "denies": True, "costs": {"kept": "price", "worn": 0}},
    },
    "review": {"cost": 4, "capacity": 2},
    "twins": {"real": "the rows of these tests have few fields"},
}


def claims(**changes: Any) -> WorkflowSpec:
    """The small workflow with some of its parts changed."""
    return WorkflowSpec.model_validate(copy.deepcopy(_CLAIMS) | changes)


class MemoryLake:
    """`ports.Lake`; every write is a new version of its table."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], dict[str, pa.Table]] = {}
        self.versions: dict[str, int] = {}
        self.log: dict[tuple[str, str], list[tuple[int, str, pa.Table]]] = {}
        self.times: dict[tuple[str, str, int], datetime] = {}
        self.notes: dict[tuple[str, str, str], dict[str, str]] = {}

    def read_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> pa.Table | None:
        stored = self.stored_night(workflow, asset, night, version)
        return None if stored is None else stored.rows

    def stored_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> StoredTable | None:
        name = f"{workflow}/{asset}"
        if version is not None:
            written = [t for v, n, t in self.log.get((workflow, asset), []) if n == night and v <= version]
            return StoredTable(written[-1], name, version) if written else None
        table = self.tables.get((workflow, asset), {}).get(night)
        if table is None:
            return None
        return StoredTable(table, name, self.versions[name], self.content(workflow, asset, night))

    def content(self, workflow: str, asset: str, night: str) -> str | None:
        written = [version for version, of, _ in self.log.get((workflow, asset), []) if of == night]
        return f"written {written[-1]}" if written else None

    def note(self, workflow: str, asset: str, content: str) -> Mapping[str, str]:
        return self.notes.get((workflow, asset, content), {})

    def nights(self, workflow: str, asset: str) -> set[str]:
        return set(self.tables.get((workflow, asset), {}))

    def night_commits(self, workflow: str, asset: str) -> dict[str, list[tuple[int, datetime]]]:
        found: dict[str, list[tuple[int, datetime]]] = {}
        for version, night, _ in self.log.get((workflow, asset), []):
            found.setdefault(night, []).append((version, self.times[(workflow, asset, version)]))
        return found

    def read_span(
        self, workflow: str, asset: str, first: str | None, before: str, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        held = self.tables.get((workflow, asset))
        if held is None:
            return None
        chosen = [held[night] for night in sorted(held) if (first or "") <= night < before]
        table = pa.concat_tables(chosen) if chosen else next(iter(held.values())).schema.empty_table()
        return table.select(list(columns)) if columns else table

    def write_night(
        self,
        workflow: str,
        asset: str,
        night: str,
        table: pa.Table,
        evolve: bool = False,
        note: Mapping[str, str] | None = None,
    ) -> int:
        held = self.tables.setdefault((workflow, asset), {})
        for other in held.values():
            assert other.schema.equals(table.schema), f"{asset} would change its columns"
        held[night] = table
        self.versions[f"{workflow}/{asset}"] = version = self.versions.get(f"{workflow}/{asset}", -1) + 1
        self.log.setdefault((workflow, asset), []).append((version, night, held[night]))
        self.notes[(workflow, asset, f"written {version}")] = dict(note or {})
        self.times[(workflow, asset, version)] = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self.times))
        return version

    def write_output(self, workflow: str, asset: str, night: str, table: pa.Table, spec_hash: str | None) -> int:
        return self.write_night(workflow, asset, night, table)

    def keyed(self, workflow: str, hashes: Sequence[str]) -> list[str]:
        return [*hashes]


class MemoryIO(dg.IOManager):
    """An asset's table becomes a night of the lake."""

    def __init__(self, lake: MemoryLake) -> None:
        self.lake = lake

    def handle_output(self, context: dg.OutputContext, obj: pa.Table | NotedTable) -> None:
        table, note = (obj.rows, obj.note) if isinstance(obj, NotedTable) else (obj, None)
        workflow, asset = context.asset_key.path
        self.lake.write_night(workflow, asset, context.partition_key, table, note=note)

    def load_input(self, context: dg.InputContext) -> StoredTable:
        workflow, asset = context.asset_key.path
        table = self.lake.stored_night(workflow, asset, context.partition_key)
        assert table is not None, f"{context.asset_key.to_user_string()} was never written"
        return table


@dataclass
class MemoryLedger:
    """`ports.Ledger`, one workflow's worth."""

    known: list[tuple[str, str, datetime]] = field(default_factory=list)
    trained: list[ModelVersion] = field(default_factory=list)
    champions: list[tuple[str, ModelVersion, str]] = field(default_factory=list)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    workflows: list[str] = field(default_factory=list)
    specs: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    readers: dict[str, set[str]] = field(default_factory=dict)
    tasks: list[NewTask] = field(default_factory=list)
    actions: list[PlannedAction] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    verdicts_given: dict[str, list[CheckVerdict]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def code(self) -> str:
        return "1"

    def now(self) -> datetime:
        return datetime.now(UTC)

    def record_verdict(self, workflow: str, night: str, verdict: CheckVerdict, run_id: str) -> None:
        self.verdicts_given.setdefault(night, []).append(replace(verdict, judged={**verdict.judged, CODE: self.code}))

    def verdicts(self, workflow: str, night: str) -> list[CheckVerdict]:
        return self.verdicts_given.get(night, [])

    def release(self, workflow: str, night: str, run_id: str, *, basis: Basis) -> int:
        self.released.append(night)
        return len([action for action in self.actions if action.night == night])

    def record_workflow(self, workflow: str, spec_hash: str, spec: Mapping[str, Any]) -> None:
        self.workflows.append(spec_hash)
        self.specs.setdefault(workflow, {}).setdefault(spec_hash, dict(spec))

    def workflow_specs(self, workflow: str) -> dict[str, dict[str, Any]]:
        return dict(self.specs.get(workflow, {}))

    def record_readers(self, workflow: str, places: Sequence[str]) -> None:
        self.readers.setdefault(workflow, set()).update(places)

    def source_readers(self) -> dict[str, list[str]]:
        return {name: sorted(places) for name, places in self.readers.items() if name in self.specs}

    def night_specs(self, workflow: str, night: str) -> set[str]:
        return {str(row["spec_hash"]) for row in self.decisions.values() if row["night"] == night}

    def decided_cases(self, workflow: str, cases: Sequence[str]) -> set[str]:
        return {case for case in cases if self.decisions.get(case, {}).get("workflow", workflow) == workflow}

    def record_outcomes(self, workflow: str, outcomes: pa.Table) -> int:
        rows = [(r["case_id"], r["label"], r["known_at"]) for r in outcomes.to_pylist()]
        new = [row for row in rows if row not in self.known]
        self.known += new
        return len(new)

    def outcomes_known(self, workflow: str, as_of: datetime) -> pd.DataFrame:
        rows = sorted((row for row in self.known if row[2] < as_of), key=lambda row: row[2])
        frame = pd.DataFrame(rows, columns=["case_id", "label", "known_at"])
        frame = frame.astype({"case_id": "str", "label": "str", "known_at": "datetime64[us, UTC]"})
        return frame.drop_duplicates("case_id", keep="last").reset_index(drop=True)

    def outcome_history(self, workflow: str, before: datetime) -> pd.DataFrame:
        rows = sorted((row for row in self.known if row[2] < before), key=lambda row: row[2])
        frame = pd.DataFrame(rows, columns=["case_id", "label", "known_at"])
        return frame.astype({"case_id": "str", "label": "str", "known_at": "datetime64[us, UTC]"})

    def contradictions(self, workflow: str) -> pd.DataFrame:
        latest = {case: max(at for c, _, at in self.known if c == case) for case, _, _ in self.known}
        labels = {
            case: sorted({label for c, label, at in self.known if (c, at) == (case, latest[case])}) for case in latest
        }
        rows = [(case, latest[case], found, ["files"]) for case, found in sorted(labels.items()) if len(found) > 1]
        return pd.DataFrame(rows, columns=["case_id", "known_at", "labels", "sources"])

    def decided(self, workflow: str, first: str, last: str) -> pd.DataFrame:
        names = [
            "night",
            "case_id",
            "option",
            "reason",
            "probabilities",
            "propensity",
            "model_version",
            "data_versions",
        ]
        rows = [row for row in self.decisions.values() if first <= row["night"] <= last]
        rows.sort(key=lambda row: (row["night"], row["case_id"]))
        return pd.DataFrame([[row.get(name) for name in names] for row in rows], columns=names)

    def decided_further(self, workflow: str, first: str, before: str) -> dict[str, str]:
        return dict(self.answers)

    def labels_of_models(self, workflow: str, versions: Iterable[str]) -> dict[str, tuple[str, ...]]:
        return {version: self.labels[version] for version in set(versions) if version in self.labels}

    def outcomes_since(self, workflow: str, after: datetime | None, before: datetime) -> int:
        return len({case for case, _, at in self.known if (after is None or at >= after) and at < before})

    def training_asked(self, workflow: str, since: str | None, before: str) -> str | None:
        asked = [(night, why) for night, why in self.asked if (since or "") <= night < before]
        return max(asked)[1] if asked else None

    def record_champion(self, workflow: str, model: ModelVersion, night: str, reason: str) -> None:
        self.champions.append((night, model, reason))
        self.record_model(model)

    def record_model(self, model: ModelVersion) -> None:
        self.trained.append(model)

    def models(self, workflow: str) -> list[ModelVersion]:
        return sorted(self.trained, key=lambda model: model.night)

    def champion(self, workflow: str, night: str) -> ModelVersion | None:
        found = [entry for entry in self.champions if entry[0] <= night]
        return max(found, key=lambda entry: entry[0])[1] if found else None

    def raise_alert(self, workflow: str, kind: str, key: str, message: str, owner: str, next_command: str) -> bool:
        new = key not in self.alerts
        alert = {"workflow": workflow, "kind": kind, "message": message, "owner": owner, "next_command": next_command}
        self.alerts.setdefault(key, alert)
        return new

    def close_alert(self, workflow: str, *keys: str) -> bool:
        self.closed.extend(keys)
        still_open = [key for key in keys if self.alerts.pop(key, None) is not None]
        return bool(still_open)

    def open_alerts(self) -> list[OpenAlert]:
        now = datetime.now(UTC)
        return [OpenAlert(id=0, key=key, raised_at=now, **alert) for key, alert in self.alerts.items()]

    def begin_attempt(self, workflow: str, night: str, run_id: str, ends: datetime | None = None) -> int:
        self.attempts[night] = self.attempts.get(night, 0) + 1
        return self.attempts[night]

    def record_decisions(
        self,
        workflow: str,
        night: str,
        attempt: int,
        decisions: Sequence[NewDecision],
        work: NightWork | None = None,
        *,
        basis: Basis,
    ) -> pd.DataFrame:
        if work is not None:
            made = [decision.case_id for decision in decisions if decision.case_id not in self.decisions]
            self.tasks += work.tasks_of(made)
            self.actions += work.actions_of(made)
        rows = []
        for decision in decisions:
            new = decision.case_id not in self.decisions
            stands = self.decisions.setdefault(decision.case_id, {**vars(decision), "night": night})
            rows.append((decision.case_id, stands["option"], "policy", stands["reason"], night, new))
        return pd.DataFrame(rows, columns=["case_id", "option", "made_by", "reason", "night", "new"])


@dataclass
class MemoryRegistry:
    """`ports.Registry`: files by version, or the error that loading gives."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    error: Exception | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    versions: list[ModelVersion] = field(default_factory=list)
    logged: list[dict[str, Any]] = field(default_factory=list)

    def log_training(self, training: TrainingRecord) -> ModelVersion:
        version = str(len(self.files) + 1)
        self.files[version] = dict(training.files)
        night, parameters = training.night, dict(training.parameters)
        told = {"night": night, "parameters": parameters, "rows": len(training.dataset), "card": training.card}
        self.logged.append({**told, "version": version})
        known = training.knows_until, training.trained_by
        made = ModelVersion(
            training.workflow, version, night, "d" * 64, f"run-{version}", dict(training.metrics), *known
        )
        self.versions.append(made)
        return self.versions[-1]

    def trained(self, workflow: str, night: str) -> list[ModelVersion]:
        return [model for model in reversed(self.versions) if model.night == night]

    def version(self, workflow: str, version: str) -> ModelVersion | None:
        return next((model for model in self.versions if model.version == version), None)

    def pointed(self, workflow: str, alias: str) -> str | None:
        return self.aliases.get(alias)

    def card(self, model: ModelVersion) -> str:
        return next(str(each["card"]) for each in self.logged if each["version"] == model.version)

    def load(self, model: ModelVersion) -> dict[str, bytes]:
        if self.error:
            raise self.error
        return self.files[model.version]

    def point(self, workflow: str, alias: str, version: str) -> None:
        self.aliases[alias] = version


def arrival(night: str, number: int, price: str = "10", case: str | None = None) -> dict[str, Any]:
    """One row of arrivals; a price that is no number is refused."""
    row = {"claim_id": case or f"C{night[-5:]}-{number}", "customer": f"K{number % 7}", "price": price}
    raw = json.dumps(row)
    sha = hashlib.sha256(raw.encode()).hexdigest()
    return {"night": night, "file": "a.csv", "file_sha256": "f", "line": number + 2, "row_sha256": sha, "raw": raw}


@dataclass
class Tables:
    """`pipeline_project.ports.sources.LookupSource`."""

    tables: dict[str, ReadTable]

    def read(self, window: NightWindow, first: bool = False) -> dict[str, ReadTable]:
        return self.tables


@dataclass
class Sources:
    """`pipeline_project.ports.sources.Sources` and the source of cases and of outcomes in one."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    outcomes_of: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unusable: tuple[OutcomeProblem, ...] = ()
    prints: dict[str, str] = field(default_factory=dict)
    unread: list[Overlooked] = field(default_factory=list)
    readings: dict[str, list[FileReading]] = field(default_factory=dict)
    photo_prints: dict[str, str] = field(default_factory=dict)
    photos_looked_at: list[str] = field(default_factory=list)
    tables: dict[str, ReadTable] = field(default_factory=dict)

    def lookups(self, spec: WorkflowSpec) -> Tables:
        return Tables(self.tables)

    def cases(self, spec: WorkflowSpec) -> Sources:
        return self

    def photos(self, spec: WorkflowSpec) -> Sources:
        return self

    def photo_stamp(self, spec: WorkflowSpec, night: str) -> str | None:
        self.photos_looked_at.append(night)
        return self.photo_prints.get(night)

    def overlooked(self, spec: WorkflowSpec, night: str | None = None) -> list[Overlooked]:
        return [each for each in self.unread if night is None or each.night == night]

    def outcomes(self, spec: WorkflowSpec) -> Outcomes:
        return Outcomes(self.outcomes_of, self.unusable)

    def read(self, window: NightWindow) -> ArrivedRows:
        table = pa.Table.from_pylist(self.rows.get(window.night, []), schema=ARRIVALS)
        return ArrivedRows(table, tuple(self.readings.get(window.night, [])))

    def fingerprint(self, window: NightWindow) -> str:
        return self.fingerprint_of(window.night)

    def fingerprint_of(self, night: str) -> str:
        told = self.prints.get(night) or json.dumps(self.rows.get(night, []))
        return hashlib.sha256(told.encode()).hexdigest()

    def nights_landed(self) -> list[str]:
        return sorted({*self.rows, *self.prints})

    def places(self) -> tuple[str, ...]:
        return ("in/{night}/*.csv",)


@dataclass
class Outcomes:
    of: dict[str, list[dict[str, Any]]]
    unusable: tuple[OutcomeProblem, ...]

    def read(self, window: NightWindow) -> ArrivedOutcomes:
        return ArrivedOutcomes(pa.Table.from_pylist(self.of.get(window.night, []), schema=OUTCOMES), self.unusable)


@dataclass
class Verdicts:
    """`ports.contracts`: everything holds, except the rules named in `broken`, by noun, and those that raise."""

    broken: dict[str, tuple[int, ...]] = field(default_factory=dict)
    raised: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def cases(self, spec: WorkflowSpec) -> Told:
        return Told(self, [rule.name for rule in rules(spec)])

    def scores(self, spec: WorkflowSpec) -> Told:
        return Told(self, list(output_rules(spec, "scores")))

    def decisions(self, spec: WorkflowSpec, cases: Sequence[str]) -> Told:
        self.asked = list(cases)
        return Told(self, list(output_rules(spec, "decisions")))

    def embeddings(self, spec: WorkflowSpec) -> Told:
        return Told(self, list(output_rules(spec, "embeddings")))


@dataclass
class Told:
    verdicts: Verdicts
    names: list[str]

    def validate(self, rows: pd.DataFrame | TypedRows) -> list[Expectation]:
        broken, raised = self.verdicts.broken, self.verdicts.raised
        frame = rows.frame if isinstance(rows, TypedRows) else rows
        return [
            Expectation(name, None, f"rule {name}", False, 0, systemic=True, detail="it raised")
            if name in raised
            else Expectation(name, None, f"rule {name}", name not in broken, len(frame), broken.get(name, ()))
            for name in self.names
        ]


@dataclass
class Pages:
    """`pipeline_project.ports.reports.Reports`"""

    written: dict[str, str] = field(default_factory=dict)

    def write(self, terms: Any, night: str, page: str, row: Any) -> str:
        self.written[night] = page
        return f"http://pages/{terms.workflow}/{night}.html"


@dataclass
class Reviews:
    """`pipeline_project.ports.review.Reviews`: remembers the nights whose newcomers it was asked about."""

    nights: list[str] = field(default_factory=list)

    def newcomers(self, night: str, terms: ReviewTerms, actions: ActionTerms) -> int:
        self.nights.append(night)
        return 0


@dataclass
class MemoryQuality:
    """`pipeline_project.ports.lifecycle.Quality`, one workflow's worth."""

    nights: dict[str, PastNight] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)

    def put_sketch(self, workflow: str, night: PastNight) -> None:
        self.nights[night.night] = night

    def sketches(self, workflow: str, first: str, before: str) -> list[PastNight]:
        return [self.nights[night] for night in sorted(self.nights) if first <= night < before]

    def sketches_of(self, workflow: str, version: str, before: str, limit: int) -> list[PastNight]:
        return [each for each in self.sketches(workflow, "", before) if each.model_version == version][:limit]

    def record_signals(self, workflow: str, night: str, run_id: str, signals: Sequence[Signal]) -> int:
        self.told += [{"night": night, "run_id": run_id, "signal": each.name, **vars(each)} for each in signals]
        return len(signals)

    def night_signals(self, workflow: str, night: str) -> list[RecordedSignal]:
        rows = [row for row in self.told if row["night"] == night]
        last = [row for row in rows if row["run_id"] == rows[-1]["run_id"]]
        known, now = RecordedSignal.__dataclass_fields__.keys(), datetime.now(UTC)
        return [
            RecordedSignal(id=0, workflow=workflow, recorded_at=now, **{name: row[name] for name in row.keys() & known})
            for row in last
        ]

    def breached(self, workflow: str, night: str) -> list[str]:
        return [signal.signal for signal in self.night_signals(workflow, night) if signal.breached]

    def history(self, workflow: str) -> dict[str, list[str]]:
        return {night: self.breached(workflow, night) for night in sorted({row["night"] for row in self.told})}

    def ask_training(self, workflow: str, night: str, why: str, cooldown_nights: int, run_id: str) -> bool:
        new = night not in self.asked
        self.asked.setdefault(night, why)
        return new

    def requests(self, workflow: str) -> list[TrainingRequest]:
        now = datetime.now(UTC)
        return [TrainingRequest(0, workflow, night, why, 0, "run", now) for night, why in sorted(self.asked.items())]


@dataclass
class Proposals:
    """`pipeline_project.ports.lifecycle.Promotions`: remembers what was proposed."""

    made: list[tuple[ModelProposal, ModelVersion]] = field(default_factory=list)

    def propose(self, proposals: Sequence[tuple[ModelProposal, ModelVersion]]) -> list[int]:
        self.made += proposals
        return list(range(1, len(proposals) + 1))


@dataclass
class MemoryLive:
    """`RolloutMonitoring`: the champion of the ledger, and whatever a test says of tonight."""

    ledger: MemoryLedger
    models: NightModels | None = None
    watching: tuple[Watched, ...] = ()
    checks: list[RolloutCheck] = field(default_factory=list)
    withdrawn: list[tuple[str, str, str]] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    breaches: list[tuple[str, str]] = field(default_factory=list)
    closed: list[tuple[str, str, str]] = field(default_factory=list)

    def complete_rollout(self, workflow: str, night: str) -> None:
        self.completed.append(night)

    def night_models(self, workflow: str, night: str) -> NightModels:
        return self.models or NightModels(self.ledger.champion(workflow, night))

    def watched(self, workflow: str, night: str) -> tuple[Watched, ...]:
        return self.watching

    def record_checks(self, workflow: str, night: str, checks: Sequence[RolloutCheck]) -> None:
        self.checks += checks

    def withdraw(self, workflow: str, version: str, at_night: str, reason: str) -> bool:
        new = version not in [each for each, _, _ in self.withdrawn]
        self.withdrawn += [(version, at_night, reason)] * new
        return new

    def breach_answered(self, workflow: str, watched: Watched) -> bool:
        return watched.version in [version for version, _ in self.breaches]

    def answer_breach(
        self, workflow: str, watched: Watched, night: str, terms: RolloutTerms, reason: str
    ) -> BreachResponse | None:
        if self.breach_answered(workflow, watched):
            return None
        self.breaches.append((watched.version, reason))
        return BreachResponse("review_all", shifted(night, 1), None, 0)

    def close(self, workflow: str, night: str, reason: str, by: str) -> None:
        self.closed.append((night, reason, by))


@dataclass
class Replays:
    """`pipeline_project.ports.lifecycle.Replays`"""

    kept: list[dict[str, Any]] = field(default_factory=list)
    desk: str = "http://desk"

    def keep(
        self, result: ReplayResult, candidate: str, spec_hash: str, started_by: str, page: Callable[[int], str]
    ) -> tuple[int, str]:
        number = len(self.kept) + 1
        row = {"result": result, "candidate": candidate, "started_by": started_by, "page": page(number)}
        self.kept.append(row)
        return number, f"/pages/{number}.html"

    def address_of(self, workflow: str, number: int) -> str:
        return f"http://pages/replays/{workflow}/{number}.html"


@dataclass
class Counts:
    """`ports.NightChecker` with a verdict to order, or an error."""

    links: list[Link] = field(default_factory=list)
    error: Exception | None = None

    def night(self, spec: WorkflowSpec, night: str) -> list[Link]:
        if self.error is not None:
            raise self.error
        return self.links


@lru_cache(maxsize=1)
def _instance() -> dg.DagsterInstance:
    """Dagster's own memory, for runs of which only the result is looked at: to make one takes longer than a step."""
    return dg.DagsterInstance.ephemeral()


@dataclass
class Measured:
    """`ports.metering.Meter` that says of every run the same."""

    device: str = "cpu"
    taken: dict[str, StepProcessor] = field(default_factory=dict)

    def steps(self, run_id: str) -> Mapping[str, StepProcessor]:
        return self.taken


@dataclass
class Here:
    """`ports.compute.Compute`: everything in this process, or whichever workers a test gives."""

    given: Workers = field(default_factory=InTurn)
    elsewhere: bool = False

    def on_cluster(self, spec: WorkflowSpec) -> bool:
        return self.elsewhere

    def workers(self, spec: WorkflowSpec) -> Workers:
        return self.given


@dataclass
class World:
    """Everything around a workflow, in memory; `run` materializes a selection of its assets for one night."""

    spec: WorkflowSpec = field(default_factory=claims)
    lake: MemoryLake = field(default_factory=MemoryLake)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    sources: Sources = field(default_factory=Sources)
    contracts: Verdicts = field(default_factory=Verdicts)
    reports: Pages = field(default_factory=Pages)
    meter: Measured = field(default_factory=Measured)
    reviews: Reviews = field(default_factory=Reviews)
    replays: Replays = field(default_factory=Replays)
    promotions: Proposals = field(default_factory=Proposals)
    quality: MemoryQuality = field(default_factory=MemoryQuality)
    checker: Counts = field(default_factory=Counts)
    compute: Here = field(default_factory=Here)
    live: MemoryLive = field(init=False)

    def __post_init__(self) -> None:
        self.live = MemoryLive(self.ledger)

    def resources(self) -> dict[str, Any]:
        return {
            "lake": self.lake,
            "ledger": self.ledger,
            "registry": self.registry,
            "sources": self.sources,
            "contracts": self.contracts,
            "reports": self.reports,
            "meter": self.meter,
            "checker": self.checker,
            "keyring": OpenKeyring(),
            "reviews": self.reviews,
            "replays": self.replays,
            "promotions": self.promotions,
            "quality": self.quality,
            "live": self.live,
            "encoders": None,
            "compute": self.compute,
            "vectors": None,
            "io_manager": MemoryIO(self.lake),
        }

    def run(
        self, night: str, *asset_names: str, instance: dg.DagsterInstance | None = None
    ) -> dg.ExecuteInProcessResult:
        with patch("assets.common.RETRIES", None):  # a step that fails would wait before it tries again
            workflow = build_workflow(self.spec)
        assets = [asset for asset in workflow.assets or () if isinstance(asset, dg.AssetsDefinition)]
        asked = {dg.AssetKey([self.spec.name, asset_name]) for asset_name in asset_names}
        return dg.materialize(
            [*assets, *(workflow.asset_checks or ())],
            # what one step makes is made together, unless it lets itself be asked for a part
            selection=[
                key
                for asset in assets
                if asset.keys & asked
                for key in (asset.keys & asked if asset.can_subset else asset.keys)
            ],
            partition_key=night,
            resources=self.resources(),
            raise_on_error=False,
            instance=instance or _instance(),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def gather(self, night: str) -> None:
        """Arrivals and cases of a night, whose checks have passed, and the outcomes that came, without a run."""
        window = window_of(night, self.spec.nights.time_zone)
        arrivals = self.sources.read(window).rows
        admitted = admit(read_rows(arrivals, self.spec.case_schema), [], None, window)
        for asset_name, table in [
            ("arrivals", arrivals),
            ("cases", admitted.cases),
            ("quarantine", admitted.quarantine),
        ]:
            self.lake.write_night(self.spec.name, asset_name, night, table)
        self.ledger.record_outcomes(self.spec.name, self.sources.outcomes(self.spec).read(window).rows)
        gathered = ("arrivals", "cases", "quarantine")
        judged = {asset_name: str(self.lake.content(self.spec.name, asset_name, night)) for asset_name in gathered}
        for check in (NOTHING_VANISHED, NIGHT_IS_SOUND, "cases_contract"):
            verdict = CheckVerdict(check, True, "it holds", {SPEC: self.spec.spec_hash, **judged})
            self.ledger.record_verdict(self.spec.name, night, verdict, "run")

    def table(self, asset_name: str, night: str = NIGHT) -> list[dict[str, Any]]:
        return self.lake.tables[(self.spec.name, asset_name)][night].to_pylist()


def made(result: dg.ExecuteInProcessResult) -> set[str]:
    """The nouns that a run materialized."""
    return {present(event.asset_key).path[-1] for event in result.get_asset_materialization_events()}


def metadata(result: dg.ExecuteInProcessResult, asset_name: str) -> dict[str, Any]:
    """What the materialization of a noun says."""
    of = [e for e in result.get_asset_materialization_events() if present(e.asset_key).path[-1] == asset_name]
    return {name: value.value for name, value in of[0].materialization.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Verdict by check."""
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def logged(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> list[tuple[str, str]]:
    """Level and text of what the run's assets logged themselves."""
    import logging

    entries = [record.event_log_entry for record in instance.get_records_for_run(result.run_id).records]
    return [(logging.getLevelName(e.level), e.user_message) for e in entries if e.dagster_event is None]


class OpenKeyring:
    """`ports.Keyring` that shows what it sealed."""

    def pseudonyms(self, subjects: Sequence[str | None]) -> list[str | None]:
        return list(subjects)

    def seal(self, pseudonyms: Sequence[str | None], column: str, values: Sequence[str | None]) -> list[str | None]:
        return [
            None if value is None else f"sealed:{owner}:{value}"
            for owner, value in zip(pseudonyms, values, strict=True)
        ]

    def seal_columns(
        self, pseudonyms: Sequence[str | None], columns: Mapping[str, Sequence[str | None]]
    ) -> dict[str, list[str | None]]:
        return {column: self.seal(pseudonyms, column, values) for column, values in columns.items()}

    def open(self, tokens: Sequence[str | None]) -> list[str | None]:
        return [None if token is None else token.rpartition(":")[2] for token in tokens]
