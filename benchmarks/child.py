"""One measurement in a process of its own: `python -m benchmarks.child WHAT ARGUMENTS ANSWER`."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bare import kept, now, replayed, since
from benchmarks.counting import COUNTED, counted
from benchmarks.numerical_calls import CALLS
from benchmarks.server_time import ServerTime
from benchmarks.stored import stored
from pipeline_project.commands.shared.app_context import dagster_instance, prepare, settings, workflow, workflows
from pipeline_project.commands.shared.night_runner import NightRun, NightRunner
from pipeline_project.partitions import window
from resources.metering import METER

WORKFLOW = "returns"
SEED = 7
#: Nights that gather what the first model learns from; fewer than the workflow's own, which are not needed for speed.
WARM_UP = 12
SLOWEST_STEPS = 6
COMMONEST = 80


@dataclass(frozen=True)
class Runner:
    """Runs nights in this process and looks up how long Dagster says that they took."""

    nights: NightRunner

    def run(self, first: date, last: date, again: bool = False) -> list[NightRun]:
        """
        Raises:
            SystemExit: a night did not go well, so that nothing was measured.
        """
        runs = self.nights.run(first.isoformat(), last.isoformat(), again=again)
        if bad := [f"{run.night} {run.outcome}: {run.why}" for run in runs if not run.went_well]:
            raise SystemExit("; ".join(bad))
        return runs

    def own_seconds(self, first: date, last: date) -> float:
        """The sum of what Dagster's run records say of these nights, trainings included."""
        from dagster import RunsFilter

        wanted = {(first + timedelta(days=day)).isoformat() for day in range((last - first).days + 1)}
        records = self.nights.instance.get_run_records(RunsFilter(tags={"pipeline/workflow": WORKFLOW}))
        return sum(
            record.end_time - record.start_time
            for record in records
            if record.dagster_run.tags.get("dagster/partition") in wanted and record.end_time and record.start_time
        )

    def steps(self, run: NightRun) -> dict[str, float]:
        """Seconds of the slowest steps of a night."""
        stats = self.nights.instance.get_run_step_stats(str(run.run_id))
        spent = {
            step.step_key.removeprefix(f"{WORKFLOW}__"): step.end_time - step.start_time
            for step in stats
            if step.start_time and step.end_time
        }
        return dict(sorted(spent.items(), key=lambda step: -step[1])[:SLOWEST_STEPS])


@contextmanager
def runner(name: str = WORKFLOW) -> Iterator[Runner]:
    context = prepare()
    from pipeline_project.container.night import OpenedSources, open_ledger
    from pipeline_project.definitions import build_definitions

    definitions = build_definitions(os.environ)
    with dagster_instance(context) as instance:
        sources, ledger = OpenedSources(context.settings), open_ledger(context.settings)
        yield Runner(NightRunner(workflow(name), definitions, instance, sources, ledger))


def sample(first: str, last: str, cases: int) -> dict[str, Any]:
    """Writes sample cases; `cases` a night on average."""
    from pipeline_project.sample import make_sample

    start, days = date.fromisoformat(first), (date.fromisoformat(last) - date.fromisoformat(first)).days
    nights = [start + timedelta(days=day) for day in range(days + 1)]
    spec = workflow(WORKFLOW)
    made = make_sample(settings().sample_folder / WORKFLOW, nights, cases, SEED, first=spec.nights.first)
    return {"cases": made.rows, "photos": made.photos}


def nights(first: str, last: str) -> dict[str, Any]:
    """A backfill in one process, and what its numerical calls took of it."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    with runner() as own:
        took, runs = _measured(lambda: own.run(start, end), ServerTime.of(settings()))
        return {"nights": len(runs), "own_seconds": own.own_seconds(start, end), **took}


def night(before: str, measured: str, keep: str) -> dict[str, Any]:
    """One decided night after another in a new process, then the second one twice more: as it is, and again.

    Args:
        keep: a folder for the numerical calls of both nights, which `bare` makes again.
    """
    first, day = date.fromisoformat(before), date.fromisoformat(measured)
    with runner() as own:
        server = ServerTime.of(settings())
        cold, _ = _measured(lambda: own.run(first, first), server, Path(keep) / "cold")
        warm, runs = _measured(lambda: own.run(day, day), server, Path(keep) / "warm")
        if not warm["calls"].get("scores"):
            raise SystemExit(
                f"no model scored the night {measured}; look for `no_model` or `model_unavailable` in its scores"
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        passed_over, _ = _measured(lambda: own.run(day, day), server)
        again, _ = _measured(lambda: own.run(day, day, again=True), server)
        return {
            "cold": cold,
            "warm": warm,
            "passed_over": passed_over,
            "again": again,
            "steps": own.steps(runs[0]),
            # kilobytes on Linux, bytes on macOS
            "peak_bytes": peak * (1 if sys.platform == "darwin" else 1024),
            "cases": _cases(measured),
        }


def bare(keep: str) -> dict[str, Any]:
    """The numerical calls of both nights of `night` and nothing else, in a new process."""
    spec, answer = workflow(WORKFLOW), {}
    for name in ("cold", "warm"):
        spent = replayed(Path(keep) / name, spec)
        answer[name] = {"seconds": sum(spent.seconds.values()), "processor": sum(spent.processor.values())}
    return answer


def growth(first: str, last: str, named: str) -> dict[str, Any]:
    """Night after night of a workflow in one process: what each took, read from the lake and held in memory."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    nights: list[dict[str, Any]] = []
    with runner(named) as own, counted() as counts:
        server, rows = ServerTime.of(settings()), 0
        for number in range((end - start).days + 1):
            day = start + timedelta(days=number)
            took, _ = _measured(partial(own.run, day, day), server)
            read, rows = counts["rows read from the lake"] - rows, counts["rows read from the lake"]
            held = psutil.Process().memory_info().rss
            trained = bool(took.pop("calls").get("training"))
            cases = _cases(str(day)) if named == WORKFLOW else 0
            nights.append({**took, "cases": cases, "rows": read, "held": held, "trained": trained})
    return {"nights": nights}


def _measured(call: Callable[[], Any], server: ServerTime, keep: Path | None = None) -> tuple[dict[str, Any], Any]:
    """Seconds of a call by the clock, of this process's processor and of the database's, and of its numerical calls."""
    database = server.seconds()
    with kept(keep) as spent:
        began = now()
        answer = call()
        seconds, processor = since(began)
    took = {
        "seconds": seconds - spent.keeping[0],
        "processor": processor - spent.keeping[1],
        "database": server.seconds() - database,
        "calls": {kind: spent.seconds[kind] for kind in CALLS if kind in spent.seconds},
        "numerical": sum(spent.processor.values()),
    }
    return took, answer


def ticks() -> dict[str, Any]:
    """Seconds of one tick of each sensor of the house, the second of two: the first one pays for imports."""
    import dagster as dg

    with runner() as own:
        definitions, instance = own.nights.definitions, own.nights.instance
        took: dict[str, float] = {}
        # those of the other shipped workflows read data that is not here
        others = tuple(f"{name}_" for name in workflows().specs if name != WORKFLOW)
        for sensor in definitions.sensors or ():
            if isinstance(sensor, dg.RunStatusSensorDefinition) or sensor.name.startswith(others):
                continue
            for _ in range(2):
                began = now()
                with dg.build_sensor_context(
                    instance=instance,
                    sensor_name=sensor.name,
                    definitions=definitions,
                    resources=dict(definitions.resources or {}),
                ) as context:
                    sensor.evaluate_tick(context)
                took[sensor.name] = since(began)[0]
        return {"ticks": took}


def counts(before: str, measured: str, words: bool = False) -> dict[str, Any]:
    """What one decided night asks of databases, lake and Dagster, after one that pays for what a process asks once.

    Args:
        words: also the commonest statements, by their words.
    """
    day = date.fromisoformat(measured)
    texts: Counter[str] | None = Counter() if words else None
    with runner() as own:
        own.run(date.fromisoformat(before), date.fromisoformat(before))
        with counted(texts) as found:
            run = own.run(day, day)[0]
        found["Dagster events"] = len(own.nights.instance.all_logs(str(run.run_id)))
    said = dict(texts.most_common(COMMONEST)) if texts is not None else {}
    return {"counts": {name: found[name] for name in COUNTED}, "cases": _cases(measured), "words": said}


def cost(before: str, measured: str) -> dict[str, Any]:
    """What one decided night takes, after one that pays for what a process pays once: processor seconds of its steps
    and of the database, rows of each table of the ledger, bytes of the stores, statements."""
    first, day = date.fromisoformat(before), date.fromisoformat(measured)
    with runner() as own:
        server = ServerTime.of(settings())
        own.run(first, first)
        there = stored(settings())
        with counted() as found:
            took, runs = _measured(lambda: own.run(day, day), server)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run_id = str(runs[0].run_id)
        found["Dagster events"] = len(own.nights.instance.all_logs(run_id))
        steps = {name.removeprefix(f"{WORKFLOW}__"): of.seconds for name, of in METER.steps(run_id).items()}
        grown = stored(settings()).since(there)
        return {
            "cases": _cases(measured),
            "processor": took["processor"],
            "database": took["database"],
            "steps": steps,
            "rows": grown.rows,
            # memory is what the process came to, not what came in between; kilobytes on Linux, bytes on macOS
            "bytes": {**grown.bytes, "memory at its peak": peak * (1 if sys.platform == "darwin" else 1024)},
            "counts": {name: found[name] for name in COUNTED},
        }


def _cases(night: str) -> int:
    from resources.sources import case_source

    spec = workflow(WORKFLOW)
    return len(case_source(spec, settings()).read(window(spec, night)).rows)


if __name__ == "__main__":
    what, given, answer = sys.argv[1:]
    measures: dict[str, Callable[..., dict[str, Any]]] = {
        "sample": sample,
        "nights": nights,
        "night": night,
        "bare": bare,
        "growth": growth,
        "ticks": ticks,
        "counts": counts,
        "cost": cost,
    }
    found = measures[what](**json.loads(given))
    Path(answer).write_text(json.dumps(found))
