"""deploy/tenants.py: a tenant's services are those of the house, its own; and its roles are made once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.named import DEPLOY, script
from tests.deploy.test_compose import compose, mistakes
from tests.places import DEPLOY_TOOLS

TENANTS = {"acme": (3200, 3201), "beta": (3102, 3103)}
OWN = ("code", "desk", "reports", "dispatcher")


SCRIPT = script("tenants")


def services() -> dict[str, dict[str, Any]]:
    made: dict[str, dict[str, Any]] = SCRIPT.compose(TENANTS)["services"]
    return made


def folder_of_tenants(folder: Path) -> Path:
    for name in TENANTS:
        (folder / "specs" / name).mkdir(parents=True)
    (folder / "specs" / "tenants.yaml").write_text("acme: {port: 3200, connections: 7}\n", encoding="utf-8")
    return folder


def test_a_tenants_services_are_as_good_as_those_of_the_house() -> None:
    house = compose()
    own = {name: service for name, service in services().items() if name not in house["services"]}
    assert set(own) == {f"{name}-{tenant}" for name in OWN for tenant in TENANTS}
    for service in own.values():
        mounted = [volume for volume in service["volumes"] if not volume.startswith("./tenants/")]
        assert len(mounted) == len(service["volumes"]) - 1
        service["volumes"] = mounted
    assert mistakes({**house, "services": {**house["services"], **own}}) == []


def test_a_tenants_processes_say_whose_they_are_and_are_found_at_its_ports() -> None:
    made = services()
    for tenant, (desk, reports) in TENANTS.items():
        assert {made[f"{name}-{tenant}"]["environment"]["PIPELINE_TENANT"] for name in OWN} == {tenant}
        assert made[f"desk-{tenant}"]["ports"] == [f"127.0.0.1:{desk}:3004"]
        assert made[f"reports-{tenant}"]["ports"] == [f"127.0.0.1:{reports}:3002"]
        assert f"s3://pipeline/tenants/{tenant}/reports" in made[f"reports-{tenant}"]["command"]
        assert made[f"code-{tenant}"]["command"][-4:] == ["-a", tenant, "--location-name", tenant]
    everybodys = {name for name, service in made.items() if "PIPELINE_TENANT" not in service["environment"]}
    assert everybodys == set(compose()["services"]) - {"passwords", "database", "store"}
    assert all("PIPELINE_TENANTS" in made[name]["environment"] for name in everybodys - {"roles"})
    locations = [server["grpc_server"] for server in SCRIPT.workspace(TENANTS)["load_from"]]
    assert [(server["host"], server["location_name"]) for server in locations] == [
        ("code-acme", "acme"), ("code-beta", "beta"),
    ]  # fmt: skip


def test_what_is_written_is_of_the_tenants_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of_tenants(tmp_path)
    monkeypatch.setattr("sys.argv", ["tenants.py", str(folder)])
    SCRIPT.main()
    assert yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"] == services()
    limits = [line for line in (folder / "roles.sql").read_text(encoding="utf-8").splitlines() if "LIMIT" in line]
    assert limits == [
        f"ALTER DATABASE {name} CONNECTION LIMIT 7;" for name in ("pipeline_ledger_acme", "pipeline_mlflow_acme")
    ]
    (folder / "specs" / "Wrong Name").mkdir()
    with pytest.raises(SystemExit, match="is no name for a tenant"):
        SCRIPT.main()


@pytest.mark.deploy
def test_docker_compose_takes_both_files_together(tmp_path: Path) -> None:
    house, tenants = tmp_path / "compose.yaml", tmp_path / "tenants.yaml"
    house.write_text((DEPLOY / "compose.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    tenants.write_text(yaml.safe_dump({"services": services()}), encoding="utf-8")
    read = subprocess.run(
        [DEPLOY_TOOLS / "bin" / "docker-compose", "--file", house, "--file", tenants, "config", "--format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    taken = json.loads(read.stdout)["services"]
    assert set(taken) == {*compose()["services"], *services()}
    assert set(taken["webserver"]["depends_on"]) >= {"code", "code-acme", "code-beta"}
    assert taken["roles"]["environment"]["ROLES"].split() == ["/deploy/roles.sql", "/deploy/tenants.sql"]
    places = {taken[name]["environment"]["PIPELINE_TENANTS"] for name in ("webserver", "worker", "desk-acme")}
    assert places == {SCRIPT.FOLDER}
