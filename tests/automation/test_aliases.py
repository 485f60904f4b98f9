"""MLflow's alias follows the ledger, and whoever moves it by hand is heard of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline_project.automation.aliases import build_aliases, follow
from pipeline_project.domain.core.errors import DatabaseUnreachable
from pipeline_project.domain.lifecycle.champion_alias import alias_state
from pipeline_project.domain.lifecycle.signing import ChampionEntry
from tests.doubles import MemoryLedger, MemoryRegistry, claims


@dataclass
class History:
    versions: list[str] = field(default_factory=list)

    def champions(self, workflow: str) -> list[ChampionEntry]:
        nothing: dict[str, Any] = dict.fromkeys(ChampionEntry.__dataclass_fields__)
        return [ChampionEntry(**{**nothing, "version": version}) for version in self.versions]


@pytest.mark.parametrize(
    ("pointed", "history", "right", "by_hand"),
    [
        ("3", ["3", "2", "1"], True, False),
        ("2", ["3", "2", "1"], False, False),
        (None, ["3", "2", "1"], False, False),
        ("1", ["3", "2", "1"], False, True),
        ("9", ["3"], False, True),
        (None, [], True, False),
    ],
)
def test_late_is_not_moved(pointed: str | None, history: list[str], right: bool, by_hand: bool) -> None:
    state = alias_state(pointed, history)
    assert (state.right, state.by_hand) == (right, by_hand)


def test_it_is_put_back_and_the_owner_is_told() -> None:
    registry, ledger = MemoryRegistry(aliases={"champion": "9"}), MemoryLedger()
    words = follow(claims(), registry, History(["3", "2"]), ledger)
    assert registry.aliases == {"champion": "3"}
    assert words is not None and "version 9" in words
    assert ledger.alerts["alias/9"]["next_command"] == "pipeline models claims"
    assert follow(claims(), registry, History(["3", "2"]), ledger) is None


def test_after_a_promotion_it_follows_without_an_alert() -> None:
    registry, ledger = MemoryRegistry(aliases={"champion": "2"}), MemoryLedger()
    assert "version 3 now" in (follow(claims(), registry, History(["3", "2"]), ledger) or "")
    assert registry.aliases == {"champion": "3"} and ledger.alerts == {}


def test_a_registry_that_is_away_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> str:
        raise DatabaseUnreachable("MLflow's database does not answer")

    registry = MemoryRegistry()
    monkeypatch.setattr(MemoryRegistry, "pointed", away)
    assert "does not answer" in (follow(claims(), registry, History(["3"]), MemoryLedger()) or "")


def test_the_sensor_runs_by_itself() -> None:
    sensor = build_aliases([claims()])
    assert sensor.default_status.name == "RUNNING" and sensor.minimum_interval_seconds == 120
