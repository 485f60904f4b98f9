"""A model on a real house: held back, judged, signed, in shadow, in canary, champion; and back by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.domain.core.people import NewAccount, PersonRole
from resources.ledger.models.proposals import PostgresPromotions
from resources.ledger.people.accounts import PostgresPeople
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House, all_differences

PASSWORD = "a long enough password"
#: Gates that a challenger as good as the champion passes: what they stop is tested elsewhere.
GATES = {
    "nights": 4, "fewest_nights": 2, "effective": 10, "money": 50, "ece": 1, "slice_cases": 10, "slice_harm": 9,
    "flips": 1, "load": 9, "rates": 9,
}  # fmt: skip
ROLLOUT = {"shadow_nights": 1, "steps": [0.5], "step_nights": 1, "error": 0.9}
DECIDED, TRAINED = 8, 8
LAST = shop.night(2 + DECIDED)
SHADOW, CANARY, CHAMPION = (shop.night(2 + DECIDED + n) for n in (1, 2, 3))


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Eight decided nights, and a second training after them."""
    # few cases a night: what looks like drift would ask for trainings of its own
    terms = {"gates": GATES, "rollout": ROLLOUT, "drift": {"breaches": 60, "of_nights": 60}}
    house = new_house("lifecycle", **terms, options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    for offset in range(DECIDED + 7):
        night = shop.night(offset)
        cases = shop.rows(night, 40)
        shop.drop_cases(house.folder, night, cases)
        shop.drop_outcomes(house.folder, night, cases, f"{night}T23:00:00")
    assert [run.why for run in house.nights(shop.FIRST, LAST) if run.outcome != "done"] == []
    (again,) = house.nights(LAST, again=True, retrain=True)
    assert again.outcome == "done"
    people = PostgresPeople(house.ledger.url)
    people.add(NewAccount(f"cleo-{house.name}"[:40], "Cleo", [PersonRole.MODEL_APPROVER], PASSWORD), "test")
    return house


def _models(house: House, night: str, asset_name: str = "scores") -> set[str | None]:
    return {row["model_version"] for row in house.table(asset_name, night) or []}


def test_the_second_model_is_proposed_and_decides_nothing_yet(house: House) -> None:
    promotions = PostgresPromotions(house.ledger.url)
    proposals = promotions.proposals(house.name)
    assert [each.version for each in proposals] == ["2"], [(p.version, p.night) for p in proposals]
    proposed = proposals[0]
    assert proposed.passed, [gate for gate in proposed.gates if not gate["passed"]]
    assert proposed.replay is not None
    assert proposed.replay["encoded"] == 0
    assert proposed.card.startswith("# Model card")
    known_before = house.ledger.models(house.name)[-1].known_before
    assert shop.DECIDE_FROM <= known_before < LAST
    assert proposed.replay["first"] >= known_before
    assert all(f"gate_{gate['name']}" in house.checks("promotion", LAST) for gate in proposed.gates)
    assert house.ledger.champion(house.name, LAST) == house.ledger.models(house.name)[0]


def test_a_replay_by_hand_changes_nothing(house: House) -> None:
    before = (house.facts(), house.work(), house.tables())
    told = house.command(
        "replay", house.name, "--from", shop.night(8), "--to", LAST, "--model", "2", "--json",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    facts, work, tables = before
    assert (all_differences(house.facts(), facts), all_differences(house.work(), work)) == ({}, {})
    assert all_differences(house.tables(), tables) == {}


def test_signed_it_goes_through_shadow_and_canary_and_is_champion(house: House, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    (proposed,) = PostgresPromotions(house.ledger.url).proposals(house.name)
    signer = f"cleo-{house.name}"[:40]
    words = ("models", house.name, "--sign", str(proposed.id), "--as", signer, "--password-file", str(password))
    signed = house.command(*words)
    assert signed.returncode == 0, signed.stderr
    assert f"rolled out from {SHADOW}" in signed.stdout

    assert [run.outcome for run in house.nights(SHADOW)] == ["done"]
    assert _models(house, SHADOW) == {"1"} and _models(house, SHADOW, "shadow_scores") == {"2"}
    assert [run.outcome for run in house.nights(CANARY)] == ["done"]
    assert _models(house, CANARY) == {"1", "2"}
    stamped = {row["model_version"] for row in house.decisions(CANARY)}
    assert stamped == {"1", "2"}
    assert [run.outcome for run in house.nights(CHAMPION)] == ["done"]
    assert _models(house, CHAMPION) == {"2"}
    # a night of the rollout that is run again comes to the same
    canary = house.table("scores", CANARY)
    assert [run.outcome for run in house.nights(CANARY, again=True)] == ["done"]
    assert house.table("scores", CANARY) == canary


def test_one_command_goes_back(house: House) -> None:
    assert house.command("rollback", house.name).returncode != 0, "a reason is needed"
    back = house.command("rollback", house.name, "--reason", "harms the small shops")
    assert back.returncode == 0, back.stderr
    after = shop.night(2 + DECIDED + 4)
    assert [run.outcome for run in house.nights(after)] == ["done"]
    assert _models(house, after) == {"1"}


def test_a_recall_names_what_the_model_touched_and_changes_nothing_unasked(house: House) -> None:
    before = house.work()
    told = house.command("recall", house.name, "--model", "2", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert house.work() == before
