"""`pipeline demo` and `pipeline sample`: nights of return claims with a known truth, run and shown."""

from __future__ import annotations

from datetime import date, timedelta

from pipeline_project.commands.backfill import run_nights, tell
from pipeline_project.commands.console import Exit, emit, say, steps
from pipeline_project.commands.ground import REPORTS_PORT, settings, workflow
from pipeline_project.commands.nights import as_rows
from pipeline_project.domain.nights import nights_between

SAMPLED = "returns"


def run_demo(nights: int, per_night: int, seed: int, as_json: bool) -> int:
    """Sample cases from the workflow's first night to `nights` decided ones, then every one of those nights."""
    spec = workflow(SAMPLED)
    last = spec.nights.decide_from + timedelta(days=nights - 1)
    _write(spec.nights.first, last, per_night, seed, quiet=as_json)
    runs = run_nights(spec, spec.nights.first, last, quiet=as_json)
    index = settings().home / "reports" / "index.html"
    if as_json:
        emit({"nights": as_rows(runs), "page": str(index)})
    else:
        tell(SAMPLED, runs)
        say(f"The page of these nights: {index}")
        say(
            f"Next: `pipeline up`, then http://127.0.0.1:{REPORTS_PORT} for the pages; `pipeline status`; `pipeline why {SAMPLED} CASE`."
        )
    return Exit.DONE if all(run.went_well for run in runs) else Exit.NIGHT_FAILED


def write_sample(first: date, last: date, per_night: int, seed: int, as_json: bool) -> int:
    """Sample cases alone, without running anything."""
    summary = _write(first, last, per_night, seed, quiet=as_json)
    if as_json:
        emit(summary)
    else:
        say(f"{summary['claims']} claims and {summary['photos']} photos in {settings().sample_folder / SAMPLED}")
    return Exit.DONE


def _write(first: date, last: date, per_night: int, seed: int, quiet: bool) -> dict[str, int]:
    from pipeline_project.sample import make_sample

    nights = [date.fromisoformat(night) for night in nights_between(first, last)]
    with steps(len(nights), "sample cases", quiet) as bar:
        summary = make_sample(
            settings().sample_folder / SAMPLED,
            nights,
            per_night,
            seed,
            progress=lambda done, total: bar.step(f"sample cases {nights[min(done, total) - 1]}"),
        )
    return {"nights": len(nights), "claims": summary.claims, "photos": summary.photos}
