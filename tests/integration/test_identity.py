"""On real nights: who a case is does not depend on its id alone, nor on the name of its workflow."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline_project.commands.shared.app_context import workflow
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House
from tests.integration.test_bad_nights import NO_MODEL

FIRST, SECOND, THIRD = (shop.night(offset) for offset in range(3))
ROWS = 6


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Two nights decided; the third brings rows of the first under other ids, and new ones."""
    house = new_house("who", **NO_MODEL)
    shop.drop_nights(house.folder, [FIRST, SECOND], count=ROWS, outcomes=False)
    shop.drop_cases(house.folder, THIRD, shop.rows(THIRD, ROWS))
    assert [run.outcome for run in house.nights(FIRST, SECOND)] == ["done", "done"]
    assert len(house.decisions()) == 2 * ROWS
    return house


def edited(house: House, name: str | None = None, **changes: Any) -> None:
    """The workflow's file with other keys, under its own name or another."""
    content = shop.spec(name or house.name, **{**NO_MODEL, **changes})
    if "id_from" in changes:
        content["fields"]["case"].pop("role")
    (house.folder / f"{content['workflow']}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_other_ids_stop_the_night_and_decide_nothing(house: House) -> None:
    edited(house, id_from=["case", "at"])
    for night, again in ((SECOND, True), (THIRD, False)):
        done = house.command("nights", house.name, "--from", night, "--to", night, *(["--again"] if again else []))
        assert done.returncode == 1, done.stdout + done.stderr
        assert "renamed_from" in done.stdout + done.stderr or "stays decided" in done.stdout + done.stderr
    assert len(house.decisions()) == 2 * ROWS
    edited(house)


def test_another_name_on_the_same_files_stops_too_however_the_folder_is_spelled(house: House) -> None:
    other = f"{house.name}_b"
    (house.folder / "way").symlink_to(house.folder / "in")
    edited(house, other, source={"kind": "files", "folder": "way/../way", "pattern": "claims/{night}*.csv"})
    done = house.command("nights", other, "--from", SECOND, "--to", SECOND)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"renamed_from: {house.name}" in done.stdout + done.stderr
    assert house.sql("SELECT 1 FROM decisions WHERE workflow = :other", other=other) == []
    (house.folder / f"{other}.yaml").unlink()


def test_rows_that_came_before_under_other_ids_are_refused_and_the_new_ones_decided(house: House) -> None:
    copies = [{**row, "case": f"X{row['case']}", "amount": f"{row['amount']}0"} for row in shop.rows(FIRST, ROWS)[:1]]
    floats = [{**row, "case": row["case"]} for row in shop.rows(FIRST, ROWS)[1:2]]
    shop.drop_cases(house.folder, THIRD, [*shop.rows(THIRD, ROWS), *copies, *floats])
    (run,) = house.nights(THIRD)
    assert run.outcome == "done"
    assert len(house.decisions(THIRD)) == ROWS
    (refused,) = house.table("quarantine", THIRD) or []
    assert "says the same under another id" in refused["reasons"][0]
    assert house.metadata("cases", THIRD)["duplicates"] == 1


def test_a_copy_of_the_house_under_a_new_name_counts_what_the_old_one_decided(house: House) -> None:
    other = f"{house.name}_c"
    edited(house, other, renamed_from=house.name)
    with house.entered():
        assert workflow(other).renamed_from == (house.name,)
    done = house.command("nights", other, "--from", SECOND, "--to", SECOND)
    assert done.returncode == 0, done.stdout + done.stderr
    assert house.sql("SELECT 1 FROM decisions WHERE workflow = :other", other=other) == []
