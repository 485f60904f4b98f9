"""The commands about people: `people` and `desk`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import example, port_option
from pipeline_project.domain.core.people import PersonRole

Name = Annotated[str, typer.Argument(metavar="NAME", help="The sign-in name.")]
Role = Annotated[PersonRole, typer.Argument(metavar="ROLE", help=f"One of {', '.join(PersonRole)}.")]
PasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A file with the password; else asked or made up.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to `pipeline`."""
    people = typer.Typer(help="Accounts and roles at the review desk.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(people, name="people", short_help="Accounts and roles at the review desk.")

    @people.command("add", epilog=example("pipeline people add ada --role reviewer --role approver"))
    def add(
        name: Name,
        role: Annotated[list[PersonRole], typer.Option(metavar="ROLE", help=f"One of {', '.join(PersonRole)}.")],
        shown: Annotated[str, typer.Option(metavar="WORDS", help="The name that pages show.")] = "",
        email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Known by it at an OpenID provider.")] = None,
        skill: Annotated[list[str] | None, typer.Option(metavar="SKILL", help="As in `review.skill`.")] = None,
        password_file: PasswordFile = None,
        invited: Annotated[
            bool, typer.Option("--invited", help="No password: signs in at the provider, by the e-mail.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Adds somebody. Without a terminal and a file a password is made up and printed once."""
        from pipeline_project.commands.people import add_person

        if invited and not email:
            raise typer.BadParameter("--invited needs --email, by which the provider names the person")
        raise typer.Exit(add_person(name, role, shown, email, skill or [], password_file, invited, as_json))

    @people.command("list", epilog=example("pipeline people list"))
    def listed(as_json: AsJson = False) -> None:
        """Everybody with roles and skills."""
        from pipeline_project.commands.people import list_people

        raise typer.Exit(list_people(as_json))

    @people.command("grant", epilog=example("pipeline people grant ada approver"))
    def grant(name: Name, role: Role, as_json: AsJson = False) -> None:
        """Gives a role."""
        from pipeline_project.commands.people import turn_role

        raise typer.Exit(turn_role(name, role, True, as_json))

    @people.command("revoke", epilog=example("pipeline people revoke ada approver"))
    def revoke(name: Name, role: Role, as_json: AsJson = False) -> None:
        """Takes a role away; pages notice at the next request."""
        from pipeline_project.commands.people import turn_role

        raise typer.Exit(turn_role(name, role, False, as_json))

    @people.command("password", epilog=example("pipeline people password ada"))
    def password(name: Name, password_file: PasswordFile = None, as_json: AsJson = False) -> None:
        """Gives a new password; the person's sessions end."""
        from pipeline_project.commands.people import reset_password

        raise typer.Exit(reset_password(name, password_file, as_json))

    @people.command("link", epilog=example("pipeline people link ada"))
    def link(name: Name, as_json: AsJson = False) -> None:
        """Prints a link that makes a browser known as theirs: nobody else's wrong passwords lock it out."""
        from pipeline_project.commands.people import show_link

        raise typer.Exit(show_link(name, as_json))

    @people.command("remove", epilog=example("pipeline people remove ada"))
    def remove(name: Name, as_json: AsJson = False) -> None:
        """Closes an account; what the person did stays."""
        from pipeline_project.commands.people import remove_person

        raise typer.Exit(remove_person(name, as_json))

    @app.command(
        epilog=example("pipeline desk", "pipeline desk --port 3104"), short_help="The review desk; part of `up`."
    )
    def desk(port: Annotated[int, port_option("The desk's.")] = 3004) -> None:
        """Serves the review desk and the webhook door on this machine until Ctrl-C."""
        from pipeline_project.commands.desk import serve_desk

        raise typer.Exit(serve_desk(port))
