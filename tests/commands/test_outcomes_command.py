"""`pipeline outcomes` and `pipeline results`: how late the truth comes, and that young nights are said to be young."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline_project.commands.shared.console import Exit
from pipeline_project.domain.core.schema import cases_schema
from pipeline_project.domain.deciding.decisions import DECISIONS
from pipeline_project.domain.intake.outcomes import OUTCOMES
from pipeline_project.spec.load import load_spec
from resources.lake.lake import DeltaLake
from resources.ledger.migrate import upgrade
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import databases
from tests.commands.conftest import _SPEC, Call, Home
from tests.keys import shared_keys

LATE, SILENT = "late_claims", "silent_claims"
TODAY = datetime.now(UTC).date()
NIGHTS = [TODAY - timedelta(days=back) for back in range(30, 0, -1)]
PER_NIGHT, LONGEST = 20, 9


@pytest.fixture(scope="module")
def late(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Thirty nights up to yesterday whose outcomes come evenly within ten days, contradictions and a stranger."""
    folder = tmp_path_factory.mktemp("late")
    own = folder / "own"
    own.mkdir()
    for name in (LATE, SILENT):
        nights = {"time_zone": "UTC", "first": NIGHTS[0].isoformat(), "decide_from": NIGHTS[0].isoformat()}
        content = {**_SPEC, "workflow": name, "nights": nights}
        (own / f"{name}.yaml").write_text(json.dumps(content), encoding="utf-8")
    keys = str(shared_keys(tmp_path_factory.getbasetemp()))
    home = Home(
        folder, {"PIPELINE_POSTGRES_URL": postgres_server, "PIPELINE_WORKFLOWS": str(own), "PIPELINE_KEYS": keys}
    )
    url = databases(home.settings).ledger_url
    upgrade(url)
    spec = load_spec(own / f"{LATE}.yaml")
    lake, ledger = DeltaLake(home.settings.lake_url), PostgresLedger(url)
    known: list[dict[str, Any]] = []
    for night in NIGHTS:
        ids = [f"{night}-{i}" for i in range(PER_NIGHT)]
        cases = [
            {"night": night.isoformat(), "case_id": case, "row_sha256": "0" * 64, "customer": "b", "price": 20.0}
            for case in ids
        ]
        lake.write_night(LATE, "cases", night.isoformat(), pa.Table.from_pylist(cases, cases_schema(spec.case_schema)))
        told = {"reason": "cheapest", "probabilities": [0.7, 0.3], "expected_costs": [6.0, 14.0], "amount": 20.0}
        made = [
            {"night": night.isoformat(), "case_id": case, "option": "refund", "would_be": "refund", **told}
            for case in ids
        ]
        lake.write_night(LATE, "decisions", night.isoformat(), pa.Table.from_pylist(made, DECISIONS))
        for i, case in enumerate(ids):
            known.append(outcome(case, "worn" if i % 4 == 0 else "kept", night + timedelta(days=i % (LONGEST + 1))))
    known = [row for row in known if row["known_at"].date() < TODAY]
    twice = [{**row, "label": "worn" if row["label"] == "kept" else "kept", "source": "desk"} for row in known[:2]]
    table = pa.Table.from_pylist([*known, *twice, outcome("stranger", "kept", NIGHTS[0])], OUTCOMES)
    ledger.record_outcomes(LATE, table)
    return home


def outcome(case: str, label: str, day: date) -> dict[str, Any]:
    return {"case_id": case, "label": label, "known_at": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
            "source": "files"}  # fmt: skip


def test_the_curve_the_nights_and_what_is_wrong_as_a_document(call: Call, late: Home) -> None:
    said = call("outcomes", LATE, "--json", **late.environ)
    assert said.code == Exit.DONE
    found = said.document
    by_day = {row["days"]: row["all"] for row in found["delay"]}
    assert by_day[0] == pytest.approx(0.1, abs=0.03)
    assert by_day[5] == pytest.approx(0.6, abs=0.05)
    assert by_day[9] == 1
    assert found["days_until_mature"] == 8
    assert len(found["nights"]) == 30
    young = [night.isoformat() for night in NIGHTS if (TODAY - night).days <= 8]
    assert set(young[1:]) <= set(found["immature_nights"]) <= set(young)
    assert found["without_a_case"] == {"count": 1, "cases": ["stranger"]}
    assert [row["case_id"] for row in found["contradictions"]] == [f"{NIGHTS[0]}-0", f"{NIGHTS[0]}-1"]
    assert found["contradictions"][0]["labels"] == ["kept", "worn"]
    assert found["contradictions"][0]["sources"] == ["desk", "files"]


def test_a_person_reads_the_same(call: Call, late: Home) -> None:
    said = call("outcomes", LATE, "--last", "12", **late.environ)
    assert said.code == Exit.DONE
    assert "known within" in said.out
    rows = {line.split()[0]: line for line in said.out.splitlines() if line.startswith("20") and ":" not in line}
    assert len(rows) == 12
    assert rows[NIGHTS[-1].isoformat()].endswith("immature")
    assert rows[NIGHTS[-12].isoformat()].endswith(" mature")
    assert "of 30 nights are immature" in said.out
    assert "1 outcomes have no case (stranger)" in said.out
    assert "Of 2 cases the sources tell several outcomes" in said.out
    assert f"{NIGHTS[0]}-0: kept or worn" in said.out


def test_results_say_how_many_decisions_lie_in_immature_nights(call: Call, late: Home) -> None:
    found = call("results", LATE, "--json", **late.environ).document
    immature = call("outcomes", LATE, "--json", **late.environ).document["immature_nights"]
    assert found["immature_nights"] == len(immature)
    assert 0 < found["immature_cases"] < found["cases"]
    told = call("results", LATE, **late.environ).out
    assert f"{found['immature_cases']} of them lie in {len(immature)} immature nights" in told


def test_a_workflow_of_which_nothing_is_known(call: Call, late: Home) -> None:
    said = call("outcomes", SILENT, **late.environ)
    assert said.code == Exit.NOT_FOUND
    assert f"pipeline nights {SILENT}" in said.err
