"""Cases from a query, run once a night."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline_project.domain.errors import SourceUnreadable
from pipeline_project.domain.ports import NightWindow
from pipeline_project.settings import Settings
from pipeline_project.spec.model import WorkflowSpec
from pipeline_project.spec.source import SqlSource
from resources.sources.arrivals import arrivals
from resources.sources.files import fingerprint, joined, repair_stamps
from resources.sources.repairs import read_repairs, repaired_nights
from resources.sources.rows import Row, as_string, unique_names

if TYPE_CHECKING:
    from sqlalchemy import URL

QUERY = "query"


class SqlCases:
    """A SQL source, repairs included. Its rows are put in a fixed order: a database gives them in any."""

    def __init__(
        self, spec: WorkflowSpec, settings: Settings, variables: Mapping[str, str], unhashed: tuple[str, ...]
    ) -> None:
        self._spec, self._settings, self._variables, self._unhashed = spec, settings, variables, unhashed

    def read(self, window: NightWindow) -> pa.Table:
        rows = self._query(window)
        digest = hashlib.sha256(repr([row.cells for row in rows]).encode()).hexdigest()
        mine = arrivals(rows, window.night, QUERY, digest, self._unhashed)
        return joined([mine, *read_repairs(self._settings, self._spec, window.night, self._unhashed)])

    def fingerprint(self, window: NightWindow) -> str:
        mine = [row.cells for row in self._query(window)]
        return fingerprint([*mine, *repair_stamps(self._settings, self._spec, window.night)])

    def nights_landed(self) -> list[str]:
        """Nights with repairs only: a query cannot be asked for its nights, so the schedule decides them."""
        return repaired_nights(self._settings, self._spec)

    def places(self) -> tuple[str, ...]:
        """A hash: neither the database's address nor the query is anybody's business elsewhere."""
        source = self._spec.source
        assert isinstance(source, SqlSource)
        url = self._url(source.url_variable)
        where = [url.get_backend_name(), url.host, url.port, url.database, *source.query.lower().split()]
        return (f"sql:{hashlib.sha256(repr(where).encode()).hexdigest()}",)

    def _query(self, window: NightWindow) -> list[Row]:
        import sqlalchemy as sa

        source = self._spec.source
        assert isinstance(source, SqlSource)
        url = self._url(source.url_variable)
        shown = url.render_as_string(hide_password=True)
        engine = None
        try:
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            with engine.connect() as connection:
                result = connection.execute(sa.text(source.query), {"start": window.start, "end": window.end})
                names = unique_names(list(result.keys()))
                found = sorted([as_string(value) for value in row] for row in result)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            # The database's words may repeat values; they are kept only where they speak of the query or the server.
            speaks = isinstance(error, sa.exc.OperationalError | sa.exc.ProgrammingError | sa.exc.NoSuchModuleError)
            told = str(getattr(error, "orig", None) or error).strip().partition("\n")[0] if speaks else ""
            raise SourceUnreadable(
                f"{self._spec.name}: the query against {shown} failed ({type(error).__name__}"
                f"{': ' * bool(told)}{told}); check {source.url_variable} and `source.query`"
            ) from None
        finally:
            if engine is not None:
                engine.dispose()
        return [Row(line, dict(zip(names, cells, strict=True))) for line, cells in enumerate(found, start=1)]

    def _url(self, variable: str) -> URL:
        import sqlalchemy as sa

        written = self._variables.get(variable)
        if not written:
            raise SourceUnreadable(f"{self._spec.name}: set {variable} to the URL of the database that holds its cases")
        try:
            url = sa.make_url(written)
        except sa.exc.ArgumentError:
            raise SourceUnreadable(f"{variable} is no database URL; write dialect://user:password@host/name") from None
        # A bare `postgresql://` would ask for psycopg 3, which is not installed.
        return url.set(drivername="postgresql+psycopg2") if url.drivername in ("postgresql", "postgres") else url
