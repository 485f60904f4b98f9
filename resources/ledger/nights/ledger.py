"""`PostgresLedger`: what `ports.Ledger` promises, kept by the database's own constraints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import ARRAY, Text, any_, bindparam, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.alerts import OpenAlert
from pipeline_project.domain.core.errors import NightNotEnded
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.deciding.clearance import CODE, Basis, CheckVerdict
from pipeline_project.domain.deciding.recorded import NewDecision, RecordedDecision
from pipeline_project.domain.review.night_work import NightWork
from pipeline_project.running_code import running_code
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.decisions import decision_rows, standing_counts, standing_decisions
from resources.ledger.nights import contradicting
from resources.ledger.nights.clearing import Clearance, add_verdict, clear, verdicts_of
from resources.ledger.nights.kept_outcomes import KEPT
from resources.ledger.nights.night_work import commit_work, release
from resources.ledger.nights.past import DECIDED, decided_further, labels_of_model, past_decisions
from resources.ledger.nights.statements import (
    champion_history,
    decided_whole,
    hold_fence,
    insert_champion,
    insert_model,
    model_of,
    outcome_facts,
)
from resources.ledger.rows import insert_new, jsonable, value, values
from resources.ledger.tables import nights as tables
from resources.ledger.tables.drift import training_requests
from resources.ledger.unit_of_work import LedgerStore

#: Seconds by which the clocks of a machine and of its database may differ without anybody being told.
_CLOCKS_AGREE = 5
_STANDING = ["case_id", "option", "made_by", "reason", "night"]


class PostgresLedger(LedgerStore):
    """What the nights read and write; LedgerRefused also where a night's checks have not passed."""

    def now(self) -> datetime:
        """The database's time."""
        with self._transaction() as connection:
            now: datetime = connection.execute(select(func.now())).scalar_one()
        return now

    @property
    def code(self) -> str:
        """The version of the code that writes; it stands in every verdict and clearance, so that what two versions made
        of a night is never put together."""
        return running_code()

    # -- workflows and models ------------------------------------------------------------------------------------

    def record_workflow(self, workflow: str, spec_hash: str, spec: Mapping[str, Any]) -> None:
        """Keeps a spec by its hash; the same one twice is one row."""
        declared = jsonable(spec)
        row = {"workflow": workflow, "spec_hash": spec_hash, "spec": declared, "in_order": json.dumps(declared)}
        with self._transaction() as connection:
            versions = tables.workflow_versions
            new = insert(versions).values(**row).on_conflict_do_nothing().returning(versions.c.spec_hash)
            if connection.execute(new).first() is not None:
                fact = Fact(versions.name, {"workflow": workflow, "spec_hash": spec_hash})
                append(connection, "workflows", workflow, [fact])

    def workflow_spec(self, spec_hash: str) -> Mapping[str, Any] | None:
        """The spec with a hash, or None; its keys in the order in which it was declared, where that was kept."""
        versions = tables.workflow_versions.c
        query = select(versions.spec, versions.in_order).where(versions.spec_hash == spec_hash).limit(1)
        with self._transaction() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return row.spec if row.in_order is None else json.loads(row.in_order)

    def workflow_specs(self, workflow: str) -> Mapping[str, Mapping[str, Any]]:
        """Every spec under which a workflow has decided, by hash, in the order in which they came."""
        versions = tables.workflow_versions.c
        query = select(versions.spec_hash, versions.spec).where(versions.workflow == workflow)
        with self._transaction() as connection:
            rows = connection.execute(query.order_by(versions.first_seen, versions.spec_hash))
            return {row.spec_hash: dict(row.spec) for row in rows}

    def record_readers(self, workflow: str, places: Sequence[str]) -> None:
        """A workflow has read these places; the same fact twice is one row."""
        rows = [{"workflow": workflow, "place": place} for place in sorted(set(places))]
        with self._transaction() as connection:
            if rows:
                readers = tables.source_readers
                new = insert(readers).values(rows).on_conflict_do_nothing().returning(readers)
                facts = [Fact.of(readers.name, row) for row in connection.execute(new)]
                append(connection, "workflows", workflow, facts)

    def source_readers(self) -> dict[str, list[str]]:
        """The places that each workflow has read, of workflows that have decided anything."""
        readers = tables.source_readers.c
        decided = select(tables.workflow_versions.c.workflow)
        query = select(readers.workflow, readers.place).where(readers.workflow.in_(decided))
        places: dict[str, list[str]] = {}
        with self._transaction() as connection:
            for row in connection.execute(query.order_by(readers.workflow, readers.place)):
                places.setdefault(row.workflow, []).append(row.place)
        return places

    def night_specs(self, workflow: str, night: str) -> set[str]:
        """The hashes of the specs under which cases of a night were decided."""
        decisions = tables.decisions.c
        query = select(decisions.spec_hash).distinct().where(decisions.workflow == workflow, decisions.night == night)
        with self._transaction() as connection:
            return set(connection.scalars(query))

    def decided_cases(self, workflow: str, cases: Sequence[str]) -> set[str]:
        """Which of these cases have a decision."""
        decisions = tables.decisions.c
        given = decisions.case_id == any_(bindparam("cases", type_=ARRAY(Text)))
        query = select(decisions.case_id).distinct().where(decisions.workflow == workflow, given)
        with self._transaction() as connection:
            return set(connection.scalars(query, {"cases": list(cases)}))

    def record_model(self, model: ModelVersion) -> None:
        """Keeps a model version; the same one twice is one row.

        Raises:
            LedgerRefused: the version is known with another digest.
        """
        with self._transaction() as connection:
            append(connection, "models", model.workflow, insert_model(connection, model))

    def models(self, workflow: str) -> list[ModelVersion]:
        """A workflow's model versions, by the night as of which they were trained, then as recorded."""
        versions = tables.model_versions
        query = (
            select(versions).where(versions.c.workflow == workflow).order_by(versions.c.night, versions.c.recorded_at)
        )
        with self._transaction() as connection:
            return [model_of(row) for row in connection.execute(query)]

    def record_champion(self, workflow: str, model: ModelVersion, night: str, reason: str) -> None:
        """From `night` on this version decides. Append-only; the same fact twice is one row."""
        with self._transaction() as connection:
            facts = insert_model(connection, model)
            facts += insert_champion(connection, workflow, model.version, night, reason)
            append(connection, "champions", workflow, facts)

    def champion(self, workflow: str, night: str) -> ModelVersion | None:
        """Who decides on a night: of those with from_night <= night the latest from_night, then the last recorded.

        The order in which nights are backfilled makes no difference.
        """
        query = champion_history(workflow).where(tables.champions.c.from_night <= night).limit(1)
        with self._transaction() as connection:
            row = connection.execute(query).first()
        return None if row is None else model_of(row)

    # -- decisions -----------------------------------------------------------------------------------------------

    def begin_attempt(self, workflow: str, night: str, run_id: str, ends: datetime | None = None) -> int:
        """A new attempt at deciding a night; older ones can no longer write.

        Args:
            ends: the end of the night, which must have come by the database's clock.

        Raises:
            NightNotEnded: it has not.
        """
        attempts = tables.attempts.c
        row = (literal(workflow), literal(night, attempts.night.type), literal(1), literal(run_id))
        ended = select(*row).where(true() if ends is None else func.now() >= ends)
        newer = insert(tables.attempts).from_select(["workflow", "night", "attempt", "run_id"], ended)
        statement = newer.on_conflict_do_update(
            index_elements=["workflow", "night"],
            set_={"attempt": attempts.attempt + 1, "run_id": run_id, "begun_at": func.now()},
        ).returning(attempts.attempt)
        with self._transaction() as connection:
            attempt = connection.execute(statement).scalar()
            if attempt is None:
                raise _not_ended(workflow, night, ends, connection.scalar(select(func.now())))
        return int(attempt)

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
        """Adds decisions for cases never decided, with their tasks, actions and audit row, in one transaction.

        It is fenced by `attempt`. Of `work` only what belongs to a new decision is added.

        Args:
            work: what the decisions ask for; without it they lead to nothing.
            basis: the tables that they rest on, and the checks that must have passed on them.

        Returns:
            The standing decision of every case given, in the order given: case_id, option, made_by, reason, night,
            new (whether this call made it).

        Raises:
            StaleAttempt: a newer attempt at this night has begun, or none.
            LedgerRefused: a check has not passed on the basis.
            ValueError: a case occurs twice.
        """
        cases = [decision.case_id for decision in decisions]
        with self._transaction() as connection:
            run_id = hold_fence(connection, workflow, night, attempt)
            cleared = clear(connection, Clearance(workflow, night, "decisions", attempt, run_id, self._stamped(basis)))
            rows = decision_rows(workflow, night, attempt, run_id, decisions)
            new = set(insert_new(connection, tables.decisions, [vars(row) for row in rows], "case_id"))
            first = decided_whole(connection, workflow, night)
            # a statement of its own: it sees what another transaction, waited for by the insert, has committed
            columns = [tables.decisions.c[name] for name in _STANDING]
            given = tables.decisions.c.case_id == any_(bindparam("cases", type_=ARRAY(Text)))
            query = standing_decisions(workflow).with_only_columns(*columns).where(given)
            standing = {row.case_id: row for row in connection.execute(query, {"cases": cases})}
            commit_work(
                connection, workflow, night, [row for row in rows if row.case_id in new], work, [*first, *cleared]
            )
        standing_rows = [[getattr(standing[case], name) for name in _STANDING] for case in cases]
        frame = _frame(standing_rows, _STANDING).astype("str")
        return frame.assign(new=[case in new for case in cases])

    def release(self, workflow: str, night: str, run_id: str, *, basis: Basis) -> int:
        """Lets a night's actions out; returns how many became ready.

        Args:
            basis: the tables that the night rests on, its decisions among them, and the checks that must have passed.

        Raises:
            NightUndecided: the night was never decided whole.
            LedgerRefused: a check has not passed on the basis, or the night was decided on another one.
        """
        with self._transaction() as connection:
            return release(connection, workflow, night, run_id, self._stamped(basis))

    def record_verdict(self, workflow: str, night: str, verdict: CheckVerdict, run_id: str) -> None:
        """Adds what a blocking check found."""
        stamped = replace(verdict, judged={**verdict.judged, CODE: self.code})
        with self._transaction() as connection:
            add_verdict(connection, workflow, night, stamped, run_id)

    def _stamped(self, basis: Basis) -> Basis:
        return replace(basis, judged={**basis.judged, CODE: self.code})

    def verdicts(self, workflow: str, night: str) -> list[CheckVerdict]:
        """What a night's blocking checks found, in the order in which it was recorded; of the same check over the
        same tables the last word only."""
        with self._transaction() as connection:
            rows = connection.execute(verdicts_of(workflow, night))
            return [CheckVerdict(row.check_name, row.passed, row.words, row.judged) for row in rows]

    def decision(self, workflow: str, case_id: str) -> RecordedDecision | None:
        """The standing decision of a case, or None."""
        query = standing_decisions(workflow).where(tables.decisions.c.case_id == case_id)
        with self._transaction() as connection:
            return value(connection, RecordedDecision, query)

    def decided_nights(self, workflow: str) -> list[str]:
        """Nights that were decided whole, in order; a night without cases counts."""
        attempts = tables.attempts.c
        query = select(attempts.night).where(attempts.workflow == workflow, attempts.decided_at.is_not(None))
        with self._transaction() as connection:
            return list(connection.scalars(query.order_by(attempts.night)))

    def counts(self, workflow: str, first: str | None = None, last: str | None = None) -> pd.DataFrame:
        """Standing decisions by night and option: night, option, cases; of all nights, or of first <= night <= last."""
        with self._transaction() as connection:
            rows = connection.execute(standing_counts(workflow, first, last)).all()
        return _frame(rows, ["night", "option", "cases"])

    # -- outcomes ------------------------------------------------------------------------------------------------

    def record_outcomes(self, workflow: str, outcomes: pa.Table) -> int:
        """Adds outcomes that are not yet known, returning how many are new.

        Args:
            outcomes: case_id, label, known_at (time-zone aware), source and, where known, true_at.

        Raises:
            ValueError: a time has no time zone.
        """
        columns = [
            name for name in ("case_id", "label", "true_at", "known_at", "source") if name in outcomes.column_names
        ]
        if any(getattr(outcomes.schema.field(name).type, "tz", "UTC") is None for name in columns):
            raise ValueError(f"an outcome's times need a time zone: cast {', '.join(columns)} to timestamp[us, UTC]")
        rows = [{"workflow": workflow, **row} for row in outcomes.select(columns).to_pylist()]
        # in one order for everybody, or two that add the same outcomes could wait for each other for ever
        rows.sort(key=lambda row: [str(row.get(name)) for name in columns])
        with self._transaction() as connection:
            new = insert_new(connection, tables.outcomes, jsonable(rows), "id")
            append(connection, "outcomes", workflow, outcome_facts(connection, new))
            return len(new)

    def outcomes_known(self, workflow: str, as_of: datetime) -> pd.DataFrame:
        """The outcome of each case as it was known before `as_of`: case_id, label, known_at (UTC), by case.

        Of several the latest known_at wins, then the last recorded.
        """
        with self._transaction() as connection:
            return KEPT.standing(connection, workflow, as_of)

    def outcome_history(self, workflow: str, before: datetime) -> pd.DataFrame:
        """Every outcome that became known before then, corrections included: case_id, label, known_at (UTC), in the
        order in which they became known."""
        with self._transaction() as connection:
            return KEPT.history(connection, workflow, before)

    def contradictions(self, workflow: str) -> pd.DataFrame:
        """Cases whose latest outcomes contradict each other, by case: case_id, known_at (UTC), labels, sources."""
        with self._transaction() as connection:
            rows = connection.execute(contradicting.contradictions(workflow)).all()
        return _frame(rows, list(contradicting.CONTRADICTION)).astype({"known_at": "datetime64[us, UTC]"})

    def decided(self, workflow: str, first: str, last: str) -> pd.DataFrame:
        """What was first decided of each case on the nights first <= night <= last, columns as `past.DECIDED`."""
        with self._transaction() as connection:
            return _frame(connection.execute(past_decisions(workflow, first, last)).all(), list(DECIDED))

    def decided_further(self, workflow: str, first: str, before: str) -> dict[str, str]:
        """Of the cases of first <= night < before that were decided further, by people above all, what stands."""
        with self._transaction() as connection:
            return {row.case_id: row.option for row in connection.execute(decided_further(workflow, first, before))}

    def labels_of_models(self, workflow: str, versions: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The labels of which each version gives probabilities, in order; versions that never decided are missing."""
        with self._transaction() as connection:
            by_version = {
                version: connection.scalar(labels_of_model(workflow, version)) for version in sorted(set(versions))
            }
        return {version: tuple(labels) for version, labels in by_version.items() if labels}

    def outcomes_since(self, workflow: str, after: datetime | None, before: datetime) -> int:
        """How many cases have an outcome that became known in after <= known_at < before; without `after`, ever."""
        outcomes = tables.outcomes.c
        query = select(func.count(outcomes.case_id.distinct())).where(
            outcomes.workflow == workflow, outcomes.known_at < before
        )
        if after is not None:
            query = query.where(outcomes.known_at >= after)
        with self._transaction() as connection:
            return connection.scalar(query) or 0

    def training_asked(self, workflow: str, since: str | None, before: str) -> str | None:
        """Why drift asked for a training after a night in since <= night < before, last; None if it has not."""
        asked = training_requests.c
        query = select(asked.why).where(asked.workflow == workflow, asked.night < before).order_by(asked.night.desc())
        if since is not None:
            query = query.where(asked.night >= since)
        with self._transaction() as connection:
            return connection.scalar(query.limit(1))

    # -- alerts --------------------------------------------------------------------------------------------------

    def raise_alert(self, workflow: str, kind: str, key: str, message: str, owner: str, next_command: str) -> bool:
        """Raises an alert, or raises a closed one again; False when it is open already.

        Args:
            key: what the alert is about, unique within the workflow.
            next_command: what the owner should run next.
        """
        row = {"kind": kind, "message": message, "owner": owner, "next_command": next_command}
        statement = insert(tables.alerts).values(workflow=workflow, key=key, **row)
        statement = statement.on_conflict_do_update(
            index_elements=["workflow", "key"],
            set_={**row, "raised_at": func.now(), "closed_at": None},
            where=tables.alerts.c.closed_at.is_not(None),
        )
        with self._transaction() as connection:
            return bool(connection.scalars(statement.returning(tables.alerts.c.id)).all())

    def close_alert(self, workflow: str, *keys: str) -> bool:
        """Closes alerts; False when none is open under these keys."""
        alerts = tables.alerts.c
        still_open = update(tables.alerts).where(
            alerts.workflow == workflow, alerts.key.in_(keys), alerts.closed_at.is_(None)
        )
        with self._transaction() as connection:
            return bool(connection.execute(still_open.values(closed_at=func.now())).rowcount)

    def open_alerts(self) -> list[OpenAlert]:
        """Alerts nobody has closed, oldest first."""
        alerts = tables.alerts.c
        query = select(tables.alerts).where(alerts.closed_at.is_(None)).order_by(alerts.raised_at, alerts.id)
        with self._transaction() as connection:
            return values(connection, OpenAlert, query)


def _not_ended(workflow: str, night: str, ends: datetime | None, now: datetime | None) -> NightNotEnded:
    here = datetime.now(UTC)
    apart = 0.0 if now is None else (here - now).total_seconds()
    clock = f"; this machine's clock is {apart:+.0f} s off, set it right" if abs(apart) > _CLOCKS_AGREE else ""
    return NightNotEnded(
        f"night {night} of {workflow} ends at {ends} and the database's clock says {now}{clock}; nothing was decided, "
        "run it again once it has ended"
    )


def _frame(rows: Sequence[Sequence[Any]], columns: list[str]) -> pd.DataFrame:
    """Rows as a frame that has its columns even when it has no rows."""
    return pd.DataFrame.from_records([tuple(row) for row in rows], columns=columns)
