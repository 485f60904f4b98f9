"""Nights that were really decided, replayed by the command: the champion against itself, a policy, and what stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from pipeline_project.commands.replay import replay_nights
from pipeline_project.domain.core.errors import ModelUnavailable, ReplayRefused
from resources.ledger.schema import metadata
from resources.postgres.databases import engine_of
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

NIGHTS = [shop.night(offset) for offset in range(6)]
FIRST, LAST = NIGHTS[3], NIGHTS[5]
SPAN = (FIRST, LAST)


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> Iterator[House]:
    house = new_house("replayed", text=True, gates={"effective": 10, "slice_cases": 10})
    shop.drop_nights(house.folder, NIGHTS, 24)
    assert {run.outcome for run in house.nights(NIGHTS[0], LAST)} == {"done"}
    yield house


def run(house: House, capsys: pytest.CaptureFixture[str], **more: Any) -> dict[str, Any]:
    given = {"model": "1", "policy": None, "knows_the_future": False, "as_json": True, "span": SPAN, **more}
    capsys.readouterr()
    with house.entered():
        assert replay_nights(house.name, **given) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def ledger_digests(house: House) -> dict[str, str]:
    found = {}
    with engine_of(house.ledger.url).connect() as connection:
        for table in metadata.sorted_tables:
            rows = sorted(str(row) for row in connection.execute(text(f"SELECT t::text FROM {table.name} t")))
            found[table.name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


def lake_digests(house: House) -> dict[str, str]:
    lake = Path(house.settings.lake_url)
    files = sorted(path for path in lake.rglob("*") if path.is_file())
    return {str(path.relative_to(lake)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_champion_against_itself_decides_every_case_as_it_was(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, lake = ledger_digests(house), lake_digests(house)
    told = run(house, capsys)
    result = told["result"]
    assert (result["cases"], result["flips"], result["encoded"]) == (72, {}, 0)
    assert result["money"]["value"] == 0
    assert result["base"] == result["candidate"]
    page = Path(told["page"]).read_text(encoding="utf-8")
    assert "Every case would be decided as it was" in page
    # only its own row, and of the lake, vectors included, not a byte
    after = ledger_digests(house)
    assert {name for name in after if after[name] != ledger[name]} == {"candidate_replays"}
    assert lake_digests(house) == lake


def test_another_policy_on_the_recorded_probabilities(
    house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cheap = {
        "pay": {"title": "Pay", "costs": {"honest": 0, "fraud": "amount"}},
        "assess": {"title": "Send an assessor", "costs": {"honest": 1, "fraud": 1}},
    }
    file = tmp_path / "cheap.yaml"
    file.write_text(yaml.safe_dump(shop.spec(house.name, text=True, options=cheap)), encoding="utf-8")
    told = run(house, capsys, model=None, policy=file)
    assert told["candidate"] == "cheap"
    result = told["result"]
    assert set(result["flips"]) <= {"pay -> assess", "ask_person -> assess"}
    assert sum(result["flips"].values()) > 10
    assert result["money"]["low"] < result["money"]["value"] < 0
    assert result["sample"]


def test_without_nights_the_latest_with_outcomes_are_taken_that_the_model_does_not_know(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(house, capsys, span=(None, None))["result"]
    assert (result["first"], result["last"]) == (FIRST, LAST)


def test_a_night_that_was_written_again_is_replayed_as_it_was(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    late = [{**row, "case": f"L-{number}"} for number, row in enumerate(shop.rows(FIRST, 3))]
    shop.drop_cases(house.folder, FIRST, late, part="-late")
    lake = house.lake
    before = house.table("cases", FIRST)
    assert before
    assert [each.outcome for each in house.nights(FIRST, again=True)] == ["done"]
    cases = lake.read_night(house.name, "cases", FIRST)
    assert cases is not None
    assert len(cases) == len(before) + 3
    result = run(house, capsys)["result"]
    assert result["cases"] == 75
    # 20 % of 27 cases give a place more than 20 % of the 24 that came first
    assert result["candidate"]["ece"] == pytest.approx(result["base"]["ece"], abs=0.005)
    assert sum(result["flips"].values()) <= 1
    assert all(way.endswith("-> ask_person") for way in result["flips"])


def test_a_model_that_is_not_there_and_nights_that_are_not_are_said_so(house: House) -> None:
    with house.entered():
        with pytest.raises(ModelUnavailable, match="no version 99"):
            replay_nights(house.name, SPAN, "99", None, False, False)
        with pytest.raises(ReplayRefused, match=r"nothing of .* was decided"):
            replay_nights(house.name, ("2024-01-01", "2024-01-02"), "1", None, True, False)


def test_people_are_told_in_words(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    with house.entered():
        replay_nights(house.name, SPAN, "1", None, False, False)
    out = capsys.readouterr().out
    assert "of 75 cases would be decided otherwise" in out
    assert "Page: " in out
