"""`pipeline forget`: destroys the key of one subject, and with it every personal value sealed for it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import workflow, workflows
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, say
from pipeline_project.commands.shared.identity import shell_user
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)
from pipeline_project.commands.shared.privacy import Privacy, open_privacy

app = command_app()


@app.command(
    epilog=example("pipeline forget C-1042 --workflow returns"),
)
def forget(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="The id as its source spells it, or the pseudonym.")
    ],
    name: Annotated[str, typer.Option("--workflow", metavar="WORKFLOW", help="In whose name it is done.")],
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, with nothing personal in it; the audit chain keeps it.")
    ] = "the subject asked for it",
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Destroys the key of one subject, and with it every personal value sealed for it, in all workflows, for good.

    Shows first what goes; refuses while a legal hold stands. A night run again does not bring it back.
    """
    raise typer.Exit(forget_subject(subject, name, reason, yes, as_json))


def forget_subject(subject: str, name: str, reason: str, yes: bool, as_json: bool) -> int:
    """Destroys what opens a subject's values, once somebody has said yes.

    Raises:
        ForgettingRefused: a legal hold stands against it.
    """
    spec = workflow(name)
    privacy = open_privacy()
    pseudonym = privacy.keyring.named({subject.strip()})[subject.strip()]
    sealed = privacy.forgetting.subject(pseudonym)
    if sealed is None:
        complain("nothing is sealed for that subject; give the id as the source spells it, or the pseudonym")
        return Exit.NOT_FOUND
    cases = privacy.cases_of(pseudonym)
    if not as_json:
        _show(pseudonym, sealed, cases)
    if sealed.forgotten is None and not (yes or _agreed(as_json)):
        complain("nothing was changed; --yes forgets without asking")
        return Exit.WRONG_CALL
    done = privacy.forgetting.forget(pseudonym, spec.name, shell_user(), reason, cases)
    vectors = _erase_vectors(privacy, cases)
    if as_json:
        counts = {of: len(theirs) for of, theirs in cases.items()}
        emit({"pseudonym": pseudonym, "forgotten": done, "cases": counts, "tasks": sealed.tasks, "vectors": vectors})
    elif done:
        say(f"Forgotten. {pseudonym} stays as the name of cases that nobody can be found behind.")
    else:
        say("It was forgotten before; nothing was left to destroy.")
    return Exit.DONE


def _agreed(as_json: bool) -> bool:
    """Whether somebody at a terminal says yes."""
    asked = not as_json and sys.stdin.isatty()
    return asked and typer.confirm("Forget this subject for good?", err=True)


def _show(pseudonym: str, sealed: Any, cases: dict[str, list[tuple[str, str]]]) -> None:
    of_cases = [f"{len(theirs)} of {of}" for of, theirs in cases.items()]
    say(f"{pseudonym}, sealed since {sealed.since:%Y-%m-%d}")
    facts(
        [
            ("cases", ", ".join(of_cases) or "none"),
            ("review tasks", ", ".join(f"{count} of {of}" for of, count in sealed.tasks.items()) or "none"),
            ("goes", "its personal fields, rows as they came, notes about it, its vectors, its own id"),
            ("stays", "cases and decisions without them; the files they came from, which are not ours"),
        ]
    )


def _erase_vectors(privacy: Privacy, cases: dict[str, list[tuple[str, str]]]) -> int:
    """What a text was about can be read from its vector: those of a forgotten subject go as well."""
    gone, specs = 0, workflows().specs
    for name, theirs in cases.items():
        retaining = privacy.retaining(specs[name])
        for night in sorted({night for night, _ in theirs}):
            gone += retaining.erase_vectors(night, {case for of, case in theirs if of == night})
    return gone
