"""`PostgresQuality`: sketches of nights, the signals made of them for whoever subscribes, and trainings asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert

from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.lifecycle.drift.recorded import RecordedSignal, TrainingRequest
from pipeline_project.domain.lifecycle.drift.signals import PastNight, Signal
from pipeline_project.domain.lifecycle.drift.sketch import Sketch
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.rows import Value, values
from resources.ledger.tables.drift import night_sketches, quality_signals, training_requests
from resources.ledger.unit_of_work import LedgerStore
from resources.postgres.locks import QUALITY

#: Signals that a subscriber is given at once.
PAGE = 1_000


@dataclass(frozen=True)
class PostgresQuality(LedgerStore):
    """Every method raises DatabaseUnreachable when the database does not answer."""

    def put_sketch(self, workflow: str, night: PastNight) -> None:
        """Keeps what a night was like, in place of what was kept of it before."""
        row = {
            "model_version": night.model_version,
            "cases": night.sketch.cases,
            "sketch": night.sketch.to_dict(),
        }
        made = upsert(night_sketches).values(workflow=workflow, night=night.night, **row)
        changed = {**row, "sketched_at": func.now()}
        again = made.on_conflict_do_update(index_elements=["workflow", "night"], set_=changed)
        with self._transaction() as connection:
            connection.execute(again)

    def sketches(self, workflow: str, first: str, before: str) -> list[PastNight]:
        """The sketches of first <= night < before, in order."""
        sketches = night_sketches.c
        query = (
            select(sketches.night, sketches.model_version, sketches.sketch)
            .where(sketches.workflow == workflow, sketches.night >= first, sketches.night < before)
            .order_by(sketches.night)
        )
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return [PastNight(row.night, row.model_version, Sketch.from_dict(row.sketch)) for row in rows]

    def sketches_of(self, workflow: str, version: str, before: str, limit: int) -> list[PastNight]:
        """The sketches of the first nights on which a model decided, in order; nights from `before` on are left out."""
        sketches = night_sketches.c
        query = (
            select(sketches.night, sketches.model_version, sketches.sketch)
            .where(sketches.workflow == workflow, sketches.model_version == version, sketches.night < before)
            .order_by(sketches.night)
            .limit(limit)
        )
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return [PastNight(row.night, row.model_version, Sketch.from_dict(row.sketch)) for row in rows]

    def record_signals(self, workflow: str, night: str, run_id: str, signals: Sequence[Signal]) -> int:
        """Adds a night's signals as facts; those of a run that recorded them already stay. Returns how many are new."""
        rows = [
            {
                "workflow": workflow,
                "night": night,
                "run_id": run_id,
                "signal": signal.name,
                "value": signal.value,
                "noise": signal.noise,
                "threshold": signal.threshold,
                "psi": signal.psi,
                "breached": signal.breached,
                "severity": signal.severity.value,
                "cases": signal.cases,
            }
            for signal in signals
        ]
        if not rows:
            return 0
        with self._transaction() as connection:
            QUALITY.take(connection)
            query = select(quality_signals.c.signal).where(
                quality_signals.c.workflow == workflow,
                quality_signals.c.night == night,
                quality_signals.c.run_id == run_id,
            )
            there = set(connection.scalars(query))
            new = [row for row in rows if row["signal"] not in there]
            if new:
                connection.execute(insert(quality_signals), new)
        return len(new)

    def signals(self, workflow: str | None = None, since_id: int = 0, limit: int = PAGE) -> list[RecordedSignal]:
        """Signals with an id above `since_id`, in order: remember the last id, ask again, and none is missed."""
        query = select(quality_signals).where(quality_signals.c.id > since_id).order_by(quality_signals.c.id)
        if workflow is not None:
            query = query.where(quality_signals.c.workflow == workflow)
        return self._values(RecordedSignal, query.limit(limit))

    def night_signals(self, workflow: str, night: str) -> list[RecordedSignal]:
        """A night's signals by name, of the run that recorded them last; none if it was never judged."""
        signals = quality_signals.c
        here = (signals.workflow == workflow, signals.night == night)
        last = select(signals.run_id).where(*here).order_by(signals.id.desc()).limit(1).scalar_subquery()
        return self._values(
            RecordedSignal, select(quality_signals).where(*here, signals.run_id == last).order_by(signals.signal)
        )

    def last_night(self, workflow: str) -> str | None:
        """The last night that has signals."""
        query = select(func.max(quality_signals.c.night)).where(quality_signals.c.workflow == workflow)
        with self._transaction() as connection:
            return connection.scalar(query)

    def breached(self, workflow: str, night: str) -> list[str]:
        """The names of a night's breached signals."""
        return [signal.signal for signal in self.night_signals(workflow, night) if signal.breached]

    def history(self, workflow: str) -> dict[str, list[str]]:
        """Every judged night with the names of its breached signals, as the run that judged it last found them."""
        signals = quality_signals.c
        last = (
            select(signals.night, signals.run_id)
            .ext(distinct_on(signals.night))
            .where(signals.workflow == workflow)
            .order_by(signals.night, signals.id.desc())
            .subquery()
        )
        query = (
            select(signals.night, func.array_agg(signals.signal).filter(signals.breached).label("names"))
            .join(last, (signals.night == last.c.night) & (signals.run_id == last.c.run_id))
            .where(signals.workflow == workflow)
            .group_by(signals.night)
            .order_by(signals.night)
        )
        with self._transaction() as connection:
            return {row.night: sorted(row.names or []) for row in connection.execute(query)}

    def ask_training(self, workflow: str, night: str, why: str, cooldown_nights: int, run_id: str) -> bool:
        """Asks for a training after a night, unless one was asked for within the cooldown before or after it.

        Returns:
            Whether this is a new request.
        """
        first, last = (shifted(night, sign * cooldown_nights) for sign in (-1, 1))
        near = select(func.count()).where(
            training_requests.c.workflow == workflow, training_requests.c.night.between(first, last)
        )
        row = {
            "workflow": workflow,
            "night": night,
            "why": why,
            "cooldown_nights": cooldown_nights,
            "run_id": run_id,
        }
        with self._transaction() as connection:
            QUALITY.take(connection)
            if connection.scalar(near):
                return False
            connection.execute(insert(training_requests), row)
            append(connection, "training_requests", workflow, [Fact("training_requests", row)])
        return True

    def requests(self, workflow: str) -> list[TrainingRequest]:
        """The trainings that drift asked for, by night."""
        requests = training_requests.c
        query = select(training_requests).where(requests.workflow == workflow).order_by(requests.night)
        return self._values(TrainingRequest, query)

    def _values(self, kind: type[Value], query: Select[*tuple[Any, ...]]) -> list[Value]:
        with self._transaction() as connection:
            return values(connection, kind, query)
