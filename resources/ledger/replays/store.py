"""`PostgresReplays`: what replays found. It writes the table `candidate_replays` and pages, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Row, insert, select

from pipeline_project.domain.lifecycle.proposing import plain
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.ports.files import Files
from resources.files import files_at
from resources.ledger.tables.replays import candidate_replays
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.databases import engine_of


@dataclass(frozen=True)
class PostgresReplays:
    """Replays in one database, and their pages in one folder or behind one URL.

    Every method raises DatabaseUnreachable when the database does not answer.

    Attributes:
        reports: where the reports lie; pages go to `<reports>/replays/<workflow>/<number>.html`.
        address: of a server that serves them, without a slash at the end.
        desk: of the review desk, where a case is explained.
    """

    url: str = field(repr=False)
    reports: str
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
    ) -> tuple[int, str]:
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
            self._files.write(_page(result.workflow, number), page(number))
        return number, self.page_of(result.workflow, number)

    def replays(self, workflow: str, limit: int = 50) -> Sequence[Row[*tuple[Any, ...]]]:
        """A workflow's replays, newest first: rows of `candidate_replays`."""
        replays = candidate_replays.c
        query = select(candidate_replays).where(replays.workflow == workflow).order_by(replays.id.desc()).limit(limit)
        with unit_of_work(self.engine(self.url)) as connection:
            return connection.execute(query).all()

    def page_of(self, workflow: str, number: int) -> str:
        """Where a replay's page lies."""
        return self._files.place(_page(workflow, number))

    def address_of(self, workflow: str, number: int) -> str:
        """The page's address at the server of the reports."""
        return f"{self.address}/{_page(workflow, number)}"

    @property
    def _files(self) -> Files:
        return files_at(self.reports)


def _page(workflow: str, number: int) -> str:
    return f"replays/{workflow}/{number}.html"
