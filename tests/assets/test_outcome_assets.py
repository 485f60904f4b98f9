"""Outcomes of a night: what contradicts, what has no case yet, and a night without any."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from doubles import NEXT, NIGHT, World, arrival, metadata

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
