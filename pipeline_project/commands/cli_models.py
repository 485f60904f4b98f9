"""The command about models that ask to decide: `models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import Workflow, example


def register(app: typer.Typer) -> None:
    """Adds the command to `pipeline`."""

    @app.command(
        epilog=example(
            "pipeline models returns",
            "pipeline models returns --proposal 3",
            "pipeline models returns --sign 3 --as cleo",
        ),
        short_help="Who decides, who wants to, and a model approver's signature.",
    )
    def models(
        workflow: Workflow,
        proposal: Annotated[int | None, typer.Option(metavar="NUMBER", help="Everything about one proposal.")] = None,
        sign: Annotated[int | None, typer.Option(metavar="NUMBER", help="Sign this proposal.")] = None,
        refuse: Annotated[int | None, typer.Option(metavar="NUMBER", help="Refuse it; --note says why.")] = None,
        person: Annotated[str, typer.Option("--as", metavar="NAME", help="The model approver who signs.")] = "",
        note: Annotated[str, typer.Option(metavar="WORDS", help="A note, or the reason of a refusal.")] = "",
        shown_hash: Annotated[
            str | None, typer.Option("--hash", metavar="HASH", help="Sign only if this is still what is proposed.")
        ] = None,
        password_file: Annotated[
            Path | None, typer.Option(exists=True, dir_okay=False, help="A file with the password; else it is asked.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Lists who decided from which night on and the challengers that were compared; signs or refuses one.

        A signature needs the account of a model approver who did not train the model, and is bound to what was shown.
        """
        from pipeline_project.commands import models as commands

        if sum(value is not None for value in (proposal, sign, refuse)) > 1:
            raise typer.BadParameter("--proposal, --sign and --refuse exclude each other")
        if sign is not None or refuse is not None:
            if not person:
                raise typer.BadParameter("--as NAME says who signs")
            number = sign if sign is not None else refuse
            assert number is not None
            code = commands.answer(workflow, number, sign is not None, person, note, shown_hash, password_file, as_json)
        elif proposal is not None:
            code = commands.show_proposal(workflow, proposal, as_json)
        else:
            code = commands.show_models(workflow, as_json)
        raise typer.Exit(code)
