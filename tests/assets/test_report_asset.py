"""The night's page is made from the night's tables, and closes the alerts that its run answers."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from pipeline_project.ports.metering import StepProcessor
from tests.doubles import NIGHT, WARM, World, arrival, claims, metadata
from tests.present import present

GATHER = ("arrivals", "cases", "quarantine", "outcomes")
REVIEW = {"cost": 4, "capacity": 2}


def test_a_page_for_a_decided_night() -> None:
    world = World()
    world.sources.rows[NIGHT] = [*(arrival(NIGHT, i) for i in range(5)), arrival(NIGHT, 9, "cheap")]
    other = {"workflow": "claims", "kind": "stale", "message": "late", "owner": "team:claims"}
    other["next_command"] = "pipeline status"
    own = {**other, "message": "of this very night"}
    world.ledger.alerts = {
        f"nightly/{NIGHT}": own,
        f"warm_up/{NIGHT}": own,
        "nightly/2025-02-28": other,
        "elsewhere": {**other, "workflow": "x", "message": "of another workflow"},
    }
    result = world.run(NIGHT, *GATHER, "scores", "decisions", "night_report")
    assert result.success
    told = metadata(result, "night_report")
    assert (told["admitted"], told["by_policy"], told["to_people"]) == (5, 0, 5)
    assert told["page"] == f"http://pages/claims/{NIGHT}.html"
    assert f"nightly/{NIGHT}" not in world.ledger.alerts
    page = world.reports.written[NIGHT]
    assert "late" in page
    assert "pipeline status" in page
    assert "of another workflow" not in page


def test_the_page_alone_is_the_same_when_dagsters_events_are_gone() -> None:
    """What bounded the night and how long its steps took stand with the night, not in the events of its run."""
    world = World(spec=claims(review={**REVIEW, "exploration": 0.2}, policy={"exploration_budget": 10}))
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(12)]
    with dg.DagsterInstance.ephemeral() as before:
        assert world.run(NIGHT, *GATHER, "scores", "decisions", "night_report", instance=before).success
    page = world.reports.written.pop(NIGHT)
    assert "its budget is" in page
    assert all(step in page for step in ("admission", "scores", "decisions"))
    with dg.DagsterInstance.ephemeral() as restored:
        assert world.run(NIGHT, "night_report", instance=restored).success
    assert world.reports.written[NIGHT] == page


def test_a_warm_up_night_has_a_page_too() -> None:
    world = World()
    world.sources.rows[WARM] = [arrival(WARM, i) for i in range(3)]
    result = world.run(WARM, *GATHER, "scores", "decisions", "night_report")
    assert result.success
    assert WARM in world.reports.written


def test_the_page_does_not_show_what_became_known_later() -> None:
    """Outcomes are those known before the night began, though the ledger has more by now."""
    world = World()
    world.sources.rows = {NIGHT: [arrival(NIGHT, i) for i in range(3)], "2025-03-05": []}
    world.run(NIGHT, *GATHER, "scores", "decisions")
    asked: list[datetime] = []
    known = world.ledger.outcomes_known
    world.ledger.outcomes_known = lambda workflow, as_of: asked.append(as_of) or known(workflow, as_of)  # type: ignore[method-assign]
    world.run("2025-03-05", *GATHER, "scores", "decisions", "night_report")
    assert {at.isoformat() for at in asked} == {"2025-03-04T23:00:00+00:00"}


def test_figures_of_young_nights_are_called_immature() -> None:
    """One night's outcomes are in after a day, of the one before tonight only a part can be known yet."""
    world = World()
    nights = [f"2025-03-0{day}" for day in range(1, 8)]
    world.sources.rows = {night: [arrival(night, i) for i in range(12)] for night in nights}
    world.sources.rows["2025-03-08"] = []
    for day, night in enumerate(nights, start=1):
        assert world.run(night, *GATHER, "scores", "decisions").success
        ids = [row["case_id"] for row in present(world.lake.read_night("claims", "cases", night)).to_pylist()]
        known = [(case, "kept", datetime(2025, 3, day + i % 3, 12, tzinfo=UTC)) for i, case in enumerate(ids)]
        world.ledger.known += known
    told = metadata(world.run("2025-03-08", *GATHER, "scores", "decisions", "night_report"), "night_report")
    assert "Of 72 decisions with a known outcome 12 lie in 2 immature nights" in told["summary"]


def test_what_the_steps_took_stands_with_the_night_and_is_priced() -> None:
    """The steps of this run in place of their earlier selves; of those that stand from before, what was kept."""
    world = World(spec=claims(prices={"processor_hour": 3600}))
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(5)]
    world.meter.taken = {f"claims__{step}": StepProcessor(2.0, shared=False) for step in ("scores", "decisions")}
    first = metadata(world.run(NIGHT, *GATHER, "scores", "decisions", "night_report"), "night_report")
    assert (first["night_processor_seconds"], first["night_device_seconds"], first["night_cost"]) == (4.0, 0.0, 4.0)
    assert first["cost_of_a_decision"] == 4.0 / 5
    assert "0.80 EUR a decision" in world.reports.written[NIGHT]
    world.meter.taken = {"claims__decisions": StepProcessor(0.5, shared=True)}
    again = metadata(world.run(NIGHT, "decisions", "night_report"), "night_report")
    assert again["night_processor_seconds"] == 2.5
    kept = {row["step"]: row for row in present(world.lake.read_night("claims", "night_report", NIGHT)).to_pylist()}
    assert (kept["scores"]["processor"], kept["decisions"]["processor"]) == (2.0, 0.5)
    assert kept["decisions"]["shared"] and not kept["scores"]["shared"]
    assert kept["admission"]["processor"] is None
    assert "ran where nobody measured the processor" in world.reports.written[NIGHT]


def test_without_prices_there_is_no_money() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(2)]
    world.meter.taken = {"claims__scores": StepProcessor(2.0, shared=False)}
    shown = metadata(world.run(NIGHT, *GATHER, "scores", "decisions", "night_report"), "night_report")
    assert "night_cost" not in shown and "cost_of_a_decision" not in shown
    assert "Not priced: the spec has no `prices.processor_hour`." in world.reports.written[NIGHT]
