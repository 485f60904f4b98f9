"""The `pipeline` command: which commands there are. Each is a module of `commands/` under its own name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from pipeline_project.commands.shared.console import EXIT_WORDS
from pipeline_project.commands.shared.failures import explained
from pipeline_project.commands.shared.options import command_app, example, paragraph
from pipeline_project.domain.core.errors import PipelineError

#: By name, in the order of `pipeline --help`, with the line that stands there.
COMMANDS: Mapping[str, str] = {
    "demo": "Runs sample nights of return claims; start here.",
    "up": "Starts database, Dagster, MLflow and the desk; Ctrl-C stops them.",
    "down": "Stops a running `up` and the embedded database.",
    "env": "Variables for plain dagster, dg and mlflow.",
    "setup": "Makes what is missing, before services start side by side.",
    "nights": "Runs a range of nights in order.",
    "new": "Writes a first workflow file for a table, from five questions.",
    "check": "Reports every mistake in workflow files.",
    "why": "What one decision rests on.",
    "quarantine": "Lists refused rows; takes repaired ones back.",
    "status": "What each workflow has done, and open alerts.",
    "doctor": "Checks what the project stands on.",
    "sample": "Writes sample return claims, without running them.",
    "results": "What the decisions cost, and how good they were.",
    "desk": "The review desk; part of `up`.",
    "actions": "The outbox of a workflow, and its kill switch.",
    "worker": "Executes the runs that Dagster launches; part of `up`.",
    "dispatch": "Sends what is ready; part of `up`.",
    "shop": "A fake shop; part of `up`.",
    "clusters": "What became of clusters, and which new ones grow too fast.",
    "drift": "How a night differs from what the champion learned from.",
    "rollback": "Goes back to an earlier model, or to people.",
    "recall": "Decides again what a model, a policy or a night touched.",
    "tenants": "Who shares the house, each apart from the others.",
    "models": "Who decides, who wants to, and a model approver's signature.",
    "outcomes": "How late the truth comes, and which nights are mature.",
    "forget": "Forgets one subject, for good.",
    "retention": "Erases personal data whose time is over.",
    "backup": "Writes the house as one point, while it goes on.",
    "restore": "Puts a backup into another place, and checks it.",
    "reconcile": "Counts everything again and says what does not add up.",
    "replay": "Past nights decided by a candidate, beside what decided them.",
    "people": "Accounts and roles at the review desk.",
    "audit": "The audit chain: check it, search it, prove a fact.",
    "hooks": "The webhook receiver: other systems post arrivals and outcomes.",
    "hold": "Legal holds: what may not be forgotten or erased.",
    "keys": "Turns the master key of personal values.",
}
_EXIT_CODES = paragraph("Exit codes:", [f"{code:>3}  {meaning}" for code, meaning in EXIT_WORDS.items()])
_START = example("pipeline demo", "pipeline up", "pipeline status", "pipeline nights --help")


class _Modules(Mapping[str, Any]):
    """The commands by name; a module is imported when its command is asked for, so that the others cost nothing."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        command = typer.main.get_command(import_module(f"pipeline_project.commands.{name}").app)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _LazyGroup(TyperGroup):
    """A group that lists its commands without importing one."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = _Modules()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = command_app(
    name="pipeline",
    cls=_LazyGroup,
    help="Turns each night's cases into decisions: act, or ask a person, at the lowest expected cost.",
    epilog=f"{_START}\n\n{_EXIT_CODES}",
)


@app.callback()
def pipeline() -> None:
    """Nothing of its own: what is done stands in the commands."""


def main() -> None:
    """Runs the command; an error that a person can fix becomes one sentence and an exit code, not a traceback."""
    try:
        app()
    except (PipelineError, OSError) as error:
        code = explained(error)
        if code is None:
            raise
        sys.exit(code)


if __name__ == "__main__":
    main()
