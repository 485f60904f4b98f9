"""`pipeline tenants`, and what the other commands do for one tenant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
from sqlalchemy import text

from pipeline_project.container.desk import open_desk_ports, open_frame
from pipeline_project.container.owner import OwnerStores
from pipeline_project.desk.app import build_app
from pipeline_project.spec.load import load_all
from resources.postgres.databases import engine_of
from tests.integration.house import House
from tests.integration.shop import spec, write_spec
from tests.tenants.conftest import SAME, TenantHouse

Command = Callable[..., CompletedProcess[str]]
PASSWORD = "a long enough password"


@pytest.fixture
def command(tenants: TenantHouse) -> Command:
    def given(*words: str, tenant: str = "", **more: str) -> CompletedProcess[str]:
        house = House(
            "none", tenants.house.home, None, {**tenants.environ, **({"PIPELINE_TENANT": tenant} if tenant else {})}
        )
        return house.command(*words, **more)

    return given


def test_adding_one_makes_all_of_it_and_again_changes_nothing(tenants: TenantHouse, command: Command) -> None:
    name = f"c{tenants.names[0][1:]}"
    tenants.names = (*tenants.names, name)
    first, again = (command("tenants", "add", name, "--json") for _ in range(2))
    assert (first.returncode, json.loads(first.stdout)) == (0, json.loads(again.stdout)), first.stderr
    assert json.loads(first.stdout)["files"] == str(tenants.house.home / "tenants" / name)
    own = tenants.databases(name)
    for url in (own.ledger_url, own.mlflow_url):
        with engine_of(url).connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    said = command("tenants", "add", name).stdout
    assert f"PIPELINE_TENANT={name} pipeline status" in said


@pytest.mark.parametrize("name", ["Acme", "public", "pg_x", "../x", "a" * 64, "ä"])
def test_a_name_that_cannot_be_is_refused_and_nothing_is_made(
    tenants: TenantHouse, command: Command, name: str
) -> None:
    before = sorted(path.name for path in tenants.house.tenants.iterdir())  # type: ignore[union-attr]
    said = command("tenants", "add", name)
    assert said.returncode != 0 and ("no name for a tenant" in said.stderr or "cannot be called" in said.stderr)
    assert sorted(path.name for path in tenants.house.tenants.iterdir()) == before  # type: ignore[union-attr]


def test_the_list_says_what_each_has(tenants: TenantHouse, command: Command) -> None:
    one, other = tenants.names[:2]
    folder = tenants.house.tenants
    assert folder is not None
    (folder / other / "broken.yaml").write_text("workflow: [")
    rows = {row["name"]: row for row in json.loads(command("tenants", "list", "--json").stdout)}
    assert (rows[one]["workflows"], rows[one]["broken"]) == ([SAME], [])
    assert (rows[other]["workflows"], rows[other]["broken"]) == ([SAME], ["broken.yaml"])
    assert "broken.yaml" in command("tenants", "list").stdout
    (folder / other / "broken.yaml").unlink()


def test_a_workflow_of_another_is_told_to_be_none_of_its(tenants: TenantHouse, command: Command) -> None:
    one, other = tenants.names[:2]
    folder = tenants.house.tenants
    assert folder is not None
    path = write_spec(folder / other, spec("only_theirs"))
    for words in (("status", "only_theirs"), ("nights", "only_theirs"), ("results", "returns")):
        said = command(*words, tenant=one)
        assert said.returncode != 0
        assert f"tenant {one} has no workflow '{words[1]}'; there are {SAME}" in " ".join(said.stderr.split())
    path.unlink()


def test_people_of_one_are_nobody_at_the_desk_of_another(
    tenants: TenantHouse, command: Command, tmp_path: object
) -> None:
    from fastapi.testclient import TestClient

    one, other = tenants.names[:2]
    file = tenants.house.home / "password"
    file.write_text(PASSWORD)
    assert command("people", "add", "ada", "--role", "admin", "--password-file", str(file), tenant=one).returncode == 0
    assert [row["name"] for row in json.loads(command("people", "list", "--json", tenant=one).stdout)] == ["ada"]
    assert json.loads(command("people", "list", "--json", tenant=other).stdout) == []

    def signed_in(name: str) -> int:
        own = tenants.settings(name)
        specs = load_all(own.workflow_folders, name).specs
        ports = open_desk_ports(OwnerStores(own, tenants.databases(name)), specs)
        client = TestClient(build_app(ports, open_frame(own, "http://testserver", {})), follow_redirects=False)
        form = re.search(r'name="form" value="([^"]+)"', client.get("/sign-in").text)
        assert form is not None
        given = {"name": "ada", "password": PASSWORD, "form": form[1]}
        answer = client.post("/sign-in", data=given, headers={"origin": "http://testserver"})
        assert set(ports.desks) == {SAME}
        return len([name for name in answer.cookies if name.startswith("desk-")])

    assert (signed_in(one), signed_in(other)) == (1, 0)


def test_a_secret_of_one_opens_no_door_of_another(tenants: TenantHouse, command: Command) -> None:
    one, other = tenants.names[:2]
    made = json.loads(command("hooks", "secret", SAME, "--json", tenant=one).stdout)
    assert made["variable"] == f"PIPELINE_HOOK_SECRET_{one.upper()}__{SAME.upper()}"
    assert f"{made['variable']}='whsec_" in command("hooks", "secret", SAME, tenant=one).stdout
    given = {made["variable"]: made["value"]}
    open_doors = [json.loads(command("hooks", "list", "--json", tenant=name, **given).stdout) for name in (one, other)]
    assert [[door["secrets"] for door in doors] for doors in open_doors] == [[1], [0]]
    file = tenants.house.home / "claims.csv"
    file.write_text("case\n1\n")
    said = command("hooks", "send", SAME, str(file), tenant=other, **given)
    assert said.returncode == 2 and f"PIPELINE_HOOK_SECRET_{other.upper()}__{SAME.upper()} is not set" in said.stderr


@pytest.mark.parametrize("words", ["up", "down", "setup"])
def test_up_down_and_setup_are_the_houses(tenants: TenantHouse, command: Command, words: str) -> None:
    said = command(words, tenant=tenants.names[0])
    assert said.returncode == 2 and "unset PIPELINE_TENANT" in said.stderr


def test_setup_makes_what_tenants_need_as_well(tenants: TenantHouse, command: Command) -> None:
    made = json.loads(command("setup", "--json").stdout)
    folder = tenants.house.tenants
    assert folder is not None
    assert made["tenants"] == sorted(path.name for path in folder.iterdir() if path.is_dir())
    for name in made["tenants"]:
        with engine_of(tenants.databases(name).mlflow_url).connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
