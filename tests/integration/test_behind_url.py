"""Two hosts with nothing in common but a database, keys and an object store: one goes on with what the other made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.files import files_at
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House
from tests.s3_server import S3Process, environ_of

FIRST_DECIDED, NEXT = shop.night(3), shop.night(4)
#: What a host keeps on its own disk: what it is told by others, and what may go at any time.
ITS_OWN = {"own", "dagster", "logs", "engines", "running"}


@pytest.fixture(scope="module")
def bucket(s3_process_server: S3Process) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ_of(s3_process_server.url).items():
            patch.setenv(name, value)
        s3_process_server.refuse()
        yield s3_process_server.bucket()


@pytest.fixture(scope="module")
def first_host(new_house: NewHouse, bucket: str) -> House:
    source = {"kind": "files", "folder": f"{bucket}/shop", "pattern": "claims/{night}*.csv"}
    outcome = {**shop.spec("any")["outcome"], "folder": f"{bucket}/shop"}
    host = new_house("hosts", source=source, outcome=outcome)
    host.variables["PIPELINE_FILES_URL"] = f"{bucket}/house"
    shop.drop_nights(host.folder, [shop.night(offset) for offset in range(5)])
    for path in sorted((host.folder / "in").rglob("*.csv")):
        files_at(f"{bucket}/shop").write(path.relative_to(host.folder / "in").as_posix(), path.read_bytes())
    assert [run.outcome for run in host.nights(shop.FIRST, FIRST_DECIDED)] == ["done"] * 4
    return host


@pytest.fixture(scope="module")
def second_host(first_host: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    # beside the first one, where both find the keys
    home = first_host.home.with_name(f"{first_host.home.name}-second")
    variables = {**first_host.variables, "PIPELINE_WORKFLOWS": str(first_host.folder)}
    return House(first_host.name, home, first_host.server, variables)


def test_a_night_is_decided_by_the_model_that_the_other_host_trained(first_host: House, second_host: House) -> None:
    assert {row["model_version"] for row in first_host.decisions(FIRST_DECIDED)} == {"1"}
    assert [run.outcome for run in second_host.nights(NEXT)] == ["done"]
    assert {row["model_version"] for row in second_host.decisions(NEXT)} == {"1"}
    # and it knows that the nights before are done
    assert [run.outcome for run in second_host.nights(shop.FIRST, NEXT)] == ["passed_over"] * 5


def test_everything_adds_up_on_either_host(first_host: House, second_host: House) -> None:
    for host in (first_host, second_host):
        for words in (["reconcile", host.name], ["audit", "verify"], ["doctor", "--deep"]):
            told = host.command(*words)
            assert told.returncode == 0, told.stdout + told.stderr


def test_nothing_lies_on_a_disk_of_its_own(first_host: House, second_host: House, bucket: str) -> None:
    for host in (first_host, second_host):
        assert {path.name for path in host.home.iterdir()} <= ITS_OWN
    house = files_at(f"{bucket}/house")
    assert {"lake", "models", "reports"} <= set(house.level()[0])
    assert (
        FIRST_DECIDED in house.read("reports/index.html").decode() and NEXT in house.read("reports/index.html").decode()
    )


def test_a_repair_given_back_on_one_host_enters_its_night_on_the_other(
    first_host: House, second_host: House, tmp_path: Path
) -> None:
    rows = tmp_path / "more.csv"
    more = {**shop.rows(NEXT, 1)[0], "case": "C-late", "amount": "77.00"}
    rows.write_text(",".join(shop.HEADER) + "\n" + ",".join(more[name] for name in shop.HEADER) + "\n")
    told = second_host.command("quarantine", second_host.name, "--night", NEXT, "--repair", str(rows))
    assert told.returncode == 0, told.stderr
    assert [run.outcome for run in first_host.nights(NEXT)] == ["done"]
    assert "C-late" in {row["case_id"] for row in first_host.decisions(NEXT)}


def test_credentials_that_expire_in_the_middle_of_a_night_call_a_person_and_nothing_is_lost(
    first_host: House, s3_process_server: S3Process, bucket: str
) -> None:
    night = shop.night(5)
    cases = shop.drop_cases(first_host.folder, night, shop.rows(night))
    files_at(f"{bucket}/shop").write(f"claims/{night}.csv", cases.read_bytes())
    before = first_host.decisions()
    s3_process_server.refuse("400 Bad Request", "ExpiredToken", after=150)
    (run,) = first_host.nights(night)
    asked = s3_process_server.refuse()
    assert run.outcome == "failed" and "credentials have expired" in str(run.why)
    assert len(asked) > 150, "it had begun"
    assert first_host.decisions() == before
    (run,) = first_host.nights(night)
    assert run.outcome == "done", run.why
    assert len(first_host.decisions(night)) == 24 and len(first_host.decisions()) == len(before) + 24
    assert first_host.command("reconcile", first_host.name).returncode == 0


def test_a_store_that_is_away_for_a_moment_is_not_noticed(
    first_host: House, s3_process_server: S3Process, bucket: str
) -> None:
    night = shop.night(6)
    cases = shop.drop_cases(first_host.folder, night, shop.rows(night))
    files_at(f"{bucket}/shop").write(f"claims/{night}.csv", cases.read_bytes())
    s3_process_server.refuse("503 Slow Down", "SlowDown", times=4, after=200)
    (run,) = first_host.nights(night)
    assert run.outcome == "done", run.why
