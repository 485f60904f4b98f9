"""`pipeline nights`: runs a range of nights in order, each as a Dagster run of its own, in this process.

A night that is done and for which nothing new has landed is passed over, so that the same command, run again after
it was killed, goes on where it stopped.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline_project.automation.jobs import job_kind, job_name
from pipeline_project.automation.progress import landed_tag, late_photos, night_states
from pipeline_project.automation.sensors import alert_key, next_command
from pipeline_project.automation.training import training_due
from pipeline_project.domain.core.alerts import NIGHT_STOPPED, OpenAlert
from pipeline_project.domain.core.errors import NightBlocked, says_what_to_do, waits_for_a_person
from pipeline_project.domain.core.nights import nights_between
from pipeline_project.domain.core.run_tags import STARTED_BY
from pipeline_project.domain.deciding.clearance import BLOCKING, LANDED_CHECK, way_out
from pipeline_project.domain.intake.due_nights import is_done, looked_at
from pipeline_project.partitions import last_ended, window
from pipeline_project.ports.ledger import Ledger

if TYPE_CHECKING:
    import dagster as dg

    from pipeline_project.ports.sources import Sources
    from pipeline_project.spec import WorkflowSpec

#: Dagster's event log keeps everything; the terminal shows only what went wrong.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class NightRun:
    """What became of one night.

    Attributes:
        outcome: done, passed_over (nothing new), blocked (a check stopped it) or failed.
        run_id: the last Dagster run of it, None when it was passed over.
        why: what stopped it, with the command to run next.
        notes: what somebody should look at although the night went through.
    """

    night: str
    outcome: str
    seconds: float
    run_id: str | None = None
    trained: str | None = None
    why: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def went_well(self) -> bool:
        return self.outcome in ("done", "passed_over")


class NightRunner:
    """Runs nights of one workflow in order, training where it is due."""

    def __init__(
        self,
        spec: WorkflowSpec,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        sources: Sources,
        ledger: Ledger,
        mark: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            mark: tags for every run, by which a dead process is told from a living one (`orphans.alive`).
        """
        self.spec, self.definitions, self.instance = spec, definitions, instance
        self.sources, self.ledger, self.mark = sources, ledger, dict(mark or {})

    def run(
        self,
        first: str,
        last: str,
        again: bool = False,
        retrain: bool | None = None,
        report: Callable[[NightRun], None] = lambda night: None,
    ) -> list[NightRun]:
        """Runs the nights from `first` to `last`, keys both.

        Args:
            again: also those that are done.
            retrain: True trains on every night, False on none, None where the spec says so.
            report: called after each night.
        """
        ended = last_ended(self.spec, self.ledger.now())
        wanted = [night for night in nights_between(first, last) if night <= ended]
        photos = late_photos(self.instance, self.spec, self.sources, looked_at(wanted, self._alerts()))
        states = night_states(self.instance, self.spec, self.sources.cases(self.spec), wanted, photos)
        runs = []
        for night in wanted:
            done = is_done(states[night]) and not again and not retrain
            run = NightRun(night, "passed_over", 0.0) if done else self._one(night, states[night].landed, retrain)
            runs.append(run)
            report(run)
        return runs

    def _alerts(self) -> list[OpenAlert]:
        return [alert for alert in self.ledger.open_alerts() if alert.workflow == self.spec.name]

    def _one(self, night: str, landed: str, retrain: bool | None) -> NightRun:
        started = time.monotonic()
        trained = None
        due = self._training_due(night) if retrain is None else ("asked for" if retrain else None)
        if due:
            training = self._execute("retrain", night, {"pipeline/why": due})
            trained = due if training.success else None
            if not training.success:
                return self._stopped(night, "retrain", training, time.monotonic() - started)
        kind = job_kind(self.spec, night)
        result = self._execute(kind, night, landed_tag(landed))
        seconds = time.monotonic() - started
        if result.success:
            return NightRun(night, "done", seconds, result.run_id, trained, notes=tuple(_notes(result.all_events)))
        return self._stopped(night, kind, result, seconds)

    def _training_due(self, night: str) -> str | None:
        return training_due(self.spec, self.ledger, night, window(self.spec, night).start)

    def _execute(self, kind: str, night: str, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(job_name(self.spec, kind))
        result = job.execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            partition_key=night,
            tags={STARTED_BY: getpass.getuser(), **tags, **self.mark},
            raise_on_error=False,
        )
        if interrupted(result.all_events):
            # Dagster ends the run and keeps the interruption to itself; whoever sent it wants the command to end
            raise KeyboardInterrupt
        if result.success:
            self.ledger.close_alert(self.spec.name, alert_key(self.spec, job.name, night))
        return result

    def _stopped(self, night: str, kind: str, result: dg.ExecuteInProcessResult, seconds: float) -> NightRun:
        why = "; ".join(dict.fromkeys(_reasons(result.all_events))) or "see the run in Dagster"
        stopped_by = [check.check_name for check in _stopping(result.all_events)]
        errors = [error.cls_name for _, error in _errors(result.all_events)]
        job = job_name(self.spec, kind)
        ways = dict.fromkeys(way_out(check, self.spec.name, night) for check in stopped_by if check in BLOCKING)
        command, key = "; ".join(ways) or next_command(self.spec, job, night), alert_key(self.spec, job, night)
        self.ledger.raise_alert(self.spec.name, NIGHT_STOPPED, key, why, self.spec.owners[0], command)
        blocked = stopped_by or NightBlocked.__name__ in errors
        # an error that waits for a person says itself what to do; to run again before that would only fail again
        message = why if not ways and any(map(waits_for_a_person, errors)) else f"{why} (next: {command})"
        return NightRun(night, "blocked" if blocked else "failed", seconds, result.run_id, None, message)


def _stopping(events: Iterable[Any]) -> Iterator[Any]:
    """Checks whose failure stops a night."""
    return (check for check in _checks(events) if not check.passed and check.severity.name == "ERROR")


def interrupted(events: Iterable[Any]) -> bool:
    """Whether a signal ended a run, wherever in it."""
    ends = (event.event_specific_data for event in events if event.event_type_value == "PIPELINE_FAILURE")
    return any(end.failure_reason is not None and end.failure_reason.name == "UNEXPECTED_TERMINATION" for end in ends)


def _notes(events: Iterable[Any]) -> Iterator[str]:
    """What is to be told of a night that went through: that one was empty is not passed over in silence."""
    for check in _checks(events):
        if check.check_name == LANDED_CHECK and not check.passed:
            yield str(check.description)


def _checks(events: Iterable[Any]) -> Iterator[Any]:
    return (e.event_specific_data for e in events if e.event_type_value == "ASSET_CHECK_EVALUATION")


def _reasons(events: Iterable[Any]) -> Iterator[str]:
    """What stopped a run, in words: checks that block, and the errors of steps."""
    events = list(events)
    for check in _stopping(events):
        yield f"{check.check_name}: {check.description or 'not passed'}"
    for step, error in _errors(events):
        message = error.message.strip().splitlines()[0]
        yield f"{step}: {message.rpartition(f'{error.cls_name}: ')[2]}"


def _errors(events: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """The steps that failed by an error, with the deepest that says what to do, else what was at the bottom of it."""
    for event in events:
        if event.event_type_value == "STEP_FAILURE":
            error, deeper = event.event_specific_data.error, event.event_specific_data.error
            while deeper is not None and deeper.cause is not None:
                deeper = deeper.cause
                if says_what_to_do(deeper.cls_name) or not says_what_to_do(error.cls_name):
                    error = deeper
            if error is not None and error.cls_name != "DagsterAssetCheckFailedError":
                yield event.step_key, error


def as_rows(runs: Iterable[NightRun]) -> list[dict[str, Any]]:
    return [asdict(run) for run in runs]
