"""Cases from a query, run once a night."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.settings import Settings
from pipeline_project.spec.source import SqlSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.arrivals import arrivals
from resources.sources.night_files import fingerprint
from resources.sources.places import secret
from resources.sources.repairs import Repairs
from resources.sources.rows import SourceRow, as_string, unique_names

if TYPE_CHECKING:
    from sqlalchemy import URL

QUERY = "query"
#: The most that a query may give for one night, and the seconds in which it may give it.
MOST_ROWS = 2_000_000
MOST_CHARACTERS = 1_000_000_000
LONGEST_SECONDS = 600


class SqlCases:
    """A SQL source, repairs included. Its rows are put in a fixed order: a database gives them in any."""

    def __init__(
        self, spec: WorkflowSpec, settings: Settings, variables: Mapping[str, str], unhashed: tuple[str, ...]
    ) -> None:
        self._spec, self._variables, self._unhashed = spec, variables, unhashed
        self._repairs = Repairs(settings, spec, unhashed)

    def read(self, window: NightWindow) -> ArrivedRows:
        rows = self._query(window)
        digest = hashlib.sha256(repr([row.cells for row in rows]).encode()).hexdigest()
        mine = ArrivedRows(arrivals(rows, window.night, QUERY, digest, self._unhashed))
        return ArrivedRows.joined([mine, *self._repairs.read(window.night)])

    def fingerprint(self, window: NightWindow) -> str:
        mine = [row.cells for row in self._query(window)]
        return fingerprint([*mine, *self._repairs.stamps(window.night)])

    def nights_landed(self) -> list[str]:
        """Nights with repairs only: a query cannot be asked for its nights, so the schedule decides them."""
        return self._repairs.nights()

    def places(self) -> tuple[str, ...]:
        """A hash: neither the database's address nor the query is anybody's business elsewhere."""
        source = self._spec.source
        assert isinstance(source, SqlSource)
        url = self._url()
        where = [url.get_backend_name(), url.host, url.port, url.database, *source.query.lower().split()]
        return (f"sql:{hashlib.sha256(repr(where).encode()).hexdigest()}",)

    def _query(self, window: NightWindow) -> list[SourceRow]:
        import sqlalchemy as sa

        from resources.sources.reading_database import BY_CURSOR, database_message, reading, shown

        source = self._spec.source
        assert isinstance(source, SqlSource)
        variable, url = source.url_variable, self._url()
        try:
            with reading(url, variable) as connection:
                bounds = {"start": window.start, "end": window.end}
                result = connection.execute(sa.text(source.query), bounds, execution_options=BY_CURSOR)
                names = unique_names(list(result.keys()))
                records = sorted(self._bounded(result))
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            message = database_message(error, url)
            raise SourceUnreadable(
                f"{self._spec.name}: the query against {shown(url)} failed ({type(error).__name__}"
                f"{': ' * bool(message)}{message}); check {variable} and `source.query`"
            ) from None
        return [SourceRow(line, dict(zip(names, cells, strict=True))) for line, cells in enumerate(records, start=1)]

    def _url(self) -> URL:
        from resources.sources.reading_database import reading_url

        source = self._spec.source
        assert isinstance(source, SqlSource)
        written = secret(source.url_variable, self._variables)
        if not written:
            raise SourceUnreadable(
                f"{self._spec.name}: set {source.url_variable} to the URL of the database that holds its cases"
            )
        return reading_url(written, source.url_variable)

    def _bounded(self, result: Iterable[Sequence[object]]) -> Iterator[list[str]]:
        """The rows as texts, refused where they are more than a night can be."""
        characters, deadline = 0, time.monotonic() + LONGEST_SECONDS
        for count, row in enumerate(result, start=1):
            cells = [as_string(value) for value in row]
            characters += sum(map(len, cells))
            if count > MOST_ROWS or characters > MOST_CHARACTERS or time.monotonic() > deadline:
                raise SourceUnreadable(
                    f"{self._spec.name}: the query gives more than a night holds ({MOST_ROWS:,} rows, "
                    f"{MOST_CHARACTERS:,} characters, {LONGEST_SECONDS} s); does it use :start and :end to choose rows?"
                )
            yield cells
