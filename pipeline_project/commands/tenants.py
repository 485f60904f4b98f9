"""`pipeline tenants`: who shares the house, and what makes room for one more."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import settings, usable
from pipeline_project.commands.shared.console import AsJson, Exit, emit, say, table
from pipeline_project.commands.shared.options import command_app, example
from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.domain.core.tenants import checked_name
from pipeline_project.tenants import tenant_names, terms_of

if TYPE_CHECKING:
    from pipeline_project.settings import Settings

app = command_app(help="Who shares the house, each apart from the others.")


@dataclass(frozen=True)
class TenantRow:
    """One tenant as it is listed.

    Attributes:
        broken: files of specs that cannot be used.
        runs: at once at most, where the operator says so.
    """

    name: str
    specs: str
    workflows: tuple[str, ...]
    broken: tuple[str, ...]
    files: str
    desk: str
    reports: str
    runs: int | None


@app.command("list", epilog=example("pipeline tenants list", "pipeline tenants list --json"))
def listed(as_json: AsJson = False) -> None:
    """The tenants, with their workflows, their places and their desks."""
    raise typer.Exit(list_tenants(as_json))


@app.command("add", epilog=example("pipeline tenants add acme", "pipeline tenants add acme --password-file acme.pw"))
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters and digits.")],
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Let its role sign in to the server with the password in it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Makes a tenant's folder, databases, roles and home; what is there stays, so it may be given again.

    A running `pipeline up` shows it after it was started again.
    """
    raise typer.Exit(add_tenant(name, password_file, as_json))


def list_tenants(as_json: bool) -> int:
    """Every tenant of the house.

    Raises:
        SettingInvalid: PIPELINE_TENANTS or what lies there cannot be used.
    """
    house = _house()
    rows = [_row(house.of_tenant(name)) for name in tenant_names(house.tenants)]
    if as_json:
        emit([asdict(row) for row in rows])
        return Exit.DONE
    if not rows:
        say("No tenants; `pipeline tenants add NAME` makes one.")
        return Exit.DONE
    lines = [
        (row.name, ", ".join(row.workflows) or "none", ", ".join(row.broken), row.desk, row.runs or "") for row in rows
    ]
    table("", ("tenant", "workflows", "broken files", "desk", "runs at once"), lines)
    return Exit.DONE


def add_tenant(name: str, password_file: Path | None, as_json: bool) -> int:
    """Makes what a tenant needs.

    Raises:
        SettingInvalid: it may not be called so, or PIPELINE_TENANTS is not set.
        RolesMissing, DatabaseMissing: this user may not make it; the message has the statements for one who may.
    """
    from pipeline_project.container.owner import let_sign_in, migrated, touch_registry

    house = _house()
    checked_name(name)
    if house.tenants is None:
        raise SettingInvalid(
            "PIPELINE_TENANTS is not set; set it to the folder that is to hold a folder for each tenant"
        )
    (house.tenants / name).mkdir(parents=True, exist_ok=True)
    own = house.of_tenant(name)
    usable(own.home)
    databases, _ = migrated(own)
    touch_registry(databases)
    role = let_sign_in(own, password_file.read_text(encoding="utf-8").strip()) if password_file else None
    if as_json:
        emit({**asdict(_row(own)), "role": role})
        return Exit.DONE
    say(f"Tenant {name} is ready: its specs go to {house.tenants / name}, its files to {own.files_url}.")
    say(f"PIPELINE_TENANT={name} before any command works for it, as in: PIPELINE_TENANT={name} pipeline status")
    if role:
        say(f"Its processes may sign in to the server as {role}, and then enter no other tenant's databases.")
    return Exit.DONE


def _house() -> Settings:
    chosen = settings()
    return chosen.house or chosen


def _row(own: Settings) -> TenantRow:
    from pipeline_project.spec.load import load_all

    loaded = load_all(own.workflow_folders, own.tenant)
    folder = own.workflow_folders[0]
    return TenantRow(
        own.tenant, str(folder), tuple(sorted(loaded.specs)),
        tuple(sorted({broken.file.name for broken in loaded.broken})), own.files_url, own.desk_url, own.reports_url,
        terms_of(folder.parent, own.tenant).runs,
    )  # fmt: skip
