"""deploy/compose.yaml names what there is, keeps no secret, and lets every process say how it is and end in peace."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.named import (
    DEPLOY,
    GUARDED,
    port_of,
    secrets_in,
    unknown_variables,
    usual_ports,
    wrong_command,
)
from tests.places import DEPLOY_TOOLS

FILE = DEPLOY / "compose.yaml"
#: They do their work and end; everything else runs on.
ONCE = {"passwords", "roles", "setup"}
#: Images of others, with the version that was looked at.
IMAGES = {"roles": "postgres:18", "database": "postgres:18", "store": "chrislusf/seaweedfs:4.29"}
WANTED = {
    *ONCE, "database", "store", "code", "worker", "daemon", "webserver", "mlflow", "reports", "desk", "dispatcher",
}  # fmt: skip
SHORTEST_GRACE_SECONDS = 60


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return read


def mistakes(document: dict[str, Any]) -> list[str]:
    """What is wrong with a compose file, in a sentence each."""
    services: dict[str, Any] = document["services"]
    return [
        *(f"{name} is missing" for name in sorted(WANTED - set(services))),
        *(f"{name}: {mistake}" for name, service in services.items() for mistake in _service(name, service, document)),
    ]


def _service(name: str, service: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    environment = service.get("environment") or {}
    volumes = [volume.split(":") for volume in service.get("volumes", [])]
    yield from (f"{volume} is declared nowhere" for volume, *_ in volumes if _is_lost(volume, document))
    yield from (f"{held} holds a secret" for held in secrets_in(environment))
    for other, condition in (service.get("depends_on") or {}).items():
        wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
        if other not in document["services"]:
            yield f"waits for {other}, which is not there"
        elif condition != {"condition": wanted}:
            yield f"does not wait until {other} is {wanted}"
    if name not in ONCE and not service.get("healthcheck", {}).get("test"):
        yield "says to nobody how it is"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "may gain privileges"
    if any(not port.startswith("127.0.0.1:") for port in service.get("ports", [])):
        yield "is published beyond this machine"
    if name in IMAGES:
        if service["image"] != IMAGES[name]:
            yield f"is {service['image']}"
        return
    yield from _ours(name, service, environment)


def _is_lost(volume: str, document: dict[str, Any]) -> bool:
    if volume.startswith("./"):
        return not (DEPLOY / volume).is_file()
    return not volume.startswith("${") and volume not in document["volumes"]


def _ours(name: str, service: dict[str, Any], environment: dict[str, Any]) -> Iterator[str]:
    if not service["image"].startswith("${PIPELINE_IMAGE:-pipeline:"):
        yield f"is {service['image']}"
    yield from (f"{variable} is read by nobody" for variable in unknown_variables(list(environment)))
    yield from wrong_command(service["command"])
    if not service.get("read_only") or service.get("cap_drop") != ["ALL"] or service.get("user"):
        yield "may write to its image, has capabilities, or is another user than the image's"
    grace = service.get("stop_grace_period", "10s")
    if _seconds(grace) < SHORTEST_GRACE_SECONDS:
        yield f"has {grace} for what is in hand"
    if "--grace" in service["command"] and _seconds(grace) < _worker_grace(service["command"]):
        yield f"is killed after {grace}, while runs in hand still have time"
    if name in ONCE:
        if service.get("restart") != "no":
            yield "is started again when it has done its work"
        return
    command, test = service["command"], (service.get("healthcheck") or {}).get("test")
    if not test:
        return
    yield from wrong_command(test[1:])
    port, usual = port_of(command), usual_ports().get(name)
    if port and f":{port}" not in test[-1]:
        yield f"listens at {port} and is asked at {test[-1]}"
    if usual and (port != usual or service.get("ports") != [f"127.0.0.1:{usual}:{usual}"]):
        yield f"is not found at {usual}"
    if command[1:4] == GUARDED and environment.get("PIPELINE_REQUIRE_SIGN_IN") != "1":
        yield "lets in whoever reaches it"


def _worker_grace(command: list[str]) -> int:
    return int(command[command.index("--grace") + 1])


def _seconds(period: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([smh])", period).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def test_the_committed_file_is_right() -> None:
    assert mistakes(compose()) == []


def _service_of(name: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["services"][name].update(changes)


def _without(name: str, key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["services"][name].pop(key)


def _environment(name: str, **more: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["services"][name]["environment"].update(more)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda document: document["services"].pop("dispatcher"), "dispatcher is missing"),
        (_without("desk", "healthcheck"), "says to nobody how it is"),
        (_without("desk", "stop_grace_period"), "has 10s for what is in hand"),
        (_without("desk", "read_only"), "may write to its image"),
        (_without("desk", "security_opt"), "may gain privileges"),
        (_service_of("desk", user="root"), "is another user"),
        (_service_of("desk", ports=["3004:3004"]), "published beyond this machine"),
        (_service_of("desk", image="pipeline:latest"), "is pipeline:latest"),
        (_service_of("desk", command=["deploy/with-env", "pipeline", "dessk"]), "pipeline dessk"),
        (_service_of("desk", command=["deploy/with-env", "pipeline", "desk", "--adress", "x"]), "--adress"),
        (_service_of("desk", command=["deploy/with-env", "pipeline", "desk", "--port", "3005"]), "listens at 3005"),
        (_service_of("desk", command=["deploy/with_env", "pipeline", "desk"]), "knows the command deploy/with_env"),
        (_service_of("daemon", command=["dagster-daemon", "run", "-w", "deploy/workspaces.yaml"]), "is not there"),
        (_service_of("desk", healthcheck={"test": ["CMD", "curl", "x"]}), "knows the command curl"),
        (_service_of("desk", depends_on={"roles": {"condition": "service_started"}}), "does not wait until roles"),
        (_service_of("desk", depends_on={"gone": {"condition": "service_healthy"}}), "which is not there"),
        (_service_of("desk", volumes=["homes:/var/lib/pipeline"]), "homes is declared nowhere"),
        (_service_of("roles", volumes=["./rolls.sql:/deploy/roles.sql"]), "./rolls.sql is declared nowhere"),
        (_service_of("setup", restart="always"), "is started again"),
        (_service_of("worker", stop_grace_period="5m"), "is killed after 5m"),
        (_service_of("database", image="postgres:latest"), "is postgres:latest"),
        (_environment("desk", PIPELINE_LAKEURL="s3://x"), "PIPELINE_LAKEURL is read by nobody"),
        (_environment("desk", PIPELINE_LAKE_URL_FILE="/x"), "PIPELINE_LAKE_URL_FILE is read by nobody"),
        (_environment("desk", PIPELINE_POSTGRES_URL="postgresql://u:p@h/d"), "PIPELINE_POSTGRES_URL holds a secret"),
        (_environment("database", POSTGRES_PASSWORD="postgres"), "POSTGRES_PASSWORD holds a secret"),
        (_environment("webserver", PIPELINE_REQUIRE_SIGN_IN="0"), "lets in whoever reaches it"),
    ],
)
def test_a_wrong_file_is_noticed(change: Callable[[dict[str, Any]], None], told: str) -> None:
    document = copy.deepcopy(compose())
    change(document)
    assert any(told in mistake for mistake in mistakes(document)), mistakes(document)


def test_the_code_location_is_where_webserver_and_daemon_look_for_it() -> None:
    (location,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    command = compose()["services"]["code"]["command"]
    server = location["grpc_server"]
    assert (server["host"], server["port"]) == ("code", port_of(command))
    assert command[command.index("--location-name") + 1] == server["location_name"]


@pytest.mark.deploy
def test_docker_compose_takes_it_as_the_test_above_reads_it() -> None:
    read = subprocess.run(
        [DEPLOY_TOOLS / "bin" / "docker-compose", "--file", FILE, "config", "--format", "json", "--no-interpolate"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    taken = json.loads(read.stdout)["services"]
    assert {name: service.get("command") for name, service in taken.items()} == {
        name: service.get("command") for name, service in compose()["services"].items()
    }
    # what a merge key would have lost in one of the two
    assert {name: sorted(service["healthcheck"]["test"]) for name, service in taken.items() if name not in ONCE} == {
        name: sorted(service["healthcheck"]["test"])
        for name, service in compose()["services"].items()
        if name not in ONCE
    }


@pytest.mark.deploy
def test_docker_compose_refuses_a_key_that_there_is_none_of(tmp_path: Any) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text(encoding="utf-8").replace("stop_signal:", "stop_signals:"), encoding="utf-8")
    read = subprocess.run(
        [DEPLOY_TOOLS / "bin" / "docker-compose", "--file", wrong, "config", "--quiet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert read.returncode != 0
    assert "stop_signals" in read.stderr
