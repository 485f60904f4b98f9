"""`pipeline actions` and `pipeline dispatch`: sent once, dead letters told of, money let go by two."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from benchmarks.passed import let_through
from pipeline_project.commands import actions as commands
from pipeline_project.container.outbox import usable_destinations
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.settings import Settings
from pipeline_project.spec.load import load_all
from resources.ledger.audit.chain import append
from resources.ledger.outbox.outbox import enqueue, release_night
from resources.postgres.databases import databases, engine_of
from tests.commands.conftest import NAME, NEXT, REFUNDED, Call, Home


@pytest.fixture
def dead(home: Home, untouched: None) -> str:
    """The key of a refund whose destination the workflow's file does not declare; gone afterwards."""
    kinds = {"refund": ActionKind("refund", "till", money=20.0, final=True)}
    terms = ActionTerms(NAME, "default", True, None, "EUR", kinds, {"refund": ("refund",)})
    engine = engine_of(databases(home.settings).ledger_url)
    (planned,) = plan_actions(terms, NEXT, REFUNDED, 1, "refund", {})
    with engine.begin() as connection:
        # those of other homes on this server would be sent as well; they are back afterwards
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("DELETE FROM actions")
    with engine.begin() as connection:
        append(connection, "actions", NAME, enqueue(connection, [planned], terms).facts)
        release_night(connection, NAME, NEXT, 1, "run", let_through(connection, NAME, NEXT, "release"))
    return str(planned.key)


@pytest.fixture(autouse=True)
def unharmed_signals() -> Iterator[None]:
    with mock.patch("signal.signal"):
        yield


def test_a_dead_letter_is_told_of_and_goes_again_when_two_people_agree(
    call: Call, home: Home, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("dispatch", "--drain", "--json", **home.environ).document["claimed"] == 1
    told = call("actions", NAME, "--state", "dead", **home.environ)
    assert "no_destination, with team:claims" in told.out
    assert dead in told.out
    replay = ("actions", NAME, "--redeliver", dead)
    assert call(*replay, **home.environ).code == 1, "a reason is needed"
    before = call("actions", NAME, "--replay", dead, "--reason", "it is back", "--dry-run", **home.environ)
    would = call(*replay, "--reason", "it is back", "--dry-run", **home.environ)
    assert before == would, "as it was called before `replay` meant past nights alone"
    assert "20.00 would leave. Nothing was changed." in would.out
    asked = call(*replay, "--reason", "it is back", "--json", **home.environ).document
    assert (asked["gone"], asked["money"]) == (False, 20.0)
    approve = ("actions", NAME, "--agree", asked["replay"])
    assert "second person is needed" in call(*approve, **home.environ).err
    assert f"--agree {asked['replay']}" in call("actions", NAME, **home.environ).out
    monkeypatch.setattr(commands, "shell_user", lambda: "shell:bob")
    assert "goes under its own key" in call(*approve, **home.environ).out
    assert call("dispatch", "--drain", **home.environ).out.startswith("1 tries")


def test_the_kill_switch(call: Call, home: Home, dead: str) -> None:
    assert "nothing more is sent" in call("actions", NAME, "--stop", "supplier recall", **home.environ).out
    assert call("dispatch", "--drain", "--json", **home.environ).document["claimed"] == 0
    assert "supplier recall" in call("actions", NAME, **home.environ).err
    assert call("actions", NAME, "--resume", "it was another one", **home.environ).code == 0
    assert call("actions", NAME, "--stop", "a", "--resume", "b", **home.environ).code == 2


def test_a_missing_secret_leaves_only_its_own_destination_alone(tmp_path: Path) -> None:
    specs = load_all(()).specs
    away = {"PIPELINE_SHOP_URL": "https://shop.example"}
    known, left_alone = usable_destinations(specs, Settings(tmp_path), {**os.environ, **away})
    assert left_alone.keys() == {("returns", "shop")}
    assert ("returns", "warehouse") in known
    _, none = usable_destinations(
        specs, Settings(tmp_path), {**os.environ, **away, "PIPELINE_SHOP_SECRET": "whsec_" + "YWJj" * 8}
    )
    assert none == {}


def test_on_this_machine_the_secret_is_made(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    known, left_alone = usable_destinations(load_all(()).specs, Settings(tmp_path), environ)
    assert left_alone == {}
    assert ("returns", "shop") in known
    assert (tmp_path / "keys" / "pipeline_shop_secret.secret").exists()


def test_nothing_printed_holds_the_token_of_a_claim(call: Call, home: Home, dead: str) -> None:
    (row,) = call("actions", NAME, "--json", **home.environ).document["actions"]
    assert row["key"] == dead
    assert not [name for name in row if "token" in name]
