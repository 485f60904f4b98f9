"""Nights whose cases are looked up in reference tables, through Dagster: what was known that night is what counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

FIRST_DECIDED, SECOND = shop.night(3), shop.night(4)
LOOKUPS: dict[str, Any] = {
    "depots": {"kind": "file", "path": "depots.csv", "key": {"kind": "kind"}, "always_known": True},
    "rates": {
        "kind": "files", "folder": "in", "pattern": "rates/{night}.csv", "key": {"depot": "depot"},
        "near": {"at_least": 85}, "valid_from": "since",
    },
    "tiers": {
        "kind": "files", "folder": "in", "pattern": "tiers/{night}.csv", "each": "additions",
        "key": {"customer": "customer"}, "valid_from": "since",
    },
}  # fmt: skip
DEPOTS = "kind,depot,note\nglass,North Depot,a\ntheft,South Depot,b\n"


def rates(folder: Path, night: str, north: float, south: float = 2.0) -> None:
    path = folder / "in" / "rates" / f"{night}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["depot,since,rate", f"depot NORTH,2025-01-01,{north}", f"Depot South.,2025-01-01,{south}"]
    path.write_text("\n".join([*lines, "Depot North,2999-01-01,99"]) + "\n", encoding="utf-8")


def tiers(folder: Path, night: str, **tier_of: str) -> None:
    """What came in for a night: from noon of it on these customers have these tiers."""
    path = folder / "in" / "tiers" / f"{night}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{customer.replace('_', '-')},{night} 00:00,{tier}" for customer, tier in tier_of.items()]
    path.write_text("\n".join(["customer,since,tier", *lines]) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    house = new_house("looks")
    spec = shop.spec(house.name)
    fields = {
        **spec["fields"],
        "depot": {"type": "category", "lookup": "depots"},
        "rate": {"type": "number", "lookup": "rates", "required": False},
        "tier": {"type": "category", "lookup": "tiers", "required": False},
        "alike": {"type": "number", "lookup": "rates", "column": "match_score", "required": False, "role": "ignore"},
    }
    options = {
        **spec["options"],
        "assess": {"title": "Send an assessor", "costs": {"honest": "40 * rate", "fraud": "40 * rate + 0.1 * amount"}},
    }
    house.declare(fields=fields, lookups=LOOKUPS, options=options, contract={"compare": ["amount <= 4000 * rate"]})
    (house.folder / "depots.csv").write_text(DEPOTS, encoding="utf-8")
    rates(house.folder, shop.FIRST, 1.0)
    rates(house.folder, SECOND, 3.0)
    tiers(house.folder, shop.FIRST, K_1="gold", K_2="gold")
    tiers(house.folder, FIRST_DECIDED, K_1="silver", K_3="bronze")
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(5)])
    runs = house.nights(shop.FIRST, SECOND)
    assert [run.outcome for run in runs] == ["done"] * 5
    return house


def rate_of(house: House, night: str) -> dict[str, set[float]]:
    cases = house.table("cases", night)
    assert cases
    return {
        kind: {row["rate"] for row in cases if row["kind"] == kind} for kind in sorted({row["kind"] for row in cases})
    }


def test_each_night_counts_with_the_table_of_its_night(house: House) -> None:
    assert rate_of(house, FIRST_DECIDED) == {"glass": {1.0}, "theft": {2.0}}
    assert rate_of(house, SECOND) == {"glass": {3.0}, "theft": {2.0}}
    cases = house.table("cases", SECOND)
    assert cases
    assert {row["depot"] for row in cases} == {"North Depot", "South Depot"}
    assert all(85 <= row["alike"] < 100 for row in cases)


def test_costs_are_those_of_the_looked_up_values(house: House) -> None:
    cases = {row["case_id"]: row for row in house.table("cases", SECOND) or []}
    decided = [row for row in house.decisions(SECOND) if row["probabilities"]]
    assert decided
    for row in decided:
        case, fraud = cases[row["case_id"]], row["probabilities"][1]
        assert row["expected_costs"][1] == pytest.approx(40 * case["rate"] + fraud * 0.1 * case["amount"], rel=1e-6)


def test_a_version_lies_once_however_many_nights_rest_on_it(house: House) -> None:
    kept = house.table("lookups")
    rows = house.table("lookup_rows")
    assert kept
    assert rows
    assert {(row["lookup"], row["kept_in"]) for row in kept} == {
        ("depots", shop.FIRST), ("rates", shop.FIRST), ("rates", SECOND),
        *(("tiers", shop.night(offset)) for offset in range(5)),
    }  # fmt: skip
    assert len(rows) == 2 + 3 + 3 + 2 + 2
    assert all("note" not in row["raw"] for row in rows)


def test_a_decision_says_which_version_it_rests_on(house: House) -> None:
    case = house.decisions(SECOND)[0]["case_id"]
    assert "lookups v" in house.command("why", house.name, case).stdout


def test_a_night_decided_again_reads_what_it_read(house: House) -> None:
    cases, facts = house.table("cases", FIRST_DECIDED), house.facts()
    rates(house.folder, shop.FIRST, 7.0)
    (house.folder / "depots.csv").unlink()
    assert [run.outcome for run in house.nights(FIRST_DECIDED, again=True)] == ["done"]
    assert house.table("cases", FIRST_DECIDED) == cases
    assert house.facts() == facts


def test_a_late_row_is_looked_up_in_what_was_known_and_a_mended_table_lets_refused_rows_in(house: House) -> None:
    """The first version has no depot for a new kind; the corrected one has, and changes no case that stood."""
    spec = house.spec
    fields = {name: field.model_dump(mode="json", exclude_defaults=True) for name, field in spec.fields.items()}
    fields["kind"].pop("allowed")
    house.declare(
        fields=fields, lookups=LOOKUPS, contract={"compare": ["amount <= 4000 * rate"]},
        options=spec.model_dump(mode="json")["options"],
    )  # fmt: skip
    (house.folder / "depots.csv").write_text(DEPOTS, encoding="utf-8")
    night = shop.night(5)
    cases = shop.rows(night)
    late = [{**cases[0], "case": "C-late", "customer": "K-9"}, {**cases[1], "case": "C-new", "kind": "flood"}]
    shop.drop_cases(house.folder, night, cases)
    assert [run.outcome for run in house.nights(night)] == ["done"]
    before = {row["case_id"]: row for row in house.table("cases", night) or []}
    (house.folder / "depots.csv").write_text(DEPOTS.replace("North", "Mended") + "flood,South Depot,c\n")
    shop.drop_cases(house.folder, night, late, part="-late")
    assert [run.outcome for run in house.nights(night)] == ["done"]
    after = {row["case_id"]: row for row in house.table("cases", night) or []}
    assert {case: after[case] for case in before} == before
    assert after["C-new"]["depot"] == "South Depot"
    assert after["C-late"]["depot"] in {"North Depot", "South Depot"}
    assert house.table("quarantine", night) == []


def tier_of(house: House, *nights: str) -> dict[str, set[str | None]]:
    cases = [row for night in nights for row in house.table("cases", night) or []]
    return {name: {row["tier"] for row in cases if row["customer"] == name} for name in ("K-1", "K-2", "K-3")}


def test_a_joined_table_is_joined_as_of_each_case_s_time(house: House) -> None:
    before = tier_of(house, *(shop.night(offset) for offset in range(3)))
    assert before == {"K-1": {"gold"}, "K-2": {"gold"}, "K-3": {None}}
    assert tier_of(house, FIRST_DECIDED, SECOND) == {"K-1": {"silver"}, "K-2": {"gold"}, "K-3": {"bronze"}}


def test_late_rows_mark_what_they_change_and_decide_nothing_again(house: House) -> None:
    """A row about the second decided night comes two nights later."""
    cases, decisions = house.table("cases", SECOND), house.decisions(SECOND)
    tiers(house.folder, SECOND, K_2="platinum")
    last = shop.night(6)
    shop.drop_cases(house.folder, last, shop.rows(last))
    assert [run.outcome for run in house.nights(last)] == ["done"]
    marked = house.table("reopened", last) or []
    expected = {
        (night, row["case_id"])
        for night in (SECOND, shop.night(5))
        for row in house.table("cases", night) or []
        if row["customer"] == "K-2"
    }
    assert expected
    assert {(row["case_night"], row["case_id"]) for row in marked} == expected
    assert {(row["lookup"], row["field"]) for row in marked} == {("tiers", "tier")}
    assert house.table("cases", SECOND) == cases
    assert house.decisions(SECOND) == decisions
    assert tier_of(house, last)["K-2"] == {"platinum"}
    told = [alert for alert in house.ledger.open_alerts() if alert.workflow == house.name and alert.kind == "late_rows"]
    assert [alert.key for alert in told] == [f"reopened/{last}"]
    # run again, the night before it finds what it found
    assert [run.outcome for run in house.nights(SECOND, again=True)] == ["done"]
    assert house.table("cases", SECOND) == cases
