"""`PostgresReplays`: what replays found. It writes the table `candidate_replays` and pages, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, insert, select

from pipeline_project.domain.lifecycle.proposing import plain
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from resources.files.small_files import write_whole
from resources.ledger.tables.replays import candidate_replays
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.databases import engine_of


@dataclass(frozen=True)
class PostgresReplays:
    """Replays in one database and one folder.

    Every method raises DatabaseUnreachable when the database does not answer.

    Attributes:
        folder: of the reports; pages go to `<folder>/replays/<workflow>/<number>.html`.
        address: of a server that serves the folder, without a slash at the end.
        desk: of the review desk, where a case is explained.
    """

    url: str = field(repr=False)
    folder: Path
    address: str
    desk: str
    engine: Callable[[str], Engine] = engine_of

    def keep(
        self,
        result: ReplayResult,
        candidate: str,
        spec_hash: str,
        started_by: str,
        page: Callable[[int], str],
    ) -> tuple[int, Path]:
        """Keeps a result and its page, both or none.

        Args:
            candidate: a slug.
            page: makes the page, given the replay's number.

        Returns:
            The replay's number and where its page lies.
        """
        row = {
            "workflow": result.workflow,
            "candidate": candidate,
            "model_version": result.candidate.model_version,
            "base": result.base.model_version,
            "first": result.first,
            "last": result.last,
            "cases": result.cases,
            "result": plain(dataclasses.asdict(result)),
            "spec_hash": spec_hash,
            "policy_hash": result.candidate.policy_hash,
            "started_by": started_by,
        }
        with unit_of_work(self.engine(self.url)) as connection:
            made = connection.execute(insert(candidate_replays).values(row).returning(candidate_replays.c.id))
            number = int(made.scalar_one())
            # before the commit: a page that cannot be written leaves no row behind
            path = self._written(result.workflow, number, page(number))
        return number, path

    def replays(self, workflow: str, limit: int = 50) -> Sequence[Row[*tuple[Any, ...]]]:
        """A workflow's replays, newest first: rows of `candidate_replays`."""
        replays = candidate_replays.c
        query = select(candidate_replays).where(replays.workflow == workflow).order_by(replays.id.desc()).limit(limit)
        with unit_of_work(self.engine(self.url)) as connection:
            return connection.execute(query).all()

    def page_of(self, workflow: str, number: int) -> Path:
        """Where a replay's page lies."""
        return self.folder / "replays" / workflow / f"{number}.html"

    def address_of(self, workflow: str, number: int) -> str:
        """The page's address at the server of the reports."""
        return f"{self.address}/replays/{workflow}/{number}.html"

    def _written(self, workflow: str, number: int, page: str) -> Path:
        path = self.page_of(workflow, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page)
        return path
