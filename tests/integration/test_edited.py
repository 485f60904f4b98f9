"""A spec that is edited after nights were decided: the nights go on, and the past is read as it was said.

Options are named so that a database that sorts keys puts them into another order than the file does.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.review.content import in_order
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

DECIDED, SWAPPED, RENAMED, RELABELLED, REBUILT = (shop.night(offset) for offset in range(3, 8))
OPTIONS = {"zz_assess": shop.ACTING_OPTIONS["assess"], "pay": shop.ACTING_OPTIONS["pay"]}


def renamed(row: Mapping[str, str]) -> str:
    """The truth in the labels of the last two nights."""
    return "bogus" if shop.verdict(row) == "fraud" else "honest"


def costs_of(name: str, amount: float, told: Mapping[str, float]) -> dict[str, float]:
    """What each option is expected to cost, worked out from the options as they are written above."""
    fraud = told["fraud"]
    return {"pay": fraud * amount, name: 80.0 + 0.1 * amount * fraud}


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Four nights; then one more after each edit: options in another order, renamed, other labels, other fields."""
    options: dict[str, Any] = copy.deepcopy(OPTIONS)
    changes: dict[str, Any] = {"options": options, "actions": shop.ACTIONS}
    house = new_house("edited", **changes)
    nights = [shop.night(offset) for offset in range(8)]
    shop.drop_nights(house.folder, nights[:6], count=30)
    for late in nights[6:]:
        shop.drop_cases(house.folder, late, shop.rows(late, 30))
        shop.drop_outcomes(house.folder, late, shop.rows(late, 30), f"{late}T23:00:00", renamed)
    done = house.nights(nights[0], DECIDED)

    changes["options"] = {name: options[name] for name in ("pay", "zz_assess")}
    before = house.spec.spec_hash
    house.declare(**changes)
    assert house.spec.spec_hash == before, "the hash says nothing of the order, which is what makes this adverse"
    done += house.nights(SWAPPED)

    changes["options"] = {"pay": options["pay"], "inspect": options["zz_assess"]}
    house.declare(**changes)
    done += house.nights(RENAMED, retrain=True)

    changes["labels"] = ["bogus", "unclear", "honest"]
    changes["options"] = {
        "pay": {**options["pay"], "costs": {"honest": 0, "others": "amount"}},
        "inspect": {**options["zz_assess"], "costs": {"honest": 80, "others": "80 + 0.1 * amount"}},
    }
    house.declare(**changes)
    done += house.nights(RELABELLED)

    fields = shop.spec(house.name)["fields"]
    del fields["kind"]
    changes["fields"] = {**fields, "remark": {"type": "text", "column": "note", "role": "ignore", "required": False}}
    changes["options"]["pay"]["actions"] = ["payment"]
    changes["actions"] = {
        **shop.ACTIONS,
        "destinations": {"elsewhere": {"kind": "files", "folder": "other"}},
        "kinds": {kind: {"destination": "elsewhere"} for kind in ("payment", "visit")},
    }
    changes["model"] = {"retrain": {"every": "week", "minimum_outcomes": 20, "minimum_per_label": 3}}
    house.declare(**changes)
    done += house.nights(REBUILT, retrain=True)
    assert [(run.night, run.outcome, run.why) for run in done if run.outcome != "done"] == []
    assert [run.night for run in done] == nights
    return house


def why(house: House, case: str) -> dict[str, Any]:
    done = house.command("why", house.name, case, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("night", "name"), [(DECIDED, "zz_assess"), (SWAPPED, "zz_assess"), (RENAMED, "inspect")])
def test_why_desk_lake_and_ledger_say_the_same_of_one_case(house: House, night: str, name: str) -> None:
    lake = {row["case_id"]: row for row in house.table("decisions", night) or []}
    tasks = house.sql("SELECT case_id, content FROM review_tasks WHERE workflow = :name")
    asked = {row["case_id"]: in_order(row["content"]) for row in tasks}
    case = next(each for each, row in lake.items() if row["option"] == ASK_PERSON and row["probabilities"])
    found = why(house, case)
    by_hand = costs_of(name, lake[case]["amount"], found["probabilities"])
    assert found["costs"] == pytest.approx(by_hand)
    said = dict(zip(("honest", "fraud"), lake[case]["probabilities"], strict=True))
    assert found["probabilities"] == pytest.approx(said)
    shown = {option: cell["expected"] for option, cell in asked[case]["options"].items()}
    assert shown == pytest.approx({option: round(cost, 2) for option, cost in by_hand.items()}, abs=0.011)
    assert list(shown) == sorted(by_hand, key=lambda option: by_hand[option])
    assert lake[case]["cheapest"] == min(by_hand, key=lambda option: by_hand[option])
    assert lake[case]["cheapest_cost"] == pytest.approx(min(by_hand.values()))


def test_what_is_printed_is_what_is_meant(house: House) -> None:
    row = next(row for row in house.decisions(DECIDED) if row["option"] == "pay")
    said = house.command("why", house.name, row["case_id"]).stdout.splitlines()
    costs = [line.split() for line in said[said.index(next(line for line in said if "Expected cost" in line)) :]]
    first = next(line for line in costs if line and line[0] in ("pay", "zz_assess"))
    assert first[0] == "pay"


def test_the_watch_and_the_report_go_on_after_every_edit(house: House) -> None:
    for night in (SWAPPED, RENAMED, RELABELLED, REBUILT):
        assert house.checks("live_check", night)["keeps_its_promise"]
        assert night in house.page(night)


def test_what_today_has_no_cost_for_is_left_out_and_counted(house: House) -> None:
    done = house.command("results", house.name, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # the outcomes of before are of a label that is gone, or were decided by an option that is gone
    assert found["other_spec"] > 0
    assert found["unanswered"] == found["to_people"]
    assert set(found["quality"]) <= {"log_loss", "accuracy", "brier", "auc", "ece"}


def test_a_replay_of_old_nights_says_what_it_cannot_know(house: House) -> None:
    done = house.command("replay", house.name, "--from", DECIDED, "--to", SWAPPED, "--policy", str(_policy(house)))
    assert done.returncode != 0
    assert "no longer has" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def _policy(house: House) -> Any:
    return house.folder / f"{house.name}.yaml"


def test_the_costs_of_a_decision_can_be_worked_out_again(house: House) -> None:
    """Every decision of the night on which the order was swapped, against the lake's cases."""
    lake = house.lake.read_night(house.name, "cases", SWAPPED)
    assert lake is not None
    rows = {row["case_id"]: row for row in house.sql(
        "SELECT case_id, option_order, expected_costs, probabilities FROM decisions WHERE workflow = :name "
        "AND expected_costs IS NOT NULL AND epoch = 1"
    )}  # fmt: skip
    seen = 0
    for case, amount in zip(lake["case_id"].to_pylist(), lake["amount"].to_pylist(), strict=True):
        row = rows.get(case)
        if row is None:
            continue
        told = dict(zip(("honest", "fraud"), row["probabilities"], strict=True))
        assert dict(zip(row["option_order"], row["expected_costs"], strict=True)) == pytest.approx(
            costs_of("zz_assess", amount, told)
        )
        assert row["option_order"] == ["pay", "zz_assess"]
        seen += 1
    assert seen > 10
