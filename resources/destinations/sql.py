"""A table that takes one row per action, whose key is unique there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from sqlalchemy import Column, DateTime, MetaData, Numeric, Select, Table, Text, Uuid, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import SQLAlchemyError

from pipeline_project.domain.core.errors import DatabaseUnreachable, SettingInvalid
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.actions import SqlDestination
from resources.destinations import declared_as
from resources.destinations.deadline import left_after
from resources.postgres.databases import begun, engine_of, is_own, with_driver
from resources.sources.places import environment, secret

#: Seconds for one row, a table that somebody else has locked included, by the server's clock; and for all of it, a
#: server that does not answer included, by ours.
_STATEMENT, _EXCHANGE = 10, 20.0
_BOUNDED = text(f"SET LOCAL statement_timeout = '{_STATEMENT}s'; SET LOCAL lock_timeout = '{_STATEMENT}s'")


@declared_as(SqlDestination)
@dataclass(frozen=True)
class SqlTable:
    """A table of another PostgreSQL database; it is made when missing."""

    url: str = field(repr=False)
    name: str
    attempts: int

    @classmethod
    def of(cls, part: SqlDestination, spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str]) -> Self:
        url = secret(part.url, environment(settings, environ))
        if not url:
            raise SettingInvalid(f"{part.url} is not set; {spec.name} sends actions to the database it names")
        return cls(with_driver(url).render_as_string(hide_password=False), part.table, part.attempts)

    @property
    def longest_seconds(self) -> float:
        # before it is sent again the table may be asked what became of it
        return 2 * _EXCHANGE

    @cached_property
    def _table(self) -> Table:
        return Table(
            self.name,
            MetaData(),
            Column("key", Uuid, primary_key=True),
            Column("kind", Text, nullable=False),
            Column("fingerprint", Text, nullable=False),
            Column("money", Numeric(14, 2), nullable=False),
            Column("payload", JSONB, nullable=False),
            Column("taken_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )

    def send(self, action: ClaimedAction) -> DeliveryResult:
        """Adds the row, or finds it there."""
        row = {
            "key": action.key,
            "kind": action.kind,
            "fingerprint": action.fingerprint,
            "money": action.money,
            "payload": dict(action.payload),
        }
        try:
            return left_after(_EXCHANGE, lambda: self._added(row, action))
        except TimeoutError:
            return DeliveryResult(
                DeliveryStatus.UNKNOWN, "no_answer", "the database did not answer in time", maybe=True
            )
        except DatabaseUnreachable as error:
            # lost while the commit was on its way, perhaps: the key tells next time
            return DeliveryResult(DeliveryStatus.UNKNOWN, "no_answer", str(error)[:200], maybe=True)
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            return DeliveryResult(DeliveryStatus.AGAIN, "database", f"{type(cause).__name__}: the row was not taken")

    def _added(self, row: Mapping[str, Any], action: ClaimedAction) -> DeliveryResult:
        with begun(engine_of(self.url)) as connection:
            connection.execute(_BOUNDED)
            if is_own(str(connection.scalar(select(func.current_database())))):
                return DeliveryResult(
                    DeliveryStatus.REFUSED, "own_database", "actions are not sent to the pipeline's own databases"
                )
            self._table.create(connection, checkfirst=True)
            connection.execute(insert(self._table).values(**row).on_conflict_do_nothing(index_elements=["key"]))
            return self._compared(connection.scalar(self._fingerprint_query(action)), action)

    def look_up(self, action: ClaimedAction) -> DeliveryResult | None:
        try:
            fingerprint = left_after(_EXCHANGE, lambda: self._asked(action))
        except (DatabaseUnreachable, SQLAlchemyError, TimeoutError) as error:
            return DeliveryResult(
                DeliveryStatus.UNKNOWN, "no_answer", f"{type(error).__name__}: the fate could not be asked"
            )
        return (
            DeliveryResult(DeliveryStatus.AGAIN, "never_seen", "no such row")
            if fingerprint is None
            else self._compared(fingerprint, action)
        )

    def _asked(self, action: ClaimedAction) -> str | None:
        with begun(engine_of(self.url)) as connection:
            connection.execute(_BOUNDED)
            return connection.scalar(self._fingerprint_query(action))

    def remembers(self, seconds: float) -> bool:
        return True

    def _fingerprint_query(self, action: ClaimedAction) -> Select[Any]:
        return select(self._table.c.fingerprint).where(self._table.c.key == action.key)

    def _compared(self, fingerprint: str | None, action: ClaimedAction) -> DeliveryResult:
        if fingerprint == action.fingerprint:
            return DeliveryResult(DeliveryStatus.DONE, receipt={"table": self.name})
        return DeliveryResult(
            DeliveryStatus.REFUSED, "other_content", "a row with this key and another content is there"
        )
