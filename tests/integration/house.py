"""A home of its own for one workflow: its files, its lake, its rows in the ledger, and the commands that run there."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pandas as pd
import pyarrow as pa
from sqlalchemy import text

from pipeline_project import cli
from pipeline_project.commands.nights import run_nights
from pipeline_project.commands.shared.app_context import AppContext, prepare, workflow
from pipeline_project.commands.shared.night_runner import NightRun
from pipeline_project.container.privacy import open_sealed_lake
from pipeline_project.domain.core.alerts import OpenAlert
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from resources.lake.sealed import SealedLake
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of
from tests.integration import shop
from tests.keys import shared_keys

Rows = list[dict[str, Any]]

ROOT = Path(__file__).resolve().parents[2]
#: What must be equal of two decisions of the same case; the rest names runs, attempts, times and lake versions.
DECIDED = "case_id, epoch, night, option, reason, model_version, probabilities, expected_costs, amount, propensity"

#: What must be equal of the work that decisions lead to.
WORK = {
    "actions": "case_id, epoch, kind, destination, step, money, state, night",
    "review_tasks": "case_id, epoch, kind, state, why, amount, night",
    "releases": "night",
}


@dataclass
class House:
    """One workflow at home.

    Attributes:
        name: the workflow's, used nowhere else on the server.
        home: PIPELINE_HOME; the workflow's file and its `in/` lie in `home/own`.
        server: URL of the PostgreSQL server, or None for the embedded one of this home.
    """

    name: str
    home: Path
    server: str | None
    variables: dict[str, str] = field(default_factory=dict)
    #: known after the first look: the app context is prepared by whatever runs nights, not by each question
    _ledger_url: str = field(default="", init=False, repr=False)

    @property
    def folder(self) -> Path:
        return self.home / "own"

    @property
    def environ(self) -> dict[str, str]:
        given = {"PIPELINE_HOME": str(self.home), "PIPELINE_WORKFLOWS": str(self.folder)}
        if self.server:
            # homes on one server share its ledger, and with it what signs the ledger's chain
            shared = shared_keys(self.home.parent)
            given |= {"PIPELINE_KEYS": str(shared), "PIPELINE_CHECKPOINTS": f"{shared}-checkpoints"}
            given |= {"PIPELINE_POSTGRES_URL": self.server}
        return {**given, **self.variables}

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This process stands in the home; afterwards its environment is as it was."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
        with mock.patch.dict(os.environ, {**kept, **self.environ}, clear=True):
            yield

    @contextmanager
    def instance(self) -> Iterator[tuple[AppContext, dg.DagsterInstance]]:
        """Dagster's real instance of this home, without a pool: a connection kept open would keep the server up."""
        with self.entered():
            context = prepare()
            with dg.DagsterInstance.from_config(context.environ["DAGSTER_HOME"]) as instance:
                yield context, instance

    @property
    def spec(self) -> WorkflowSpec:
        with self.entered():
            return workflow(self.name)

    @property
    def settings(self) -> Settings:
        return Settings.from_environ(self.environ)

    @property
    def ledger(self) -> PostgresLedger:
        if self.server is None or not self._ledger_url:
            with self.entered():
                self._ledger_url = prepare().databases.ledger_url
        return PostgresLedger(self._ledger_url)

    @property
    def lake(self) -> SealedLake:
        return open_sealed_lake(self.settings)

    def declare(self, **changes: Any) -> None:
        """Writes the workflow's file."""
        shop.write_spec(self.folder, shop.spec(self.name, **changes))

    def nights(
        self, first: str, last: str | None = None, again: bool = False, retrain: bool | None = None
    ) -> list[NightRun]:
        """`pipeline nights` in this process."""
        with self.entered():
            return run_nights(workflow(self.name), first, last or first, again, retrain, quiet=True)

    def command(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command as from a shell, in this process: another one would import everything again, for seconds."""
        out, err = io.StringIO(), io.StringIO()
        argv, given = ["pipeline", *words], {"COLUMNS": "80", **more}
        code = 0
        with self.entered(), mock.patch.dict(os.environ, given), mock.patch.object(sys, "argv", argv):
            try:
                with redirect_stdout(out), redirect_stderr(err):
                    cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    def process(
        self, *words: str, module: str = "pipeline_project.cli", **more: str
    ) -> subprocess.CompletedProcess[str]:
        """A command in a process of its own, where that is what is tried."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
        return subprocess.run(
            [sys.executable, "-m", module, *words],
            env={**kept, **self.environ, **more}, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip

    # -- what became of it -------------------------------------------------------------------------------------

    def table(self, asset_name: str, night: str | None = None) -> Rows | None:
        """Rows of one lake table, of one night or of all, in a fixed order; None where nothing was written."""
        lake = self.lake
        found: pa.Table | None = (
            lake.read_night(self.name, asset_name, night)
            if night
            else lake.read_span(self.name, asset_name, None, "9999-12-31")
        )
        return None if found is None else sorted(found.to_pylist(), key=repr)

    def tables(self, night: str | None = None) -> dict[str, Rows | None]:
        """Every lake table of the workflow; MLflow and the ledger number what they keep, the lake numbers nothing."""
        asset_names = ("arrivals", "cases", "quarantine", "embeddings", "scores", "decisions", "training_set")
        return {asset_name: self.table(asset_name, night) for asset_name in asset_names}

    def sql(self, query: str, **parameters: Any) -> Rows:
        """Rows from the ledger's database."""
        with engine_of(self.ledger.url).connect() as connection:
            found = connection.execute(text(query), {"name": self.name, **parameters})
            return [dict(row._mapping) for row in found]

    def decisions(self, night: str | None = None) -> Rows:
        """The decisions in the ledger: what was decided, by case and epoch."""
        one = "AND night = :night" if night else ""
        query = f"SELECT {DECIDED} FROM decisions WHERE workflow = :name {one} ORDER BY case_id, epoch"
        return self.sql(query, **({"night": night} if night else {}))

    def facts(self) -> dict[str, Rows]:
        """Everything in the ledger that two homes with the same files must have in common."""
        return {
            "decisions": self.decisions(),
            "outcomes": self.sql(
                "SELECT case_id, label, known_at, source FROM outcomes WHERE workflow = :name "
                "ORDER BY case_id, known_at"
            ),
            "models": self.sql(
                "SELECT version, night, digest FROM model_versions WHERE workflow = :name ORDER BY version"
            ),
            "proposals": self.sql(
                "SELECT version, base_version, passed, promised_error FROM model_proposals WHERE workflow = :name "
                "ORDER BY version"
            ),
            "champions": self.sql(
                "SELECT version, from_night, reason FROM champions WHERE workflow = :name ORDER BY from_night, version"
            ),
        }

    def work(self, night: str | None = None) -> dict[str, Rows]:
        """What the decisions led to, without keys: they hold the name of the workflow."""
        one = "AND night = :night" if night else ""
        given = {"night": night} if night else {}
        return {
            table: self.sql(f"SELECT {columns} FROM {table} WHERE workflow = :name {one} ORDER BY {columns}", **given)
            for table, columns in WORK.items()
        }

    def alerts(self) -> list[OpenAlert]:
        """The workflow's open alerts."""
        return [alert for alert in self.ledger.open_alerts() if alert.workflow == self.name]

    def metadata(self, asset_name: str, night: str) -> Mapping[str, Any]:
        """What the last materialization of an asset said of itself."""
        with self.instance() as (_, instance):
            chosen = dg.AssetRecordsFilter(dg.AssetKey([self.name, asset_name]), asset_partitions=[night])
            record = instance.fetch_materializations(chosen, limit=1).records[0]
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def checks(self, asset_name: str, night: str) -> dict[str, bool]:
        """The verdicts of a night's checks, as they are stored for its partition alone."""
        with self.instance() as (_, instance):
            evaluations = [
                entry.get_dagster_event().asset_check_evaluation_data
                for run in instance.get_runs()
                for entry in reversed(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION))
            ]
        found: dict[str, bool] = {}
        for check in evaluations:
            if check.asset_key == dg.AssetKey([self.name, asset_name]) and check.partition == night:
                found.setdefault(check.check_name, check.passed)
        return found

    def page(self, night: str) -> str:
        return (self.home / "reports" / self.name / f"{night}.html").read_text(encoding="utf-8")


def differences(ours: Rows | None, theirs: Rows | None, near: float = 0.0) -> list[str]:
    """What differs between rows that should be the same, in short: a night's tables fill screens.

    Args:
        near: the part of a number by which it may differ, of one below 1 so much of 1.
    """
    if ours is None or theirs is None or len(ours) != len(theirs):
        return [] if ours == theirs else [f"{_count(ours)} rows, {_count(theirs)} expected"]
    return [
        f"row {number}, {name}: {str(row.get(name))[:60]} and not {str(wanted.get(name))[:60]}"
        for number, (row, wanted) in enumerate(zip(ours, theirs, strict=True))
        for name in {**row, **wanted}
        if not _same(row.get(name), wanted.get(name), near)
    ][:5]


def all_differences(
    ours: Mapping[str, Rows | None], theirs: Mapping[str, Rows | None], near: float = 0.0
) -> dict[str, list[str]]:
    """The same for several tables by name; empty when all are the same."""
    found = {name: differences(ours.get(name), theirs.get(name), near) for name in {**ours, **theirs}}
    return {name: several for name, several in found.items() if several}


def _same(ours: Any, theirs: Any, near: float = 0.0) -> bool:
    """NaN is equal to NaN here."""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return all(_same(one, other, near) for one, other in zip(ours, theirs, strict=True))
    if isinstance(ours, float) and isinstance(theirs, float) and abs(ours - theirs) <= near * max(1.0, abs(theirs)):
        return True
    return bool(ours == theirs or (ours != ours and theirs != theirs))


def _count(rows: Rows | None) -> str:
    return "no table, so no" if rows is None else str(len(rows))


def frame(rows: Rows | None) -> pd.DataFrame:
    """Rows as a frame by case."""
    return pd.DataFrame(rows or []).set_index("case_id")
