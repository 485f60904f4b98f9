"""The check that counts a released night again: it stops nothing, and what it finds is heard."""

from __future__ import annotations

import pytest

from pipeline_project.domain.core.errors import DatabaseUnreachable
from pipeline_project.reconcile.scope import Link
from tests.doubles import NIGHT, World, arrival, checks, made


@pytest.fixture
def world() -> World:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(3)]
    world.gather(NIGHT)
    return world


def _open(world: World) -> list[str]:
    return [alert.message for alert in world.ledger.open_alerts() if alert.kind == "does_not_add_up"]


def test_a_night_that_does_not_add_up_goes_on_and_raises_an_alert_until_it_does(world: World) -> None:
    link = Link(world.spec.name, "cases ↔ decisions", (3, 2))
    link.expect_none("cases without a decision", ["C-1"])
    world.checker.links = [link]
    result = world.run(NIGHT, "scores", "decisions", "release")
    assert result.success and not checks(result)["adds_up"]
    assert _open(world) == [f"{NIGHT}: cases ↔ decisions: 1 cases without a decision"]
    world.checker.links = []
    assert checks(world.run(NIGHT, "release"))["adds_up"]
    assert _open(world) == []


def test_a_night_that_cannot_be_counted_is_not_said_to_add_up(world: World) -> None:
    world.checker.error = DatabaseUnreachable("the ledger does not answer: start it")
    result = world.run(NIGHT, "scores", "decisions", "release")
    assert result.success and not checks(result)["adds_up"]
    (told,) = _open(world)
    command = f"pipeline reconcile {world.spec.name} --from {NIGHT} --to {NIGHT}"
    assert "could not be counted again: the ledger does not answer: start it" in told and command in told


@pytest.mark.parametrize("error", [KeyError("option"), TypeError("none"), OSError("gone"), ValueError("x")])
def test_a_mistake_of_the_checker_is_an_error_and_no_verdict_on_the_night(world: World, error: Exception) -> None:
    world.checker.error = error
    result = world.run(NIGHT, "scores", "decisions", "release")
    assert not result.success and "adds_up" not in checks(result)
    assert _open(world) == []
    assert {"scores", "decisions", "release"} <= made(result)  # the night itself is done
