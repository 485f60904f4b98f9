"""Tenants: how what belongs to one is called, so that no two things of two tenants ever have one name.

The house without a name is the tenant "". A tenant's name has no underscore and no capital, and the names of workflows
have no capital: so each of the names made here can be taken apart again.
"""

from __future__ import annotations

import re

from pipeline_project.domain.core.errors import SettingInvalid

#: What stands between a tenant and its workflow where Dagster shows both.
_BETWEEN = "__"
_NAME = re.compile(r"[a-z][a-z0-9]{0,29}")
#: What databases, roles or places are called already, and what `tenant_definitions` has beside the tenants.
_TAKEN = frozenset({"public", "postgres", "house", "tenants", "workflows", "annotations", "become", "dg", "os"})
_IN_DAGSTER = re.compile(rf"(?P<tenant>[A-Z][A-Z0-9]*){_BETWEEN}(?P<workflow>.*)")
#: The folder below which every tenant has one of its own: in the home, below the place of files, beside the keys.
FOLDER = "tenants"


def checked_name(name: str) -> str:
    """The name, where a tenant may be called so.

    Raises:
        SettingInvalid: it may not; the message says what to write.
    """
    if not _NAME.fullmatch(name):
        raise SettingInvalid(
            f"{name[:60]!r} is no name for a tenant; write a small letter and then up to 29 small letters and digits, "
            "because databases, roles, folders and addresses are called after it"
        )
    if name in _TAKEN or name.startswith("pg"):
        raise SettingInvalid(
            f"a tenant cannot be called {name!r}, which PostgreSQL or the house uses itself; add something to it"
        )
    return name


def of_tenant(name: str, tenant: str) -> str:
    """What a database or a role of the house is called for a tenant."""
    return f"{name}_{tenant}" if tenant else name


def in_dagster(workflow: str, tenant: str) -> str:
    """What a tenant's workflow is called in Dagster, whose asset keys and jobs are shared by all tenants."""
    return f"{tenant.upper()}{_BETWEEN}{workflow}" if tenant else workflow


def tenant_and_workflow(name: str) -> tuple[str, str]:
    """Takes apart what `in_dagster` made."""
    match = _IN_DAGSTER.fullmatch(name)
    return (match["tenant"].lower(), match["workflow"]) if match else ("", name)
