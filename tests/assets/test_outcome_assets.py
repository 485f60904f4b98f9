"""Outcomes of a night: what contradicts, what has no case yet, and a night without any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.intake.outcomes import OutcomeProblem
from tests.doubles import NEXT, NIGHT, WARM, World, arrival, metadata

NIGHTLY = ("arrivals", "cases", "quarantine", "outcomes")
NOON, LATER = datetime(2025, 3, 1, 12, tzinfo=UTC), datetime(2025, 3, 2, 12, tzinfo=UTC)


def told(case: str, label: str, known_at: datetime = NOON) -> dict[str, Any]:
    return {"case_id": case, "label": label, "known_at": known_at, "source": "files"}


def case_ids(world: World) -> list[str]:
    return [row["case_id"] for row in world.table("cases")]


def night_of(world: World, night: str, first: int, count: int = 3) -> None:
    world.sources.rows[night] = [arrival(night, i) for i in range(first, first + count)]


def test_a_night_without_outcomes_is_a_night_like_any_other() -> None:
    world = World()
    night_of(world, NIGHT, 0)
    found = metadata(world.run(NIGHT, *NIGHTLY), "outcomes")
    assert (found["arrived"], found["new"], found["without_a_case"], found["contradictions"]) == (0, 0, 0, 0)
    assert "outcomes" not in world.ledger.alerts


def test_an_outcome_waits_for_its_case() -> None:
    world = World()
    night_of(world, NIGHT, 0)
    assert world.run(NIGHT, *NIGHTLY).success
    mine = case_ids(world)[0]
    night_of(world, NEXT, 10)
    world.sources.outcomes_of[NEXT] = [told(mine, "kept"), told("never heard of", "worn", LATER)]
    found = metadata(world.run(NEXT, *NIGHTLY), "outcomes")
    assert (found["arrived"], found["new"], found["without_a_case"]) == (2, 2, 1)
    known = world.ledger.outcomes_known("claims", datetime(2025, 4, 1, tzinfo=UTC))
    assert known["case_id"].tolist() == [mine, "never heard of"], "the ledger keeps it for when the case comes"


def test_sources_that_contradict_each_other_raise_an_alert_until_one_is_right() -> None:
    world = World()
    night_of(world, NIGHT, 0)
    mine = [f"c{i}" for i in range(2)]
    world.sources.outcomes_of[NIGHT] = [told(case, "kept") for case in mine]
    assert metadata(world.run(NIGHT, *NIGHTLY), "outcomes")["contradictions"] == 0
    night_of(world, NEXT, 10)
    world.sources.outcomes_of[NEXT] = [told(case, "worn") for case in mine]
    assert metadata(world.run(NEXT, *NIGHTLY), "outcomes")["contradictions"] == 2
    alert = world.ledger.alerts["outcomes"]
    assert alert["message"].startswith("of 2 cases")
    assert (alert["owner"], alert["next_command"]) == ("team:claims", "pipeline outcomes claims")
    assert not any(case in alert["message"] for case in mine)
    night_of(world, "2025-03-03", 20)
    world.sources.outcomes_of["2025-03-03"] = [told(case, "kept", LATER) for case in mine]
    assert metadata(world.run("2025-03-03", *NIGHTLY), "outcomes")["contradictions"] == 0
    assert "outcomes" not in world.ledger.alerts


def test_what_lands_after_later_nights_were_decided_was_not_known_to_them() -> None:
    world = World()
    night_of(world, NIGHT, 0)
    night_of(world, NEXT, 10)
    early = datetime(2025, 2, 28, 12, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        world.sources.outcomes_of[NIGHT] = [told("believed", "kept", early)]
        for night in (NIGHT, NEXT):
            assert world.run(night, *NIGHTLY, "scores", "decisions", instance=instance).success
        before = world.ledger.outcomes_known("claims", datetime(2025, 3, 3, tzinfo=UTC))
        world.sources.outcomes_of[NIGHT] += [told("late", "worn", early)]
        world.sources.unusable = (OutcomeProblem("f", 2, "has no label"),)
        found = metadata(world.run(NIGHT, *NIGHTLY, instance=instance), "outcomes")
        assert (found["arrived"], found["new"], found["known_later_than_told"]) == (2, 1, 1)
        assert (found["unusable"], found["problems"]) == (1, "- f, line 2: has no label")
        again = metadata(world.run(NIGHT, *NIGHTLY, instance=instance), "outcomes")
        assert again["new"] == 0, "it is taken in once"
    ended = window_of(NEXT, "Europe/Berlin").end
    assert world.ledger.outcomes_known("claims", ended).to_dict() == before.to_dict()
    assert world.ledger.outcomes_known("claims", ended + timedelta(seconds=1))["case_id"].tolist() == [
        "believed",
        "late",
    ]


def test_what_lands_late_was_not_known_although_dagsters_events_are_gone() -> None:
    world = World()
    night_of(world, NIGHT, 0)
    with dg.DagsterInstance.ephemeral() as before:
        assert world.run(NIGHT, *NIGHTLY, "scores", "decisions", instance=before).success
    world.sources.outcomes_of[NIGHT] = [told("late", "worn", datetime(2025, 2, 28, 12, tzinfo=UTC))]
    with dg.DagsterInstance.ephemeral() as restored:
        assert metadata(world.run(NIGHT, *NIGHTLY, instance=restored), "outcomes")["known_later_than_told"] == 1
    ended = window_of(NIGHT, "Europe/Berlin").end
    assert len(world.ledger.outcomes_known("claims", ended)) == 0


def test_a_night_that_decided_nothing_yet_believes_what_it_is_told() -> None:
    world = World()
    night_of(world, WARM, 0)
    with dg.DagsterInstance.ephemeral() as instance:
        assert world.run(WARM, *NIGHTLY, instance=instance).success
        world.sources.outcomes_of[WARM] = [told("mended", "kept", datetime(2025, 2, 28, 12, tzinfo=UTC))]
        assert metadata(world.run(WARM, *NIGHTLY, instance=instance), "outcomes")["known_later_than_told"] == 0
    assert world.ledger.outcomes_known("claims", datetime(2025, 3, 1, tzinfo=UTC))["case_id"].tolist() == ["mended"]
