"""What the commands' arguments look like, and how their help is laid out."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline_project.domain.core.nights import valid_night


def command_app(**given: Any) -> typer.Typer:
    """The Typer app of a module in `commands/`: one command, or a group of them."""
    return typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, **given
    )


def paragraph(title: str, lines: list[str]) -> str:
    # \b keeps a paragraph's lines as they are typed
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])


def example(*commands: str) -> str:
    return paragraph("Examples:" if len(commands) > 1 else "Example:", list(commands))


def folder_or_url(text: str) -> str:
    """What a person wrote as a folder, absolute; a URL as it is."""
    return text if "://" in text else str(Path(text).expanduser().absolute())


def port_option(description: str) -> Any:
    return typer.Option(min=1, max=65535, metavar="PORT", help=description)


def night_option(description: str, name: str) -> Any:
    """A night's key, or a day; `asked_nights` makes nights of a workflow of it."""
    return typer.Option(name, parser=_night, metavar="NIGHT", help=description)


def day_option(description: str, name: str) -> Any:
    return typer.Option(name, formats=["%Y-%m-%d"], metavar="DAY", help=description)


def _night(text: str) -> str:
    try:
        return valid_night(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def count(description: str, most: int, least: int = 10) -> Any:
    return typer.Option(min=least, max=most, metavar="COUNT", help=description)


Workflow = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The name of a workflow, for instance returns.")]
PerNight = Annotated[int, count("Cases in a night, about.", 100_000)]
Seed = Annotated[int, typer.Option(metavar="NUMBER", help="The same seed gives the same cases.")]
First = Annotated[str | None, night_option("First night, as in 2025-03-01.", "--from")]
Last = Annotated[str | None, night_option("Last night, included.", "--to")]


def day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
