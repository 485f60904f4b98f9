"""What the tenants of a house need beside deploy/compose.yaml: their services, code locations, roles and databases.

    python deploy/tenants.py deploy/tenants
    docker compose -f deploy/compose.yaml -f deploy/tenants/compose.yaml up --build --wait

`deploy/tenants/specs` is the folder of tenants, `PIPELINE_TENANTS` of the containers. Given again when one is added.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.tenants import DEFINITIONS, ports_of, tenant_names, terms_of
from resources.postgres.tenants import statements

DEPLOY = Path(__file__).parent
#: What each tenant has for itself; a run worker, a webserver and a daemon are everybody's.
OWN = ("code", "desk", "reports", "dispatcher")
FOLDER = "/etc/pipeline/tenants"
_OF_OTHERS = frozenset({"passwords", "roles", "database", "store"})


def compose(tenants: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """The services that stand over and beside those of deploy/compose.yaml.

    Args:
        tenants: by name, where on this machine people find the desk and the reports.
    """
    house = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    shared: dict[str, Any] = {
        "environment": {"PIPELINE_TENANTS": FOLDER},
        "volumes": [f"./tenants/specs:{FOLDER}:ro"],
    }
    services: dict[str, Any] = {name: copy.deepcopy(shared) for name in house if name not in _OF_OTHERS}
    services["roles"] = {
        "environment": {"ROLES": "/deploy/roles.sql /deploy/tenants.sql"},
        "volumes": ["./tenants/roles.sql:/deploy/tenants.sql:ro"],
    }
    for name in ("webserver", "daemon"):
        services[name]["volumes"] += ["./tenants/workspace.yaml:/deploy/workspace.tenants.yaml:ro"]
        services[name]["command"] = _with_workspace(house[name]["command"])
        services[name]["depends_on"] = {f"code-{tenant}": {"condition": "service_healthy"} for tenant in tenants}
    for tenant, ports in tenants.items():
        for name in OWN:
            own = copy.deepcopy(house[name])
            own["environment"] |= {**shared["environment"], "PIPELINE_TENANT": tenant}
            own["volumes"] += shared["volumes"]
            services[f"{name}-{tenant}"] = own
        _code(services[f"code-{tenant}"], tenant)
        _pages(services[f"desk-{tenant}"], services[f"reports-{tenant}"], tenant, ports)
    return {"services": services}


def _with_workspace(command: list[str]) -> list[str]:
    after = command.index("deploy/workspace.yaml") + 1
    return [*command[:after], "-w", "/deploy/workspace.tenants.yaml", *command[after:]]


def _code(service: dict[str, Any], tenant: str) -> None:
    command = service["command"]
    module = command.index("-m")
    service["command"] = [
        *command[:module], "-m", DEFINITIONS, "-a", tenant, "--location-name", tenant
    ]  # fmt: skip


def _pages(desk: dict[str, Any], reports: dict[str, Any], tenant: str, ports: tuple[int, int]) -> None:
    desk["ports"], reports["ports"] = [f"127.0.0.1:{ports[0]}:3004"], [f"127.0.0.1:{ports[1]}:3002"]
    own = f"s3://pipeline/tenants/{tenant}/reports"
    reports["command"] = [own if part == "s3://pipeline/reports" else part for part in reports["command"]]


def workspace(tenants: Iterable[str]) -> dict[str, Any]:
    """The tenants' code locations."""
    servers = [{"host": f"code-{tenant}", "port": 4000, "location_name": tenant} for tenant in tenants]
    return {"load_from": [{"grpc_server": server} for server in servers]}


def roles(tenants: Mapping[str, int | None]) -> str:
    """What makes the tenants' roles and databases, for psql as the server's administrator; given again it changes
    nothing.

    Args:
        tenants: by name, how many connections to each of its databases there may be; None for any number.
    """
    made = (statements(tenant, "pipeline", connections) for tenant, connections in tenants.items())
    return "\n".join(line for one in made for line in _given_again(one)) + "\n"


def _given_again(made: Sequence[str]) -> Iterator[str]:
    for statement in made:
        match = re.match(r"CREATE (ROLE|DATABASE) (\w+)", statement)
        if match is None:
            yield f"{statement};"
            continue
        catalogue, column = {"ROLE": ("pg_roles", "rolname"), "DATABASE": ("pg_database", "datname")}[match[1]]
        quoted = statement.replace("'", "''")
        yield f"SELECT '{quoted}' WHERE NOT EXISTS (SELECT FROM {catalogue} WHERE {column} = '{match[2]}') \\gexec"


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("python deploy/tenants.py FOLDER")
    folder = Path(sys.argv[1])
    try:
        tenants = {name: ports_of(folder / "specs", name) for name in tenant_names(folder / "specs")}
    except SettingInvalid as error:
        raise SystemExit(str(error)) from None
    note = "# Written by deploy/tenants.py; give it again instead of changing this.\n"
    for name, made in (("compose", compose(tenants)), ("workspace", workspace(tenants))):
        text = yaml.safe_dump(made, sort_keys=False, width=120)
        (folder / f"{name}.yaml").write_text(note + text, encoding="utf-8")
    connections = {name: terms_of(folder / "specs", name).connections for name in tenants}
    (folder / "roles.sql").write_text(roles(connections), encoding="utf-8")


if __name__ == "__main__":
    main()
