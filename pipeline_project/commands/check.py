"""`pipeline check`: every mistake in workflow files, each with its line; with `--data` also what their data say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import settings, workflows
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)

if TYPE_CHECKING:
    from pipeline_project.domain.intake.first_look import Seen
    from pipeline_project.spec.load import Mistake

NOT_LOOKED = "The data were not looked at: `pipeline check --data` opens the first files, photos and encoders."

app = command_app()


@app.command(
    epilog=example("pipeline check", "pipeline check my_workflow.yaml --data"),
)
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="YAML files; without any, every workflow there is.")
    ] = None,
    data: Annotated[
        bool, typer.Option("--data", help="Also open the first files: columns, labels, ids, photos, encoders.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Reports every mistake in workflow files, with line and a sentence that says what to write instead.

    With --data it also opens the first files that a workflow names, and says what of the spec they do not bear out.
    Nothing is written and no night is run.
    """
    raise typer.Exit(run_check(files or [], as_json, data))


def run_check(files: list[Path], as_json: bool, data: bool = False) -> int:
    """Checks the given files, or every workflow that would be loaded.

    Args:
        data: also open what the sound ones name, and say what of the spec it does not bear out.
    """
    from pipeline_project.spec.load import check_file

    by_name: dict[str, list[Mistake]] = {str(f): check_file(f) for f in files} if files else _loaded_mistakes()
    notes: list[Mistake] = []
    for name, file in _sound(files).items():
        not_allowed = _not_allowed(file)
        # what may not be opened is not looked at either
        against, worth_knowing = _seen(file) if data and not not_allowed else ([], [])
        by_name[name] = [*by_name.get(name, ()), *not_allowed, *against]
        notes += worth_knowing
    mistakes = [mistake for listed in by_name.values() for mistake in listed]
    if as_json:
        documents = [_document(mistake, "mistake", data) for mistake in mistakes]
        emit([*documents, *(_document(note, "note", data) for note in notes)])
        return Exit.SPEC_MISTAKE if mistakes else Exit.DONE
    for mistake in mistakes:
        complain(str(mistake))
    for note in notes:
        say(f"note: {note}")
    for name, listed in by_name.items():
        if not listed:
            say(f"{name}: no mistakes")
    if not data:
        say(NOT_LOOKED)
    return Exit.SPEC_MISTAKE if mistakes else Exit.DONE


def _sound(files: list[Path]) -> dict[str, Path]:
    """The files that can be used, by the name under which their mistakes are told."""
    from pipeline_project.spec.load import check_file, load_spec, workflow_files

    if files:
        return {str(file): file for file in files if not check_file(file)}
    sound = [file for file in workflow_files(settings().workflow_folders, settings().tenant) if not check_file(file)]
    return {load_spec(file).name: file for file in sound}


def _document(mistake: Mistake, kind: str, data: bool) -> dict[str, object]:
    return {**asdict(mistake), "file": str(mistake.file), **({"kind": kind} if data else {})}


def _not_allowed(file: Path) -> list[Mistake]:
    """The variables of the environment that a sound file names and may not, and a tenant's encoder that lies elsewhere;
    its nights would stop at them."""
    from pipeline_project.spec.base import dotted
    from pipeline_project.spec.load import Mistake, encoder_outside, load_spec
    from pipeline_project.spec.naming import disallowed
    from pipeline_project.spec.tree import decoded, read_tree

    tree, spec, tenant = read_tree(decoded(file.read_bytes())), load_spec(file), settings().tenant
    mistakes = [
        Mistake(file, *tree.place(where), dotted(where), sentence)
        for where, sentence in disallowed(spec, settings().spec_variables, tenant)
    ]
    outside = encoder_outside(file, spec, tenant) if tenant else None
    return [*mistakes, *([outside] if outside else [])]


def _seen(file: Path) -> tuple[list[Mistake], list[Mistake]]:
    """What stands against a sound file in its data, and what is only worth knowing; at the lines of the spec."""
    from pipeline_project.operations.first_look import look
    from pipeline_project.spec.base import dotted
    from pipeline_project.spec.load import Mistake, load_spec
    from pipeline_project.spec.tree import decoded, read_tree

    tree = read_tree(decoded(file.read_bytes()))

    def placed(seen: Seen) -> Mistake:
        return Mistake(file, *tree.place(seen.where), dotted(seen.where), seen.sentence)

    views = look(load_spec(file), settings())
    return [placed(view) for view in views if view.mistake], [placed(view) for view in views if not view.mistake]


def _loaded_mistakes() -> dict[str, list[Mistake]]:
    """By workflow, or by file where it has none: missing folders and names used twice are mistakes as well."""
    loaded = workflows()
    broken = {str(unusable.file): list(unusable.mistakes) for unusable in loaded.broken}
    return {**{name: [] for name in loaded.specs}, **broken}
