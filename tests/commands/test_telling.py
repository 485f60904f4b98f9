"""status, why, quarantine and results: what they say to people and to scripts, and what they keep to themselves."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pipeline_project.commands.quarantine import _kind
from pipeline_project.commands.shared.spans import ranges
from pipeline_project.domain.intake.lookups.late import LATE_ROWS
from pipeline_project.domain.intake.lookups.terms import REOPENED
from pipeline_project.spec.load import load_spec
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import databases
from resources.sources.repairs import Repairs
from tests.commands.conftest import (
    CUSTOMER,
    FORMULA,
    LANDED,
    NAME,
    NEXT,
    NIGHT,
    PERSON,
    REFUNDED,
    WARM,
    WRONG_PRICE,
    Call,
    Home,
)


def test_status_of_all(home: Home, call: Call) -> None:
    said = call("status", **home.environ)
    assert said.code == 0
    (row,) = [line.split() for line in said.out.splitlines() if line.startswith(NAME)]
    assert row == [NAME, "2", NEXT, "2", "1", "1", "3", "of", NIGHT]


def test_status_says_an_alert_of_several_nights_once(home: Home, call: Call) -> None:
    said = call("status", NAME, **home.environ).out
    assert said.count("failed on") == 1
    assert f"ALERT {NAME}: 3 of one kind" in said
    assert f"{LANDED} to 2025-03-05 (3 nights)" in said
    assert f"next    pipeline nights {NAME} --from {LANDED} --to {LANDED}" in said


def test_status_of_one_names_nights_done_missing_and_stopped(home: Home, call: Call) -> None:
    found = call("status", NAME, "--json", **home.environ).document
    assert found["nights"] == {
        "warmed_up": [WARM],
        "decided": [NIGHT, NEXT],
        "stopped": [LANDED, "2025-03-04", "2025-03-05"],
        "missing": [],
        "stale": [],
        "looked_back": [],
    }
    assert found["options"] == {"ask_person": 1, "refund": 1}


@pytest.mark.usefixtures("untouched")
def test_an_alert_that_names_a_night_which_went_through_stops_none(home: Home, call: Call) -> None:
    ledger = PostgresLedger(databases(home.settings).ledger_url)
    ledger.raise_alert(NAME, LATE_ROWS, f"{REOPENED}/{NIGHT}", "rows came late", "team:claims", "pipeline recall")
    nights = call("status", NAME, "--json", **home.environ).document["nights"]
    assert nights["decided"] == [NIGHT, NEXT]
    assert NIGHT not in nights["stopped"]


def test_status_says_what_landed_and_was_not_run(home: Home, call: Call) -> None:
    late = Path(home.environ["PIPELINE_WORKFLOWS"]) / "in" / "2025-03-09"
    late.mkdir()
    (late / "a.csv").write_text("claim_id;customer;price\n", encoding="utf-8")
    try:
        said = call("status", NAME, **home.environ).out
    finally:
        (late / "a.csv").unlink()
        late.rmdir()
    assert "missing    2025-03-09 (1 night)" in said
    assert f"pipeline nights {NAME} --from 2025-03-09 --to 2025-03-09" in said


@pytest.mark.parametrize(
    ("nights", "told"),
    [
        ([], "none"),
        (["2025-02-28"], "2025-02-28 (1 night)"),
        (["2025-02-28", "2025-03-01", "2025-03-03"], "2025-02-28 to 2025-03-01, 2025-03-03 (3 nights)"),
        ([f"2025-01-{day:02}" for day in range(1, 30, 2)][:10], None),
    ],
)
def test_ranges(nights: list[str], told: str | None) -> None:
    assert ranges(nights) == told if told else ranges(nights).endswith("and 2 more spans (10 nights)")


def test_why_reads_as_text(home: Home, call: Call) -> None:
    said = call("why", NAME, PERSON, **home.environ)
    assert said.code == 0
    lines = [line.strip() for line in said.out.splitlines()]
    assert lines[0] == f"{NAME} {PERSON}: ask a person"
    assert "amount        20.00 EUR" in lines
    assert "data          cases v4" in lines
    assert any(line.startswith("decided       20") and line.endswith("UTC, by policy") for line in lines)
    assert any(line.split()[:2] == ["kept", "70.0%"] for line in lines)
    assert any(line.startswith("refund (Refund)") and line.endswith("6.00") for line in lines)
    assert "nothing is known yet of what turned out to be true" in lines
    (policy,) = [line for line in lines if line.startswith("policy")]
    assert len(policy.split()[-1]) == 12
    assert max(map(len, lines)) <= 110


def test_why_as_json_is_the_whole_dossier(home: Home, call: Call) -> None:
    found = call("why", NAME, REFUNDED, "--json", **home.environ).document
    assert found["decision"]["option"] == "refund"
    assert found["spec"]["workflow"] == NAME
    assert found["outcomes"] == []


def test_why_of_a_case_without_a_decision(home: Home, call: Call) -> None:
    said = call("why", NAME, "C-77", "--json", **home.environ)
    assert (said.code, said.out) == (5, "")
    assert f"pipeline quarantine {NAME}" in said.err


@pytest.mark.parametrize("words", [[], ["--json"], ["--night", NIGHT], ["--night", NIGHT, "--json"]])
def test_quarantine_repeats_no_value_of_a_row(words: list[str], home: Home, call: Call) -> None:
    said = call("quarantine", NAME, *words, **home.environ)
    assert said.code == 0
    assert CUSTOMER not in said.out
    assert WRONG_PRICE not in said.out
    assert "is not a number" in said.out
    if "--json" in words:
        (row,) = said.document
        assert row.keys() == {"night", "file", "line", "reasons"}
    else:
        assert f"Night {NIGHT}, {NIGHT}/a.csv" in said.out


def test_quarantine_of_a_night_without_any(home: Home, call: Call) -> None:
    said = call("quarantine", NAME, "--night", NEXT, **home.environ)
    assert (said.code, said.out.strip()) == (0, f"{NAME} {NEXT}: nothing in quarantine")
    assert call("quarantine", NAME, "--night", NEXT, "--json", **home.environ).document == []


def test_equal_reasons_count_as_one() -> None:
    assert _kind("has 19 cells where the header has 17") == _kind("has 3 cells where the header has 17")
    assert _kind("in night 2025-01-20, on line 3") == _kind("in night 2025-02-01, on line 12")
    assert _kind("broke the rule `is at least 1`") != _kind("broke the rule `is at least 2`")
    assert _kind("is not a time (ISO 8601)") == "is not a time (ISO 8601)"


def test_an_export_can_be_given_back(home: Home, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "to_repair.csv"
    assert call("quarantine", NAME, "--night", NIGHT, "--export", file, **home.environ).code == 0
    with file.open(newline="", encoding="utf-8") as content:
        (row,) = csv.DictReader(content, delimiter=";")
    assert (row["customer"], row["noted"], row["wish"]) == (CUSTOMER, "é; twice", f"'{FORMULA}")
    said = call("quarantine", NAME, "--night", NIGHT, "--repair", file, "--json", **home.environ)
    assert said.document["next"] == f"pipeline nights {NAME} --night {NIGHT}"
    assert (home.folder / "repairs" / NAME / NIGHT / said.document["kept"]).read_bytes() == file.read_bytes()
    spec = load_spec(home.folder / "own" / f"{NAME}.yaml")
    (repair,) = Repairs(home.settings, spec, ()).read(NIGHT)
    assert json.loads(repair.rows["raw"][0].as_py())["wish"] == FORMULA


def test_a_repair_without_any_of_the_columns_is_refused(home: Home, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    said = call("quarantine", NAME, "--night", NEXT, "--repair", file, **home.environ)
    assert said.code == 2
    assert "none of the columns" in said.err
    assert "claim_id" in said.err
    assert not (home.folder / "repairs" / NAME / NEXT).exists()


@pytest.mark.parametrize("words", [["--repair", "nowhere.csv"], ["--night", "2020-01-01"], ["--night", "soon"]])
def test_wrong_calls_of_quarantine(words: list[str], home: Home, call: Call) -> None:
    said = call("quarantine", NAME, *words, **home.environ)
    assert (said.code, said.out) == (2, "")
    assert said.err


def test_results_with_nothing_matured_say_so(home: Home, call: Call) -> None:
    said = call("results", NAME, **home.environ)
    assert said.code == 0
    assert "2 cases are decided and no outcome of them is known yet" in said.out
    assert "|" not in said.out
    found = call("results", NAME, "--json", **home.environ).document
    assert (found["cases"], found["undecided_outcomes"], found["right_alone"]) == (0, 2, None)
