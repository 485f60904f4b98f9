"""Cases and outcomes from a query, run once a night."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import Cadence, NightWindow, cadence_of, is_night, window_of
from pipeline_project.domain.intake.outcomes import ArrivedOutcomes
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.settings import Settings
from pipeline_project.spec.lookups import SqlLookup
from pipeline_project.spec.outcome import SqlOutcome
from pipeline_project.spec.source import NightQuery, SqlSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.arrivals import arrivals
from resources.sources.night_files import fingerprint
from resources.sources.outcomes import OutcomeColumns, parsed_outcomes
from resources.sources.places import secret
from resources.sources.repairs import Repairs
from resources.sources.rows import SourceRow, as_string, unique_names

if TYPE_CHECKING:
    from sqlalchemy import URL

QUERY, OUTCOME_QUERY = "query", "outcome query"
#: The most that a query may give for one night, and the seconds in which it may give it.
MOST_ROWS = 2_000_000
MOST_CHARACTERS = 1_000_000_000
LONGEST_SECONDS = 600
#: How a night's key is written, for whoever writes a query.
_KEYS = {
    Cadence.HOUR: """the hour as to_char writes YYYY-MM-DD"T"HH24"Z", in UTC""",
    Cadence.DAY: "the night as YYYY-MM-DD, in the workflow's time zone",
    Cadence.WEEK: """the week as to_char writes IYYY-"W"IW-"1", of the workflow's time zone""",
}


class QueryByNight:
    """A query that a spec declares; its rows are put in a fixed order: a database gives them in any.

    Args:
        declared: the part of the spec.
        where: the key of the spec under which it stands.
    """

    def __init__(
        self, spec: WorkflowSpec, declared: NightQuery | SqlLookup, where: str, variables: Mapping[str, str]
    ) -> None:
        self._spec, self._declared, self._where, self._variables = spec, declared, where, variables
        self._landed: Mapping[str, list[list[str]]] | None = None

    def rows(self, window: NightWindow) -> list[SourceRow]:
        """The rows of a night.

        Raises:
            SourceUnreadable: the database cannot be asked, or gives more than a night holds.
        """
        names, records = self._asked(self._declared.query, "query", window.start, window.end)
        names = unique_names(names)
        return [SourceRow(line, dict(zip(names, cells, strict=True))) for line, cells in enumerate(records, start=1)]

    def nights(self) -> list[str]:
        """The nights that `landed` tells of, in order; the `stamps` asked for next are of this moment. None without it.

        Raises:
            SourceUnreadable: as `rows`, or what it gives first is no night.
        """
        if self._declared.landed is None:
            return []
        first = window_of(self._spec.nights.first_night, self._spec.nights.time_zone)
        self._landed = self._nights_between(first.start, datetime.now(UTC))
        return sorted(self._landed)

    def stamps(self, window: NightWindow) -> list[list[str]] | None:
        """What `landed` tells of a night, which changes when one of its rows does; None without it."""
        if self._declared.landed is None:
            return None
        landed = self._nights_between(window.start, window.end) if self._landed is None else self._landed
        return landed.get(window.night, [])

    def place(self) -> str:
        """A hash: neither the database's address nor the query is anybody's business elsewhere."""
        url = self._url()
        where = [url.get_backend_name(), url.host, url.port, url.database, *self._declared.query.lower().split()]
        return f"sql:{hashlib.sha256(repr(where).encode()).hexdigest()}"

    def _nights_between(self, start: datetime, end: datetime) -> dict[str, list[list[str]]]:
        by_night: dict[str, list[list[str]]] = {}
        _, records = self._asked(str(self._declared.landed), "landed", start, end)
        for night, *rest in records:
            if not is_night(night) or cadence_of(night) is not self._spec.nights.every:
                raise SourceUnreadable(
                    f"{self._spec.name}: what `{self._where}.landed` gives first is no night of its; let it begin with "
                    f"{_KEYS[self._spec.nights.every]}"
                )
            by_night.setdefault(night, []).append(rest)
        return by_night

    def _asked(self, query: str, key: str, start: datetime, end: datetime) -> tuple[list[str], list[list[str]]]:
        import sqlalchemy as sa

        from resources.sources.reading_database import BY_CURSOR, database_message, reading, shown

        variable, url = self._declared.url_variable, self._url()
        try:
            with reading(url, variable) as connection:
                bounds = {"start": start, "end": end}
                result = connection.execute(sa.text(query), bounds, execution_options=BY_CURSOR)
                return list(result.keys()), sorted(self._bounded(result))
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            message = database_message(error, url)
            raise SourceUnreadable(
                f"{self._spec.name}: the query against {shown(url)} failed ({type(error).__name__}"
                f"{': ' * bool(message)}{message}); check {variable} and `{self._where}.{key}`"
            ) from None

    def _url(self) -> URL:
        from resources.sources.reading_database import reading_url

        variable = self._declared.url_variable
        written = secret(variable, self._variables)
        if not written:
            raise SourceUnreadable(
                f"{self._spec.name}: set {variable} to the URL of the database that `{self._where}` reads"
            )
        return reading_url(written, variable)

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


class SqlCases:
    """A SQL source, repairs included."""

    def __init__(
        self, spec: WorkflowSpec, settings: Settings, variables: Mapping[str, str], unhashed: tuple[str, ...]
    ) -> None:
        assert isinstance(spec.source, SqlSource)
        self._query, self._unhashed = QueryByNight(spec, spec.source, "source", variables), unhashed
        self._repairs = Repairs(settings, spec, unhashed)

    def read(self, window: NightWindow) -> ArrivedRows:
        mine = arrived(self._query.rows(window), window.night, QUERY, self._unhashed)
        return ArrivedRows.joined([mine, *self._repairs.read(window.night)])

    def fingerprint(self, window: NightWindow) -> str:
        """As `ports.CaseSource.fingerprint`: by what `landed` tells, else by the rows themselves."""
        stamps = self._query.stamps(window)
        mine: list[object] = [row.cells for row in self._query.rows(window)] if stamps is None else [*stamps]
        return fingerprint([*mine, *self._repairs.stamps(window.night)])

    def nights_landed(self) -> list[str]:
        """Nights that `landed` tells of and those with repairs; a query alone cannot be asked for its nights."""
        return sorted({*self._query.nights(), *self._repairs.nights()})

    def places(self) -> tuple[str, ...]:
        """As `ports.CaseSource.places`, hashed."""
        return (self._query.place(),)


class SqlOutcomes:
    """Outcomes that a query gives, by the night on which they came in."""

    def __init__(self, spec: WorkflowSpec, feed: SqlOutcome, variables: Mapping[str, str]) -> None:
        self._spec, self._feed = spec, feed
        self._query = QueryByNight(spec, feed, "outcome", variables)

    def read(self, window: NightWindow) -> ArrivedOutcomes:
        """As `ports.OutcomeSource.read`."""
        rows = arrived(self._query.rows(window), window.night, OUTCOME_QUERY).rows
        return parsed_outcomes(rows, OutcomeColumns.of(self._feed), self._spec, QUERY, window.end)

    def nights(self) -> list[str]:
        """The nights on which outcomes came in, as far as `landed` tells, in order."""
        return self._query.nights()

    def stamps(self, window: NightWindow) -> list[tuple[object, ...]]:
        """What differs when an outcome of a night is added or changed; nothing where no `landed` tells it."""
        return [("outcomes", *stamp) for stamp in self._query.stamps(window) or []]


def arrived(rows: list[SourceRow], night: str, name: str, unhashed: tuple[str, ...] = ()) -> ArrivedRows:
    """The rows of a query as arrivals."""
    digest = hashlib.sha256(repr([row.cells for row in rows]).encode()).hexdigest()
    return ArrivedRows(arrivals(rows, night, name, digest, unhashed))
