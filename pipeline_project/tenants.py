"""The folder of tenants: one folder of specs for each, and `tenants.yaml` with what the operator grants them.

The terms lie beside the tenants' folders and not in them, so that whoever may change a tenant's specs cannot grant it
more.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.domain.core.tenants import checked_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_log = logging.getLogger("dagster.pipeline.tenants")

TERMS_FILE = "tenants.yaml"
#: The module with an attribute for each tenant.
DEFINITIONS = "pipeline_project.tenant_definitions"
#: Where desks and reports of tenants listen unless their terms say otherwise, two ports for each in order of names.
FIRST_PORT = 3100

_Count = Annotated[int, Field(ge=1, le=10_000)]


class TenantTerms(BaseModel):
    """What the operator grants a tenant, and where its people find it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: _Count | None = Field(None, description="Runs at once at most, whether or not others wait.")
    connections: _Count | None = Field(None, description="Connections to each of its databases at most.")
    reads: tuple[str, ...] = Field((), description="Folders and URLs outside its own that its specs may name.")
    port: Annotated[int, Field(ge=1, le=65_534)] | None = Field(
        None, description="Its desk's; the next is its reports'."
    )
    desk_url: str | None = Field(None, pattern="^https?://", description="Where its people reach its desk.")
    reports_url: str | None = Field(None, pattern="^https?://", description="Where they reach its reports.")


_ALL = TypeAdapter(dict[str, TenantTerms | None])


def tenant_names(folder: Path | None) -> tuple[str, ...]:
    """The tenants there are, in order of their names.

    Raises:
        SettingInvalid: there is no such folder, or one below it has a name that no tenant may have.
    """
    if folder is None:
        return ()
    if not folder.is_dir():
        raise SettingInvalid(f"PIPELINE_TENANTS names {folder}, which is no folder; make it, with a folder per tenant")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return tuple(checked_name(name) for name in names)


def terms_of(folder: Path, name: str) -> TenantTerms:
    """What the operator grants one tenant.

    Raises:
        SettingInvalid: as `all_terms`.
    """
    return all_terms(folder).get(name) or TenantTerms()


def all_terms(folder: Path) -> Mapping[str, TenantTerms | None]:
    """What `tenants.yaml` says; of tenants that it does not name nothing is granted beyond the usual.

    Raises:
        SettingInvalid: the file cannot be read or has a mistake; the message says where.
    """
    import yaml

    path = folder / TERMS_FILE
    try:
        content = yaml.safe_load(path.read_bytes()) or {}
        return _ALL.validate_python(content)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingInvalid(f"{path} cannot be read ({error.strerror}); mend that or take it away") from None
    except yaml.YAMLError:
        raise SettingInvalid(
            f"{path} is no YAML; write a tenant's name and below it runs, connections or reads"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the file"
        raise SettingInvalid(
            f"{path}: {where}: {first['msg'].lower()}; see docs/tenants.md for what may stand there"
        ) from None


def most_runs(environ: Mapping[str, str]) -> dict[str, int]:
    """How many runs at once each tenant has at most, where the operator says so; a file with a mistake limits nobody,
    since the queue of all tenants asks."""
    folder = environ.get("PIPELINE_TENANTS")
    if not folder:
        return {}
    try:
        terms = all_terms(Path(folder))
    except SettingInvalid as error:
        _log.warning("%s; until then no tenant's runs are limited", error)
        return {}
    return {name: one.runs for name, one in terms.items() if one is not None and one.runs is not None}


def desk_and_reports(folder: Path, name: str) -> tuple[str, str]:
    """Where a tenant's people reach its desk and its reports, without a slash at the end."""
    terms, (desk, reports) = terms_of(folder, name), ports_of(folder, name)
    here = "http://127.0.0.1"
    return (terms.desk_url or f"{here}:{desk}").rstrip("/"), (terms.reports_url or f"{here}:{reports}").rstrip("/")


def ports_of(folder: Path, name: str) -> tuple[int, int]:
    """Where `pipeline up` serves a tenant's desk and its reports."""
    port = terms_of(folder, name).port or FIRST_PORT + 2 * tenant_names(folder).index(name)
    return port, port + 1


def workspace(names: Iterable[str]) -> str:
    """A workspace file of Dagster's with a code location for each tenant."""
    locations = [
        f"  - python_module: {{module_name: {DEFINITIONS}, attribute: {name}, location_name: {name}}}" for name in names
    ]
    return "\n".join(["# written by `pipeline`: a code location for each tenant", "load_from:", *locations, ""])


def become(tenant: str) -> None:
    """Makes this process a tenant's, for good; "" leaves it to the house.

    Raises:
        SettingInvalid: it is another tenant's already.
    """
    before = os.environ.get("PIPELINE_TENANT", "")
    if before and before != tenant:
        raise SettingInvalid(
            f"this process works for tenant {before} and was asked for {tenant or 'the house'}; each needs its own"
        )
    if tenant:
        os.environ["PIPELINE_TENANT"] = tenant
