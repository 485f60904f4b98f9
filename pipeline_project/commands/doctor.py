"""`pipeline doctor`: whether what the project stands on holds, and what to do where it does not."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import prepare, settings, usable, workflows
from pipeline_project.commands.shared.console import AsJson, Exit, emit, say
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.domain.core.locations import is_url
from pipeline_project.settings import ROOT

FREE_GIGABYTES = 2.0

app = command_app()


@app.command(
    epilog=example("pipeline doctor", "pipeline doctor --deep"),
)
def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also read every file kept, and name what is damaged.")] = False,
    as_json: AsJson = False,
) -> None:
    """Checks what the project stands on: Python, packages, home, disk, database, lake, MLflow, encoders, workflows."""
    raise typer.Exit(examine(as_json, deep))


@dataclass(frozen=True)
class Inspection:
    """One thing looked at; `words` says what was seen and, when it is not well, what to do."""

    what: str
    well: bool
    words: str


def examine(as_json: bool, deep: bool = False) -> int:
    """Looks at everything; one thing that is broken does not hide the others.

    Args:
        deep: also reads all that is kept, and names what is damaged.
    """
    findings = [_looked(what, look) for what, look in LOOKS.items()]
    if deep:
        findings += _deep()
    if as_json:
        emit([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{'ok  ' if finding.well else 'FAIL'} {finding.what}: {finding.words}")
    return Exit.DONE if all(finding.well for finding in findings) else Exit.ENVIRONMENT_MISSING


def _looked(what: str, look: Callable[[], str]) -> Inspection:
    try:
        return Inspection(what, True, look())
    except (PipelineError, OSError, PackageNotFoundError) as error:
        return Inspection(what, False, str(error))


class _NotWell(PipelineError):
    """Something a person should mend."""


def _python() -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise _NotWell(f"this is Python {sys.version.split()[0]}; take 3.11, 3.12 or 3.13: make clean, then make run")
    return sys.version.split()[0]


def _packages() -> str:
    locked = dict(
        line.split("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line[:80] and line[0] != "#"
    )
    off = [name for name, wanted in locked.items() if version(name).split("+")[0] != wanted]
    if off:
        raise _NotWell(f"{', '.join(off[:8])} differ from requirements.lock; run pip install -r requirements.lock")
    return f"{len(locked)} as locked"


def _home() -> str:
    return str(usable(settings().home))


def _space() -> str:
    free = shutil.disk_usage(settings().home).free / 1e9
    if free < FREE_GIGABYTES:
        raise _NotWell(f"{free:.1f} GB free at {settings().home}; free some, or set PIPELINE_HOME to a larger disk")
    return f"{free:.0f} GB free"


def _database() -> str:
    from resources.postgres.databases import safe

    context = prepare()
    return (
        f"{'embedded' if context.settings.postgres_url is None else 'your own'}, {safe(context.databases.ledger_url)}"
    )


def _lake() -> str:
    from pipeline_project.container.privacy import open_sealed_lake

    chosen = settings()
    open_sealed_lake(chosen).nights("doctor", "probe")
    return chosen.lake_url


def _files() -> str:
    """Whether what lies behind URLs can be written to, and by several hosts at once."""
    from resources.files import files_at
    from resources.files.probing import keeps_conditions

    chosen = settings()
    places = (chosen.lake_url, chosen.models, chosen.reports, chosen.repairs, chosen.checkpoints)
    behind = sorted({place for place in places if is_url(place)})
    for place in behind:
        if not keeps_conditions(files_at(place)):
            raise _NotWell(
                f"{place} takes a file twice that may be created once, so two hosts would overwrite each other's "
                "commits; use a store that honours If-None-Match and If-Match"
            )
    return f"{', '.join(behind)}: written, read, conditions kept" if behind else "all on this machine"


def _mlflow() -> str:
    import os

    os.environ.update(prepare().environ)
    from mlflow.tracking import MlflowClient

    versions = MlflowClient().search_registered_models(max_results=100)
    return f"{len(versions)} registered models"


def _encoder() -> str:
    from pipeline_project.container.night import default_text_encoder

    return default_text_encoder(settings().device).version


def _workflows() -> str:
    loaded = workflows()
    if loaded.broken:
        raise _NotWell("; ".join(str(broken) for broken in loaded.broken) + " (pipeline check says more)")
    return ", ".join(sorted(loaded.specs))


def _chromium() -> str:
    executable = shutil.which("chromium")
    return str(Path(executable)) if executable else "not there; only the pictures and the browser tests need it"


def _deep() -> list[Inspection]:
    """One line for everything that was read, and one for each thing that is damaged."""
    import os

    from pipeline_project.container.night import open_registry
    from pipeline_project.container.privacy import open_sealed_lake
    from pipeline_project.operations.deep_check import look_deep
    from resources.files import files_at

    context = prepare()
    os.environ.update(context.environ)
    chosen, specs = context.settings, workflows().specs
    models = [model for name in sorted(specs) for model in context.ledger.models(name)]
    try:
        looked = look_deep(open_sealed_lake(chosen).store, open_registry(chosen), models, files_at(chosen.reports))
    except PipelineError as error:
        return [Inspection("all that is kept", False, str(error))]
    summary = (
        f"{looked.files} files of the lake ({looked.undigested} without a digest), {looked.models} model versions "
        f"({looked.let_go} let go) and {looked.pages} pages read, {len(looked.damaged)} damaged"
    )
    damaged = [Inspection(damage.what, False, f"{damage.why}; {damage.cure}") for damage in looked.damaged]
    return [Inspection("all that is kept", not damaged, summary), *damaged]


LOOKS: dict[str, Callable[[], str]] = {
    "Python": _python,
    "packages": _packages,
    "home": _home,
    "disk": _space,
    "database": _database,
    "lake": _lake,
    "files": _files,
    "MLflow": _mlflow,
    "text encoder": _encoder,
    "workflows": _workflows,
    "chromium": _chromium,
}
