"""What the files of `deploy/` name, compared with what there is: variables, commands, ports, addresses of health."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from typer.exceptions import TyperException

from pipeline_project.serving.ports import Ports
from pipeline_project.settings import Settings
from tests.docs.test_commands import parsed

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
USER = 10001
#: What others than the house read: Dagster, MLflow, and the libraries of object stores.
OTHERS = {
    "DAGSTER_HOME", "DAGSTER_DAEMON_HEARTBEAT_TOLERANCE", "DAGSTER_PG_PASSWORD", "MLFLOW_TRACKING_URI",
    "MLFLOW_BACKEND_STORE_URI", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP", "AWS_REGION", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "DAGSTER_CURRENT_IMAGE", "DAGSTER_RUN_JOB_NAME",
}  # fmt: skip
#: Of the house, and no settings: what Dagster's instance and a spec read.
MORE = re.compile(r"PIPELINE_(DAGSTER_POSTGRES_URL|OIDC_(ISSUER|CLIENT_ID|CLIENT_SECRET)|SHOP_(URL|SECRET)|SOURCE_\w+)")
SECRET = re.compile(r"(?i)(password|secret|token|access_?key|_url$)")
GUARDED = ["python", "-m", "pipeline_project.serving.guarded"]
PROBE = ["python", "-m", "pipeline_project.serving.probe"]
ADDRESS = re.compile(r"http://[\w.]+:\d+/\w+|grpc://[\w.]+:\d+")
#: How commands begin that are Dagster's, Ray's and the house's scripts.
KNOWN = (
    ["python", "deploy/make_secrets.py"],
    ["dagster", "api", "grpc"],
    ["dagster-daemon", "run"],
    ["dagster-daemon", "liveness-check"],
    ["ray", "start"],
    ["ray", "health-check"],
)
#: What stands before the command that a process is.
WRAPPERS = ("deploy/with-env", "deploy/entrypoint")


def settings_variables() -> set[str]:
    """The variables of every setting."""
    full = Settings(
        Path("/h"), "postgresql://x", workflow_folders=(Path("/w"),), real_data=Path("/r"), hosts=("a",),
        spec_variables=("B",), require_sign_in=False, tenants=Path("/t"), tenant="acme",
    )  # fmt: skip
    return set(full.to_environ())


def from_files() -> set[str]:
    """The variables that the image's entrypoint reads from files."""
    script = (DEPLOY / "entrypoint").read_text(encoding="utf-8")
    listed = re.search(r"for name in (.*?); do", script, re.DOTALL)
    assert listed is not None
    return set(re.findall(r"[A-Z_]+", listed[1]))


def unknown_variables(names: Iterator[str] | Sequence[str]) -> list[str]:
    """Those of which nobody in the house has heard."""
    known = settings_variables() | OTHERS
    readable = known | {f"{name}_FILE" for name in from_files()}
    return [name for name in names if name not in readable and not MORE.fullmatch(name)]


def wrong_command(words: Sequence[str]) -> Iterator[str]:
    """What is wrong with the command of a process."""
    command = [*words]
    while command and command[0] in WRAPPERS:
        yield from _missing(command.pop(0))
    yield from (lost for word in command if word.startswith("deploy/") for lost in _missing(word))
    if command[:1] == ["pipeline"]:
        yield from _refused(command[1:])
    elif command[:3] == GUARDED:
        if command[3] not in ("dagster", "mlflow", "reports"):
            yield f"guarded knows no {command[3]}"
    elif command[:3] == PROBE:
        if len(command) != 4 or not ADDRESS.fullmatch(command[3]):
            yield f"probe is given {' '.join(command[3:])}"
    elif not any(command[: len(known)] == known for known in KNOWN):
        yield f"nobody here knows the command {' '.join(command)}"


def _missing(path: str) -> Iterator[str]:
    if not (ROOT / path).is_file():
        yield f"{path} is not there"


def _refused(rest: list[str]) -> Iterator[str]:
    try:
        parsed(rest)
    except (KeyError, TyperException) as error:
        yield f"pipeline {' '.join(rest)}: {error}"


def port_of(words: Sequence[str]) -> int | None:
    """Where a command listens, by what it is given."""
    for option in ("--port", "-p"):
        if option in words:
            return int(words[words.index(option) + 1])
    if "--health" in words:
        return int(words[words.index("--health") + 1].rpartition(":")[2])
    if "reports" in words:
        return int(words[words.index("reports") + 2])
    return None


def usual_ports() -> Mapping[str, int]:
    """The ports under which people know the pages."""
    ports = Ports()
    return {"webserver": ports.dagster, "mlflow": ports.mlflow, "reports": ports.reports, "desk": ports.desk}


def secrets_in(environment: Mapping[str, Any]) -> list[str]:
    """Variables that hold a secret as it is: a password, a key, a URL with a password in it."""
    return [
        name
        for name, value in environment.items()
        if value
        and not name.endswith("_FILE")
        and (re.search(r"//[^/@\s]+:[^/@\s]+@", str(value)) or (SECRET.search(name) and "://" not in str(value)))
    ]


def script(name: str) -> ModuleType:
    """One of the programs of `deploy/`, which are no package."""
    there = importlib.util.spec_from_file_location(f"deploy_{name}", DEPLOY / f"{name}.py")
    assert there is not None
    assert there.loader is not None
    made = importlib.util.module_from_spec(there)
    there.loader.exec_module(made)
    return made
