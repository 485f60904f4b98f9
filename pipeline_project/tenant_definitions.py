"""What Dagster loads for each tenant: `tenant_definitions.acme`, one attribute and one code location for each.

The name in the code pointer says whose definitions they are, so that whatever process Dagster starts for a run, on
whatever machine, loads the same tenant's. A process is one tenant's from then on: two never meet in one.
"""

from __future__ import annotations

import os
from typing import Any

import dagster as dg

from pipeline_project.definitions import build_definitions
from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.domain.core.tenants import checked_name
from pipeline_project.tenants import become


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        tenant = checked_name(name)
    except SettingInvalid as error:
        raise AttributeError(str(error)) from None

    @dg.definitions
    def of_tenant() -> dg.Definitions:
        become(tenant)
        return build_definitions(os.environ)

    return of_tenant
