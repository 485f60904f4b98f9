"""Nights out of posted events alone: the door keeps them, the landing sensor starts the run, the night decides them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from fastapi.testclient import TestClient

from pipeline_project.commands.hooks import open_hook_receiver
from pipeline_project.container.dagster_resources import build_resources
from pipeline_project.definitions import build_definitions
from pipeline_project.desk.routes.hooks import build_hooks_app
from pipeline_project.desk.signatures import secret_variable, signed_headers
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
WARM_UP, FIRST_DECIDED, SECOND = [shop.night(offset) for offset in range(3)], shop.night(3), shop.night(4)
PERSON = "Erika Mustermann, Lindenstr. 7"


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Three nights of warm-up from files, as ever; the folder stays, and from then on everything is posted."""
    house = new_house("hooks")
    house.variables[secret_variable(house.name)] = SECRET
    shop.drop_nights(house.folder, WARM_UP)
    assert [run.outcome for run in house.nights(shop.FIRST, WARM_UP[-1])] == ["done"] * 3
    return house


def post(house: House, kind: str, night: str, rows: Iterable[Mapping[str, str]], event_id: str) -> dict[str, Any]:
    """One event, through the door as the desk opens it."""
    told = {"type": kind, "workflow": house.name, "timestamp": f"{night}T21:00:00+01:00", "data": list(rows)}
    body = json.dumps(told).encode()
    signed = signed_headers(SECRET, event_id, datetime.now(UTC), body)
    with house.entered():
        client = TestClient(build_hooks_app(open_hook_receiver()))
        answer = client.post(
            f"/hooks/{house.name}/{kind}s", content=body, headers={"content-type": "application/json", **signed}
        )
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def tick(house: House) -> list[str]:
    """The real landing sensor over the real instance; what it asks for is run, as the daemon would. Returns the nights
    that were run, in order."""
    nights = []
    with house.instance() as (app, instance):
        definitions = build_definitions(app.environ)
        sensor = definitions.resolve_sensor_def(f"{house.name}_landing")
        resources = build_resources(app.settings)
        with dg.build_sensor_context(instance, definitions=definitions, resources=resources) as context:
            requests = list(sensor.evaluate_tick(context).run_requests or [])
        for request in requests:
            assert request.job_name is not None
            job = definitions.resolve_job_def(request.job_name)
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            done = job.execute_in_process(
                quiet, instance=instance, partition_key=request.partition_key, tags=request.tags, raise_on_error=False
            )
            assert done.success
            if request.job_name.endswith(("_nightly", "_warm_up")):
                nights.append(str(request.partition_key))
    return nights


def test_the_story_of_posted_nights(house: House) -> None:
    assert tick(house) == [], "nothing was posted, and what is done stays done"
    rows = [{**row, "note": PERSON} for row in shop.rows(FIRST_DECIDED)]
    assert post(house, "arrival", FIRST_DECIDED, rows[:20], "evt_a") == {"status": "new", "night": FIRST_DECIDED}
    assert post(house, "arrival", FIRST_DECIDED, rows[18:], "evt_b")["status"] == "new"
    assert post(house, "arrival", FIRST_DECIDED, rows[18:], "evt_b")["status"] == "known"

    assert tick(house) == [FIRST_DECIDED]
    assert {row["case_id"] for row in house.decisions(FIRST_DECIDED)} == {row["case"] for row in rows}
    assert house.checks("cases", FIRST_DECIDED)["nothing_vanished"]
    assert len(house.table("arrivals", FIRST_DECIDED) or []) == 26, "two came twice, and are exact duplicates"
    assert tick(house) == []

    # late: the night was decided, only what is new is decided now
    before = house.decisions(FIRST_DECIDED)
    late = [{**rows[0], "case": f"L-{number}", "amount": f"{50 + number}.00"} for number in range(2)]
    post(house, "arrival", FIRST_DECIDED, [rows[0], *late, {"caze": "X"}], "evt_late")
    assert tick(house) == [FIRST_DECIDED]
    after = house.decisions(FIRST_DECIDED)
    assert [row for row in after if not str(row["case_id"]).startswith("L-")] == before
    assert len(after) == len(before) + 2
    (refused,) = house.table("quarantine", FIRST_DECIDED) or []
    assert refused["file"].endswith(":evt_late") and refused["line"] == 4

    # the same rows in a file of the next night: duplicates, decided once
    shop.drop_cases(house.folder, SECOND, [*shop.rows(SECOND), rows[3]])
    assert tick(house) == [SECOND]
    assert len(house.decisions(SECOND)) == len(shop.rows(SECOND))
    assert house.checks("cases", SECOND)["nothing_vanished"]

    # the truth comes after the night was run, and brings it back
    told = [
        {"case_id": rows[0]["case"], "label": "fraud", "known_at": f"{SECOND}T20:00:00+01:00"},
        {"case_id": "nobody", "label": "honest"},
        {"case_id": rows[1]["case"], "label": "honest", "known_at": "2031-01-01T00:00:00Z"},
        {"case_id": rows[2]["case"], "label": "eaten"},
    ]
    post(house, "outcome", SECOND, told, "evt_truth")
    post(house, "outcome", SECOND, [{**told[0], "label": "honest"}], "evt_contrary")
    assert tick(house) == [SECOND]
    posted = house.sql(
        "SELECT case_id, label, known_at > now() AS future FROM outcomes WHERE workflow = :name AND source = 'webhook' "
        "ORDER BY label, case_id"
    )
    # two that contradict each other are both left, and so is what was known in the future
    assert [(row["case_id"], row["label"], row["future"]) for row in posted] == [("nobody", "honest", False)]
    assert house.metadata("outcomes", SECOND)["unusable"] == 4
    known = house.ledger.outcomes_known(house.name, datetime.now(UTC))["case_id"].tolist()
    assert rows[1]["case"] not in known, "nothing is known early"
    assert tick(house) == []

    # each event stands in the audit chain once, and nothing personal stands open in the database
    keys = house.sql("SELECT key FROM audit_rows WHERE source = 'inbound_events' AND key LIKE '%' || :name || '%'")
    assert len(keys) == len({row["key"] for row in keys}) == 5
    kept = house.sql("SELECT sealed FROM inbound_events WHERE workflow = :name")
    assert not any(PERSON in row["sealed"] or rows[0]["case"] in row["sealed"] for row in kept)
