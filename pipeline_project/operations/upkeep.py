"""What the stores keep although nothing names it any more: said with its size, and taken away when its time is over.

What decisions, replays and the audit chain rest on stays: earlier versions of tables that a decision names, models that
ever decided, were signed or replayed, and in Dagster's log what the state of a night hangs on.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from pipeline_project.domain.core.store_terms import StoreTerms
from pipeline_project.domain.vectors.modalities import file_modalities, inline_modalities
from resources.dagster_storage.old_events import ended_runs, old_rows, remove_old_rows
from resources.files.trees import LocalTree
from resources.lake.lake import DeltaLake
from resources.lake.tables import tables_of
from resources.lake.vectors import LakeVectorStore
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.databases import Databases, pooled_engine, tenant_of
from resources.postgres.locks import UPKEEP
from resources.postgres.sessions import named_session
from resources.registry.letting_go import fruitless_runs, let_go, remove_runs, unneeded_versions
from resources.registry.registry import MlflowRegistry

VECTORS, EMBEDDINGS = "_vectors", "embeddings"
_WAIT_SECONDS = 0.5

_PINNED = (
    "SELECT DISTINCT night::text AS night, named.key AS name, named.value::bigint AS version "
    "FROM decisions, jsonb_each_text(data_versions) AS named WHERE workflow = :w"
)
#: Versions that decided or scored, that somebody signed, recalled, replayed or may still sign.
_NEEDED = """
SELECT model_version AS version FROM decisions WHERE workflow = :w AND model_version IS NOT NULL
UNION SELECT version FROM champions WHERE workflow = :w
UNION SELECT version FROM rollouts WHERE workflow = :w
UNION SELECT base_version FROM rollouts WHERE workflow = :w AND base_version IS NOT NULL
UNION SELECT version FROM live_checks WHERE workflow = :w
UNION SELECT named FROM recalls WHERE workflow = :w AND kind = 'model'
UNION SELECT model_version FROM candidate_replays WHERE workflow = :w AND model_version IS NOT NULL
UNION SELECT version FROM model_proposals AS asked WHERE workflow = :w AND passed AND NOT EXISTS (
  SELECT FROM model_signatures WHERE proposal_id = asked.id AND verdict = 'refuse')
"""


@dataclass(frozen=True)
class LetGo:
    """What one store lets go, or would.

    Attributes:
        what: in words for people.
        count: rows, files or vectors.
        size: bytes, as far as they are known beforehand.
    """

    store: str
    workflow: str
    what: str
    count: int
    size: int


@contextmanager
def alone(
    databases: Databases, waiting: Callable[[], None], sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Nobody else tidies up meanwhile, and no backup is being written, whose files must stay.

    Args:
        waiting: called once where somebody has to be waited for.
    """
    with named_session(databases.ledger_url, "retention") as connection:
        notified = False
        while not UPKEEP.try_hold(connection):
            if not notified:
                waiting()
                notified = True
            sleep(_WAIT_SECONDS)
        yield


@dataclass(frozen=True)
class StoreUpkeep:
    """The stores of one house.

    Attributes:
        dagster_home: where Dagster keeps what steps printed.
        now: in UTC; terms are counted back from it.
    """

    databases: Databases
    lake: DeltaLake
    registry: MlflowRegistry
    dagster_home: Path
    terms: StoreTerms
    now: datetime

    def of_workflow(self, workflow: str, dry: bool) -> list[LetGo]:
        """Earlier versions of its tables and models nobody needs; for the time of a turn (`ledger.turns`)."""
        return [*self._versions(workflow, dry), *self._models(workflow, dry)]

    def of_house(self, dry: bool) -> list[LetGo]:
        """Dagster's log, which is no tenant's to tidy up, and vectors."""
        return [*([] if tenant_of(self.databases.ledger_url) else self._events(dry)), *self._vectors(dry)]

    def _before(self, days: int) -> datetime:
        return self.now - timedelta(days=days)

    def _events(self, dry: bool) -> Iterator[LetGo]:
        before = self._before(self.terms.events)
        for old in (old_rows if dry else remove_old_rows)(self.databases.dagster_url, before):
            yield LetGo("dagster", "", f"rows of {old.table} about ended steps", old.rows, old.size)
        folder = self.dagster_home / "storage"
        there = [folder / run for run in ended_runs(self.databases.dagster_url, before) if (folder / run).is_dir()]
        sizes = [sum(LocalTree(run).sizes().values()) for run in there]
        if not dry:
            for run in there:
                shutil.rmtree(run)
        yield LetGo("dagster", "", "folders with what steps printed", len(there), sum(sizes))

    def _versions(self, workflow: str, dry: bool) -> Iterator[LetGo]:
        pinned = self._pinned(workflow)
        for asset in tables_of(self.lake.store, workflow):
            commits = self.lake.night_commits(workflow, asset)
            last = {night: max(version for version, _ in of_night) for night, of_night in commits.items()}
            # where a night stands as it was decided on, the newest version has its file
            keep = {version for night, version in pinned[asset] if last.get(night, -1) > version}
            deleted = self.lake.store.let_go(self.lake.uri(workflow, asset), self.terms.versions, keep, dry)
            what = f"replaced files of {asset}" + (f", {len(keep)} versions stay" if keep else "")
            yield LetGo("lake", workflow, what, deleted.files, deleted.size)

    def _pinned(self, workflow: str) -> dict[str, set[tuple[str, int]]]:
        """By table of the workflow, the nights with the version that decisions of theirs rest on."""
        pinned: dict[str, set[tuple[str, int]]] = defaultdict(set)
        with unit_of_work(pooled_engine(self.databases.ledger_url)) as connection:
            for row in connection.execute(text(_PINNED), {"w": workflow}):
                owner, _, asset = row.name.partition("/")
                if owner == workflow:
                    pinned[asset].add((row.night, int(row.version)))
        return pinned

    def _models(self, workflow: str, dry: bool) -> Iterator[LetGo]:
        before = self._before(self.terms.models)
        with unit_of_work(pooled_engine(self.databases.ledger_url)) as connection:
            needed = set(connection.scalars(text(_NEEDED), {"w": workflow}))
        old = unneeded_versions(self.registry, workflow, before, needed)
        runs = fruitless_runs(self.registry, workflow, before)
        if not dry:
            if old:
                # before they go: what is stopped half-way is said, and said again as it is finished
                facts = [Fact(None, {"data": "models", "version": one.version}) for one in old]
                with unit_of_work(pooled_engine(self.databases.ledger_url)) as connection:
                    append(connection, "erased", workflow, facts)
            for one in old:
                let_go(self.registry, workflow, one, self.now)
            if runs:
                remove_runs(self.registry, runs)
        names = ", ".join(one.version for one in old)
        yield LetGo("mlflow", workflow, f"files of versions {names}".rstrip(), len(old), sum(one.size for one in old))
        yield LetGo("mlflow", workflow, "runs that came to no version", len(runs), 0)

    def _vectors(self, dry: bool) -> Iterator[LetGo]:
        store = self.lake.store
        encoders = tables_of(store, VECTORS)
        named = self._named() if encoders else set()
        vectors = LakeVectorStore(store.url, store=store)
        for encoder in encoders:
            uri = store.uri(VECTORS, encoder)
            count = vectors.drop_unnamed(uri, named, self._before(self.terms.vectors), dry)
            yield LetGo("lake", "", f"vectors of {encoder} that no night names", count, 0)
            deleted = store.let_go(uri, self.terms.versions, (), dry)
            yield LetGo("lake", "", f"replaced files of {encoder}", deleted.files, deleted.size)

    def _named(self) -> set[bytes]:
        """The content keys of every night of every workflow there is a table of, declared or not."""
        named: set[bytes] = set()
        for workflow in tables_of(self.lake.store, ""):
            if workflow == VECTORS or EMBEDDINGS not in tables_of(self.lake.store, workflow):
                continue
            modalities = (*inline_modalities(), *file_modalities())
            columns = [modality.key_column for modality in modalities]
            # the keys are in the open: nothing of the sealed lake is opened for them
            table = DeltaLake.read_span(self.lake, workflow, EMBEDDINGS, None, "9999-12-31", columns)
            for modality in modalities if table is not None else ():
                named |= {key.encode() for keys in modality.keys_of(table) for key in keys}
        return named
