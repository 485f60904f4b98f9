"""`pipeline drift`: the signals of a night for people and scripts, and all of them for subscribers."""

from __future__ import annotations

import json

import pytest

from pipeline_project.domain.lifecycle.drift.signals import Severity, Signal
from resources.ledger.drift.store import PostgresQuality
from resources.postgres.databases import databases
from tests.commands.conftest import NAME, NEXT, NIGHT, Call, Home

WHY = "drift on 3 of 5 nights: field/price"


@pytest.fixture
def quality(home: Home, untouched: None) -> PostgresQuality:
    """Two judged nights, the later one breached; gone afterwards."""
    url = databases(home.settings).ledger_url
    quality = PostgresQuality(url)
    fine = Signal("confidence", 0.02, 0.01, 0.1, False, Severity.NONE, 200, 0.01)
    broken = Signal("field/price", 0.31, 0.05, 0.1, True, Severity.ERROR, 1_200, 0.6)
    doubt = Signal("estimated_error", -0.01, 0.02, 0.02, False, Severity.NONE, 200)
    quality.record_signals(NAME, NIGHT, "run-1", [fine])
    quality.record_signals(NAME, NEXT, "run-2", [fine, broken, doubt])
    quality.ask_training(NAME, NEXT, WHY, 5, "run-2")
    return quality


def test_the_last_judged_night_with_what_is_breached_first(call: Call, home: Home, quality: PostgresQuality) -> None:
    said = call("drift", NAME, **home.environ)
    assert said.code == 0
    lines = [line.split() for line in said.out.splitlines() if line.strip()]
    assert lines[0] == [f"{NAME},", NEXT]
    assert [line[0] for line in lines[2:5]] == ["field/price", "confidence", "estimated_error"]
    assert lines[2][1:] == ["0.310", "0.050", "0.1", "0.600", "1,200", "error"]
    assert WHY in " ".join(said.out.split())


def test_one_night_as_a_document(call: Call, home: Home, quality: PostgresQuality) -> None:
    told = call("drift", NAME, "--night", NIGHT, "--json", **home.environ).document
    assert [(each["signal"], each["breached"]) for each in told["signals"]] == [("confidence", False)]
    assert [each["night"] for each in told["trainings_asked"]] == [NEXT]


def test_a_subscriber_gets_lines_after_the_id_it_saw(call: Call, home: Home, quality: PostgresQuality) -> None:
    rows = [json.loads(line) for line in call("drift", NAME, "--follow", "0", **home.environ).out.splitlines()]
    assert [(row["night"], row["signal"]) for row in rows] == [
        (NIGHT, "confidence"), (NEXT, "confidence"), (NEXT, "field/price"), (NEXT, "estimated_error"),
    ]  # fmt: skip
    assert call("drift", NAME, "--follow", rows[-1]["id"], **home.environ).out == ""
    rest = call("drift", NAME, "--follow", rows[1]["id"], **home.environ).out.splitlines()
    assert [json.loads(line)["id"] for line in rest] == [rows[2]["id"], rows[3]["id"]]


def test_a_night_that_was_not_judged_says_what_to_run(call: Call, home: Home, quality: PostgresQuality) -> None:
    said = call("drift", NAME, "--night", "2025-02-28", **home.environ)
    assert said.code == 5
    assert f"pipeline nights {NAME}" in said.err
    assert call("drift", "nothing", **home.environ).code == 5
