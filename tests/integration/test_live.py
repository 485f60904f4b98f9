"""Whole nights with challengers: a bad one decides its share once and is withdrawn, a good one becomes champion."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from pipeline_project.container.night import open_registry
from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.model_version import ModelVersion, TrainingRecord
from pipeline_project.domain.lifecycle.rollout.stages import chosen
from pipeline_project.domain.models.training import train
from resources.ledger.rollout.rollouts import SignedChallenger, begin_rollout
from resources.postgres.databases import engine_of
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

CANARY, AFTER, SHADOW, STEP, CHAMPION = (shop.night(offset) for offset in range(4, 9))
BAD = RolloutTerms(shadow_nights=0, steps=(0.5,), step_nights=5)
#: Taught by four small nights it errs often: what is watched here is its way, and no promise.
GOOD = RolloutTerms(shadow_nights=1, steps=(0.5,), step_nights=1, error=0.9)
COUNT = 60


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Four nights with a champion; then a challenger that learned the opposite; then one that is as good."""
    house = new_house("live", options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(9)], count=COUNT)
    done = house.nights(shop.FIRST, shop.night(3))
    bad = _trained(house, mistaken=True)
    _begin(house, bad, CANARY, BAD)
    done += house.nights(CANARY, AFTER)
    good = _trained(house, mistaken=False)
    _begin(house, good, SHADOW, GOOD)
    done += house.nights(SHADOW, CHAMPION)
    assert [run.outcome for run in done] == ["done"] * 9
    assert (bad.version, good.version) == ("2", "3")
    return house


def _trained(house: House, mistaken: bool) -> ModelVersion:
    """A model of what the champion learned from, less a case, or of the opposite."""
    spec = house.spec
    known = house.lake.read_night(house.name, "training_set", shop.night(3))
    assert known is not None
    if mistaken:
        other = {"honest": "fraud", "fraud": "honest"}
        labels = pa.array([other[label] for label in known["label"].to_pylist()])
        known = known.set_column(known.column_names.index("label"), "label", labels)
    else:
        known = known.slice(1)  # the same files would be the same version
    model = train(known, spec.training_plan_of(spec.model.estimator))
    with house.entered():
        registry = open_registry(house.settings)
        made = registry.log_training(TrainingRecord(
            house.name, shop.night(3), model.files(), {}, model.metrics, known.select(["label"]).to_pandas(),
            model.features, model.labels,
        ))  # fmt: skip
    house.ledger.record_model(made)
    return made


def _begin(house: House, model: ModelVersion, night: str, terms: RolloutTerms) -> None:
    with engine_of(house.ledger.url).begin() as connection:
        begin_rollout(connection, SignedChallenger(house.name, model.version, 0.05, None, "cleo"), night, terms)


def _versions(house: House, asset_name: str, night: str) -> dict[str, str]:
    return {row["case_id"]: row["model_version"] for row in house.table(asset_name, night) or []}


def test_the_challenger_decides_its_share_and_no_more(house: House) -> None:
    decided = {row["case_id"]: row["model_version"] for row in house.decisions(CANARY)}
    mine = dict(zip(decided, chosen(house.name, "2", list(decided), 0.5), strict=True))
    assert decided == {case: "2" if mine[case] else "1" for case in decided}
    assert 0.25 < sum(mine.values()) / COUNT < 0.75
    assert decided == _versions(house, "scores", CANARY)
    beside = _versions(house, "shadow_scores", CANARY)
    assert {decided[case] + beside[case] for case in decided} == {"12", "21"}


def test_one_that_does_worse_is_withdrawn_after_its_first_night(house: House) -> None:
    assert house.checks("live_check", CANARY) == {"keeps_its_promise": False}
    (end,) = house.sql(
        "SELECT kind, at_night::text AS night, by FROM rollout_ends WHERE workflow = :name AND version = '2'"
    )
    assert end == {"kind": "withdrawn", "night": AFTER, "by": "live_check"}
    assert {row["model_version"] for row in house.decisions(AFTER)} == {"1"}
    assert house.table("shadow_scores", AFTER) == []


def test_one_that_does_as_well_goes_its_way(house: House) -> None:
    versions = {night: {row["model_version"] for row in house.decisions(night)} for night in (SHADOW, STEP, CHAMPION)}
    assert versions == {SHADOW: {"1"}, STEP: {"1", "3"}, CHAMPION: {"3"}}
    assert set(_versions(house, "shadow_scores", SHADOW).values()) == {"3"}
    history = house.sql("SELECT version, from_night::text AS night FROM champions WHERE workflow = :name ORDER BY id")
    assert history[-1] == {"version": "3", "night": CHAMPION}


def test_a_night_that_is_run_again_is_the_night_it_was(house: House) -> None:
    before = (house.decisions(CANARY), _versions(house, "scores", CANARY), _versions(house, "shadow_scores", CANARY))
    checks = house.sql("SELECT night, version, kind, e_value FROM live_checks WHERE workflow = :name ORDER BY id")
    house.nights(CANARY, again=True)
    assert (
        house.decisions(CANARY), _versions(house, "scores", CANARY), _versions(house, "shadow_scores", CANARY)
    ) == before  # fmt: skip
    again = house.sql("SELECT night, version, kind, e_value FROM live_checks WHERE workflow = :name ORDER BY id")
    assert again == checks
    assert len(house.sql("SELECT 1 FROM rollout_ends WHERE workflow = :name")) == 2


def test_what_it_decided_is_recalled_once(house: House) -> None:
    words = ("recall", house.name, "--model", "2", "--json")
    looked = json.loads(house.command(*words).stdout)
    flipped = [row for row in looked["decisions"] if row["flips"]]
    assert looked["decided_again_by"] == "3"
    assert looked["touched"] == sum(row["model_version"] == "2" for row in house.decisions(CANARY))
    assert 0 < len(flipped) <= looked["touched"]
    assert not house.sql("SELECT 1 FROM recalls WHERE workflow = :name"), "a look changes nothing"

    refused = house.command(*words, "--apply")
    assert refused.returncode != 0
    assert "say why" in refused.stderr

    applied = json.loads(house.command(*words, "--apply", "--reason", "it learned the opposite").stdout)
    assert applied["taken_back"] == len(flipped)
    assert applied["cancelled"] > 0
    states = house.sql(
        "SELECT DISTINCT case_id FROM actions WHERE workflow = :name AND state = 'cancelled' ORDER BY case_id"
    )
    assert {row["case_id"] for row in states} <= {row["case_id"] for row in flipped}

    twice = json.loads(house.command(*words, "--apply", "--reason", "once more").stdout)
    assert (twice["taken_back"], twice["cancelled"], twice["recalled_before"]) == (0, 0, len(flipped))
    assert house.command("audit", "verify").returncode == 0


def test_a_night_of_bad_data_is_recalled_on_the_corrected_ones(house: House) -> None:
    """The model says the same of the same data, so only other data take anything back."""
    words = ("recall", house.name, "--night", CHAMPION, "--json")
    assert not any(row["flips"] for row in json.loads(house.command(*words).stdout)["decisions"])
    nothing = house.command(*words, "--data", "repaired")
    assert nothing.returncode != 0
    assert "no decided case" in nothing.stderr

    paid = {row["case_id"] for row in house.decisions(CHAMPION) if row["option"] == "pay"}
    right = [
        {**row, "amount": "4900.00", "kind": "theft"} if row["case"] in paid else row
        for row in shop.rows(CHAMPION, COUNT)
    ]
    wrong = len([row for row in right if row["case"] in paid])
    assert wrong > 2
    file = house.home / "corrected.csv"
    shop.drop_cases(house.home / "aside", CHAMPION, [*right[:-1], {**right[-1], "amount": "x"}]).replace(file)
    refused = house.command(*words, "--data", str(file))
    assert refused.returncode != 0
    assert "1 of 60 rows" in refused.stderr
    shop.drop_cases(house.home / "aside", CHAMPION, right).replace(file)
    looked = json.loads(house.command(*words, "--data", str(file)).stdout)
    assert {row["case_id"] for row in looked["decisions"] if row["flips"]} == paid, "even who is paid all the same"

    applied = json.loads(house.command(*words, "--data", str(file), "--apply", "--reason", "cents for euros").stdout)
    assert applied["taken_back"] == wrong
    # Corrected where it came from, and run again: that is what the lake holds now.
    shop.drop_cases(house.folder, CHAMPION, right)
    house.nights(CHAMPION, again=True)
    twice = json.loads(house.command(*words, "--data", "repaired", "--apply", "--reason", "once more").stdout)
    assert (twice["taken_back"], twice["recalled_before"]) == (0, wrong)
    assert {row["case_id"] for row in twice["decisions"] if row["flips"]} == paid
    kept = house.sql(
        "SELECT a.reason, a.data FROM recalls r LEFT JOIN recalls_again a ON a.recall = r.id "
        "WHERE r.workflow = :name AND r.kind = 'night' AND r.reason = 'cents for euros' AND r.data = 'repaired'"
    )
    assert kept == [{"reason": "once more", "data": "repaired"}]
    assert house.command("audit", "verify").returncode == 0


def test_one_command_goes_back_and_says_who_decides(house: House) -> None:
    gone = house.command("rollback", house.name, "--reason", "complaints")
    assert gone.returncode == 0, gone.stderr
    assert f"From {shop.night(9)} on version 1 decides." in gone.stdout
    again = house.command("rollback", house.name, "--reason", "complaints")
    assert again.returncode != 0
    assert "was gone back to already" in again.stderr
    assert house.command("rollback", house.name, "--review-all", "--reason", "a recall").returncode == 0
    shop.drop_nights(house.folder, [shop.night(9)], count=6)
    house.nights(shop.night(9))
    assert {row["reason"] for row in house.decisions(shop.night(9))} == {"policy_closed"}
