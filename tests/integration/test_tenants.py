"""Two tenants with a workflow of one name, in one Dagster: each comes to what it would have come to alone."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, EventLogEntry, RunsFilter

from benchmarks.chaos.running import BACKFILL, Up, free_ports
from pipeline_project.domain.core.run_tags import TENANT
from pipeline_project.domain.core.tenants import in_dagster
from pipeline_project.serving.ports import is_free
from resources.postgres.databases import close_idle
from resources.postgres.embedded import EmbeddedServer
from tests.integration import shop
from tests.integration.house import House

NAME = f"claims_{uuid.uuid4().hex[:8]}"
#: By tenant, cases a night: what one has differs from what the other has.
CASES = {"acme": 20, "beta": 32}
#: By command, the first model and the first decided night included; then by Dagster's daemon.
BY_COMMAND, BY_DAEMON = [shop.night(offset) for offset in range(4)], [shop.night(4), shop.night(5)]
LONGEST = 400.0


class TenantAtHome(House):
    """One tenant of a home, whose commands run as its."""

    @property
    def folder(self) -> Path:
        return self.home / "specs" / self.variables["PIPELINE_TENANT"]

    @property
    def environ(self) -> dict[str, str]:
        return {"PIPELINE_HOME": str(self.home), "PIPELINE_TENANTS": str(self.home / "specs"), **self.variables}


def filled(house: House, cases: int) -> House:
    house.declare(actions=shop.ACTIONS, options=shop.ACTING_OPTIONS)
    shop.drop_nights(house.folder, [*BY_COMMAND, *BY_DAEMON], count=cases)
    return house


def free_pairs() -> Iterator[int]:
    """Ports of this machine that nobody listens on, nor on the next one."""
    start = 20_000 + os.getpid() % 5_000
    yield from (port for port in range(start, 30_000, 2) if is_free(port) and is_free(port + 1))


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """With a server of its own, because `up` stops what it started; a short path for its socket."""
    folder = Path(tempfile.mkdtemp(prefix="tenants-"))
    yield folder
    close_idle()
    for one in (folder, *folder.glob("alone-*")):
        EmbeddedServer(one / "postgres").stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tenants(home: Path) -> Iterator[dict[str, House]]:
    """Both, after their first nights by command and a decided backfill by Dagster's daemon, asked for at once."""
    both = {name: filled(TenantAtHome(NAME, home, None, {"PIPELINE_TENANT": name}), CASES[name]) for name in CASES}
    # a file with mistakes and one that is no YAML, which are nobody else's matter
    (home / "specs" / "beta" / "broken.yaml").write_text("workflow: Broken\ntitle: [")
    for house in both.values():
        house.nights(BY_COMMAND[0], BY_COMMAND[-1])
    # below those that connections are given, so that they are still free a moment later
    terms = "".join(f"{name}: {{port: {port}}}\n" for name, port in zip(CASES, free_pairs(), strict=False))
    (home / "specs" / "tenants.yaml").write_text(terms)
    up = Up.started(House("none", home, None, {"PIPELINE_TENANTS": str(home / "specs")}), free_ports(5))
    try:
        for tenant in both:
            job = f"{in_dagster(NAME, tenant)}_nightly"
            at = {"repositoryName": "__repository__", "repositoryLocationName": tenant}
            wanted = {"selector": {"repositorySelector": at, "partitionSetName": f"{job}_partition_set"}}
            (said,) = up.ask(BACKFILL, wanted={**wanted, "partitionNames": BY_DAEMON}).values()
            assert said["__typename"] == "LaunchBackfillSuccess", said
        until = time.monotonic() + LONGEST
        while any(len({row["night"] for row in house.decisions()}) < 1 + len(BY_DAEMON) for house in both.values()):
            assert time.monotonic() < until, (home / "up.log").read_text()
            time.sleep(1)
        released = "SELECT night FROM releases WHERE workflow = :name"
        while any(len(house.sql(released)) < 1 + len(BY_DAEMON) for house in both.values()):
            assert time.monotonic() < until
            time.sleep(1)
        yield both
    finally:
        up.stop()


@pytest.fixture(scope="module")
def alone(home: Path, tenants: dict[str, House]) -> dict[str, House]:
    """A house for each, with nobody else in it."""
    houses = {}
    for name in tenants:
        own = home / f"alone-{name}"
        own.mkdir()
        houses[name] = filled(House(NAME, own, None, {}), CASES[name])
        houses[name].nights(BY_COMMAND[0], BY_DAEMON[-1])
    return houses


@pytest.mark.parametrize("name", CASES)
def test_each_decided_what_it_would_have_decided_alone(
    name: str, tenants: dict[str, House], alone: dict[str, House]
) -> None:
    assert len(tenants[name].decisions()) > CASES[name]
    assert tenants[name].facts()["champions"], "a model decided"
    assert tenants[name].facts() == alone[name].facts()
    assert tenants[name].table("scores") == alone[name].table("scores")
    assert tenants[name].table("cases") == alone[name].table("cases")


def test_the_runs_of_each_were_its_own(tenants: dict[str, House]) -> None:
    with tenants["acme"].instance() as (_, instance):
        assert isinstance(instance, DagsterInstance)
        runs = instance.get_runs(RunsFilter(tags={"dagster/backfill": [*_backfills(instance)]}))
    by_tenant = {tenant: [run for run in runs if run.tags.get(TENANT) == tenant] for tenant in CASES}
    assert {tenant: len(found) for tenant, found in by_tenant.items()} == dict.fromkeys(CASES, len(BY_DAEMON))
    for tenant, found in by_tenant.items():
        assert {run.tags["pipeline/workflow"] for run in found} == {in_dagster(NAME, tenant)}
        assert all("run worker" in "\n".join(entry.message for entry in _logs(tenants, run.run_id)) for run in found)


def _backfills(instance: DagsterInstance) -> list[str]:
    return [run.tags["dagster/backfill"] for run in instance.get_runs() if "dagster/backfill" in run.tags]


def _logs(tenants: dict[str, House], run_id: str) -> list[EventLogEntry]:
    with tenants["acme"].instance() as (_, instance):
        return list(instance.all_logs(run_id))


def test_what_each_wrote_lies_below_its_own_folder(tenants: dict[str, House], home: Path) -> None:
    for name, house in tenants.items():
        own = home / "tenants" / name
        for place in (house.settings.lake_url, house.settings.reports, house.settings.models, house.settings.keys):
            assert Path(str(place)).is_relative_to(own) and any(Path(str(place)).iterdir())
    for folder in ("lake", "models", "reports"):
        assert not [path for path in (home / folder).rglob("*") if path.is_file()], "nothing of a tenant in the house's"


def test_a_broken_file_of_one_is_told_to_that_one_alone(tenants: dict[str, House]) -> None:
    told = tenants["beta"].command("check")
    assert told.returncode != 0 and "broken.yaml:" in told.stderr
    said = tenants["acme"].command("check")
    assert (said.returncode, "broken" in said.stdout + said.stderr) == (0, False)
    wrong = tenants["acme"].command("status", "returns")
    assert wrong.returncode != 0
    assert f"tenant acme has no workflow 'returns'; there are {NAME}" in wrong.stderr.replace("\n", " ")
