"""`pipeline people`: accounts and roles at the desk."""

from __future__ import annotations

import getpass
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import prepare
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say, table
from pipeline_project.commands.shared.identity import shell_user
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)
from pipeline_project.domain.core.errors import PersonRefused
from pipeline_project.domain.core.people import NewAccount, PersonRole

app = command_app(help="Accounts and roles at the review desk.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The sign-in name.")]
Role = Annotated[PersonRole, typer.Argument(metavar="ROLE", help=f"One of {', '.join(PersonRole)}.")]
PasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A file with the password; else asked or made up.")
]


@app.command("add", epilog=example("pipeline people add ada --role reviewer --role approver"))
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
    if invited and not email:
        raise typer.BadParameter("--invited needs --email, by which the provider names the person")
    raise typer.Exit(add_person(NewPerson(name, role, shown, email, skill or [], invited), password_file, as_json))


@app.command("list", epilog=example("pipeline people list"))
def listed(as_json: AsJson = False) -> None:
    """Everybody with roles and skills."""
    raise typer.Exit(list_people(as_json))


@app.command("grant", epilog=example("pipeline people grant ada approver"))
def grant(name: Name, role: Role, as_json: AsJson = False) -> None:
    """Gives a role."""
    raise typer.Exit(turn_role(name, role, True, as_json))


@app.command("revoke", epilog=example("pipeline people revoke ada approver"))
def revoke(name: Name, role: Role, as_json: AsJson = False) -> None:
    """Takes a role away; pages notice at the next request."""
    raise typer.Exit(turn_role(name, role, False, as_json))


@app.command("password", epilog=example("pipeline people password ada"))
def password(name: Name, password_file: PasswordFile = None, as_json: AsJson = False) -> None:
    """Gives a new password; the person's sessions end."""
    raise typer.Exit(reset_password(name, password_file, as_json))


@app.command("link", epilog=example("pipeline people link ada"))
def link(name: Name, as_json: AsJson = False) -> None:
    """Prints a link that makes a browser known as theirs: nobody else's wrong passwords lock it out."""
    raise typer.Exit(show_link(name, as_json))


@app.command("remove", epilog=example("pipeline people remove ada"))
def remove(name: Name, as_json: AsJson = False) -> None:
    """Closes an account; what the person did stays."""
    raise typer.Exit(remove_person(name, as_json))


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Who is to be added; `shown` is the name on pages, `invited` has no password and signs in at the provider."""

    name: str
    roles: Sequence[PersonRole]
    shown: str
    email: str | None
    skills: Sequence[str]
    invited: bool


def add_person(new: NewPerson, password_file: Path | None, as_json: bool) -> int:
    """Makes an account; without a file or a terminal a password is made up and printed once.

    Raises:
        PersonRefused: the name is taken or no name, or the password is too short.
    """
    people = prepare().stores.people
    password, made_up = (None, False) if new.invited else _password(password_file)
    account = NewAccount(new.name, new.shown or new.name, new.roles, password, new.email, new.skills)
    person = people.add(account, shell_user())
    held = sorted(role.value for role in person.roles)
    link = None if password is None else _link(person.name)
    if as_json:
        more = {**({"password": password} if made_up else {}), **({"link": link} if link else {})}
        emit({"name": person.name, "roles": held, **more})
        return Exit.DONE
    say(f"{person.name} may sign in as {', '.join(held)}.")
    if made_up:
        say(f"Password, shown this once: {password}")
    if link:
        say(f"To be opened first, within a week, so that nobody else can lock them out: {link}")
    return Exit.DONE


def show_link(name: str, as_json: bool) -> int:
    """Prints a link that makes a browser known as somebody's, who is then counted apart from everybody else.

    Raises:
        PersonRefused: nobody has this name.
    """
    if prepare().stores.people.person(name) is None:
        raise PersonRefused(f"nobody is called {name}; `pipeline people list` shows who there is")
    link = _link(name)
    if as_json:
        emit({"name": name, "link": link})
    else:
        say(link)
    return Exit.DONE


def list_people(as_json: bool) -> int:
    """Everybody with roles and skills."""
    rows = prepare().stores.people.everyone()
    if as_json:
        emit(
            [
                {
                    "name": row.person.name,
                    "shown": row.person.shown,
                    "roles": sorted(row.person.roles),
                    "skills": sorted(row.person.skills),
                    "active": row.active,
                }
                for row in rows
            ]
        )
        return Exit.DONE
    if not rows:
        say("Nobody yet; `pipeline people add NAME --role reviewer` adds somebody.")
        return Exit.DONE
    lines = [
        (
            row.person.name,
            ", ".join(sorted(row.person.roles)) or "none",
            ", ".join(sorted(row.person.skills)),
            "" if row.active else "closed",
        )
        for row in rows
    ]
    table("", ("name", "roles", "skills", ""), lines)
    return Exit.DONE


def turn_role(name: str, role: PersonRole, granted: bool, as_json: bool) -> int:
    """Grants or revokes a role."""
    people = prepare().stores.people
    (people.grant if granted else people.revoke)(name, role, shell_user())
    if as_json:
        emit({"name": name, "role": role.value, "granted": granted})
    else:
        say(f"{name} {'has' if granted else 'no longer has'} the role {role.value}.")
    return Exit.DONE


def remove_person(name: str, as_json: bool) -> int:
    """Closes an account and ends its sessions."""
    prepare().stores.people.close(name, shell_user())
    if as_json:
        emit({"name": name, "active": False})
    else:
        say(f"{name} can no longer sign in; what {name} did stays.")
    return Exit.DONE


def reset_password(name: str, password_file: Path | None, as_json: bool) -> int:
    """Gives a new password and ends the person's sessions."""
    people = prepare().stores.people
    password, made_up = _password(password_file)
    people.set_password(name, password, shell_user())
    if as_json:
        emit({"name": name, **({"password": password} if made_up else {})})
    else:
        say(f"Password, shown this once: {password}" if made_up else f"{name} has a new password.")
    return Exit.DONE


def _password(file: Path | None) -> tuple[str, bool]:
    """A password, and whether it was made up."""
    if file is not None:
        return file.read_text(encoding="utf-8").rstrip("\r\n"), False
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return secrets.token_urlsafe(15), True
    complain("A password of ten characters or more; nothing typed makes one up.")
    first = getpass.getpass("Password: ")
    if not first:
        return secrets.token_urlsafe(15), True
    if getpass.getpass("Again: ") != first:
        raise PersonRefused("the two passwords differ; nothing was changed")
    return first, False


def _link(name: str) -> str:
    from pipeline_project.commands.desk import frame_at
    from pipeline_project.desk.known import link

    return link(frame_at(prepare()), name)
