"""`pipeline hooks`: the webhook receiver's secrets, events sent to it for trying out, and what came through it."""

from __future__ import annotations

import base64
import json
import os
import secrets as randomness
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import prepare, settings, workflow, workflows
from pipeline_project.commands.shared.asked_nights import night_asked
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say, table
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
    night_option,
    port_option,
)
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.intake.inbound.events import EventKind

if TYPE_CHECKING:
    import httpx

    from pipeline_project.desk.routes.hooks import HookReceiver
    from pipeline_project.spec import WorkflowSpec

#: Rows and bytes of an event that `send` makes, below the most that the door takes.
ROWS, BYTES = 500, 900 * 1024
_SECRET_BYTES = 32
#: The same rows of the same workflow are the same event, so sending a file again changes nothing.
_NAMES = uuid.UUID("5c1b3a52-1a04-4f7f-9d2c-3d1f7a1e6c11")

app = command_app(
    help="The webhook receiver: other systems post arrivals and outcomes.",
    epilog=example(
        "pipeline hooks secret returns",
        "pipeline hooks send returns claims.csv --night 2025-03-05",
        "pipeline hooks list --json",
    ),
)


class Posted(StrEnum):
    """What a file holds."""

    ARRIVALS = "arrivals"
    OUTCOMES = "outcomes"


@app.command(epilog=example("pipeline hooks secret returns"), short_help="Makes a secret, or the one that follows.")
def secret(workflow: Workflow, as_json: AsJson = False) -> None:
    """Makes a secret and prints it once, with the variable to set; where there is one, both are valid for a while."""
    raise typer.Exit(show_secret(workflow, as_json))


@app.command(
    epilog=example(
        "pipeline hooks send returns claims.csv",
        "pipeline hooks send returns truth.csv --kind outcomes",
    ),
    short_help="Signs a file's rows and posts them.",
)
def send(
    workflow: Workflow,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".csv, .jsonl or .parquet, as the source has it.")],
    url: Annotated[str | None, typer.Option(metavar="URL", help="The desk; else PIPELINE_DESK_URL.")] = None,
    kind: Annotated[Posted, typer.Option(help="What the file holds.")] = Posted.ARRIVALS,
    night: Annotated[str | None, night_option("When it is said to have occurred; else now.", "--night")] = None,
    as_json: AsJson = False,
) -> None:
    """Signs a file's rows with the workflow's newest secret and posts them, as another system would.

    The same rows are the same event: sent again, nothing changes.
    """
    raise typer.Exit(send_file(workflow, file, url, kind.value, night, as_json))


@app.command("list", epilog=example("pipeline hooks list"), short_help="Which doors are open, and what came in.")
def list_(as_json: AsJson = False) -> None:
    """Each workflow's receiver: how many secrets are valid, what was kept, what was refused and why."""
    raise typer.Exit(list_hooks(as_json))


@app.command(epilog=example("pipeline hooks serve --port 3008"), short_help="The door alone, without the desk.")
def serve(port: Annotated[int, port_option("The door's.")] = 3008) -> None:
    """Serves the webhook receiver by itself, on this machine; `pipeline up` has it as part of the desk."""
    raise typer.Exit(serve_hooks(port))


def show_secret(name: str, as_json: bool) -> int:
    """Makes a secret and prints it with the one it follows; it is kept nowhere."""
    from pipeline_project.desk.signatures import secret_variable, secrets_of

    spec = workflow(name)
    variable, before = secret_variable(spec.name, spec.tenant), secrets_of(spec.name, os.environ, spec.tenant)[:1]
    new = "whsec_" + base64.b64encode(randomness.token_bytes(_SECRET_BYTES)).decode()
    value = " ".join((new, *before))
    if as_json:
        emit({"variable": variable, "secret": new, "value": value, "replaces": len(before)})
        return Exit.DONE
    say(f"{variable}='{value}'")
    say()
    say("This secret is shown once and kept nowhere. Set the variable for the desk and start it again; give the sender")
    say(f"  {new}")
    if before:
        say("Both secrets are valid until the variable holds the new one alone.")
    return Exit.DONE


def send_file(name: str, file: Path, url: str | None, kind: str, night: str | None, as_json: bool) -> int:
    """Signs a file's rows and posts them."""
    import httpx

    from pipeline_project.desk.signatures import secret_variable, secrets_of, signed_headers

    spec = workflow(name)
    if not file.is_file():
        complain(f"{file} is no file")
        return Exit.WRONG_CALL
    keys = secrets_of(spec.name, os.environ, spec.tenant)
    if not keys:
        variable = secret_variable(spec.name, spec.tenant)
        complain(f"{variable} is not set; make a secret with: pipeline hooks secret {spec.name}")
        return Exit.WRONG_CALL
    event_kind = EventKind(kind.removesuffix("s"))
    address = f"{(url or settings().desk_url).rstrip('/')}/hooks/{spec.name}/{event_kind.value}s"
    answers: list[_Answer] = []
    with httpx.Client(timeout=30) as client:
        for rows in _portions(_rows(spec, file, event_kind)):
            body = _body(spec, event_kind, rows, night)
            event_id = f"evt_{uuid.uuid5(_NAMES, body.decode()).hex}"
            now = datetime.now(UTC)
            headers = {"content-type": "application/json", **signed_headers(keys[0], event_id, now, body)}
            try:
                answer = client.post(address, content=body, headers=headers)
            except httpx.HTTPError as error:
                complain(f"{address} does not answer ({type(error).__name__}); start it with `pipeline up`")
                return Exit.ENVIRONMENT_MISSING
            answers.append(_answer(event_id, len(rows), answer))
            if answer.status_code != httpx.codes.ACCEPTED:
                break
    return _report(address, answers, as_json)


def list_hooks(as_json: bool) -> int:
    """Each workflow's receiver: whether it is open, and what came through it."""
    from pipeline_project.container.inbound import open_inbound
    from pipeline_project.desk.signatures import secrets_of

    context = prepare()
    store = open_inbound(context.settings)
    rows = [
        {
            "workflow": spec.name,
            "url": f"{context.settings.desk_url}/hooks/{spec.name}/",
            "secrets": len(secrets_of(spec.name, os.environ, spec.tenant)),
            **vars(store.overview(spec.name)),
        }
        for spec in workflows().specs.values()
    ]
    if as_json:
        emit(rows)
        return Exit.DONE
    columns = ("workflow", "secrets", "events", "rows", "nights", "last_at", "refused")
    shown = [[_cell(row[column]) for column in columns] for row in rows]
    table("", columns, shown, right=("secrets", "events", "rows", "nights"))
    say()
    say(f"Events go to {context.settings.desk_url}/hooks/WORKFLOW/arrivals and .../outcomes.")
    say("A door without secrets is shut; open it with: pipeline hooks secret WORKFLOW")
    return Exit.DONE


def serve_hooks(port: int) -> int:
    """The door alone, on this machine, until Ctrl-C."""
    import uvicorn

    from pipeline_project.desk.routes.hooks import build_hooks_app

    prepare()
    say(f"The webhook receiver listens on http://127.0.0.1:{port}/hooks/; Ctrl-C stops it")
    uvicorn.run(
        build_hooks_app(open_hook_receiver()), host="127.0.0.1", port=port, log_level="warning", access_log=False
    )
    return Exit.DONE


def open_hook_receiver() -> HookReceiver:
    """The door of this process's settings and environment, for the desk or alone. The home must be prepared.

    Raises:
        SettingInvalid: a variable with secrets holds something else.
    """
    from pipeline_project.container.inbound import open_store
    from pipeline_project.desk.routes.hooks import HookReceiver
    from pipeline_project.desk.signatures import secrets_of

    chosen = settings()
    specs = workflows().specs
    # read now: a variable that is wrong stops the start, not the first event
    secrets = {name: secrets_of(name, os.environ, spec.tenant) for name, spec in specs.items()}
    return HookReceiver(open_store(chosen, specs.values()), lambda name: secrets.get(name, ()))


def _rows(spec: WorkflowSpec, file: Path, kind: EventKind) -> list[dict[str, str]]:
    from resources.sources import repair_format
    from resources.sources.arrivals import read_file

    arrived = read_file(file, repair_format(spec, file), "", file.name)
    rows = [json.loads(raw) for raw in arrived.rows["raw"].to_pylist()]
    if kind == EventKind.ARRIVAL or spec.outcome.kind != "files":
        return rows
    # a file of outcomes has the columns of the workflow's feed; an event has names of its own
    feed = spec.outcome
    names = {feed.case_column: "case_id", feed.label_column: "label", feed.known_at_column: "known_at"}
    return [{names[column]: value for column, value in row.items() if column in names} for row in rows]


def _portions(rows: Sequence[dict[str, str]]) -> Iterator[Sequence[dict[str, str]]]:
    """The rows in parts that the door takes: by their number, and by what they weigh."""
    part: list[dict[str, str]] = []
    size = 0
    for row in rows:
        weight = len(json.dumps(row)) + 1
        if part and (len(part) == ROWS or size + weight > BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += weight
    if part:
        yield part


def _body(spec: WorkflowSpec, kind: EventKind, rows: Sequence[dict[str, str]], written: str | None) -> bytes:
    timed, night = {}, night_asked(spec, written)
    if night is not None:
        window = window_of(night, spec.nights.time_zone)
        timed = {"timestamp": (window.start + (window.end - window.start) / 2).isoformat()}
    event = {"type": kind.value, "workflow": spec.name, "data": list(rows), **timed}
    return json.dumps(event, separators=(",", ":")).encode()


@dataclass(frozen=True)
class _Answer:
    """What became of one event that was sent; the verdict is None where it was refused."""

    event: str
    rows: int
    status: int
    verdict: str | None
    night: str | None
    detail: str | None


def _answer(event: str, rows: int, answer: httpx.Response) -> _Answer:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"detail": "no receipt came back; is this the desk's address?"}
    return _Answer(event, rows, answer.status_code, body.get("status"), body.get("night"), body.get("detail"))


def _report(address: str, answers: Sequence[_Answer], as_json: bool) -> int:
    refused = [answer for answer in answers if answer.verdict is None]
    if as_json:
        emit({"url": address, "events": answers})
    elif not answers:
        complain("the file holds no row; nothing was sent")
    else:
        for answer in answers:
            outcome = answer.verdict or f"refused: {answer.detail}"
            where = f", night {answer.night}" if answer.night else ""
            say(f"{answer.event}: {answer.rows} rows, {answer.status}, {outcome}{where}")
    return Exit.WRONG_CALL if refused or not answers else Exit.DONE


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {reason}" for reason, count in value.items()) or "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return "-" if value is None else str(value)
