"""`pipeline replay`: a call that says nothing to replay, or nights in the wrong order, is a wrong call."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import Call


def test_a_candidate_must_be_named(call: Call) -> None:
    said = call("replay", "returns")
    assert said.code == 2
    assert "--model VERSION" in said.err


def test_nights_come_in_order(call: Call) -> None:
    said = call("replay", "returns", "--model", "1", "--from", "2025-03-02", "--to", "2025-03-01")
    assert said.code == 2
    assert "--from comes after --to" in said.err


@pytest.mark.parametrize("night", ["yesterday", "2025-13-01"])
def test_a_night_is_a_date(call: Call, night: str) -> None:
    assert call("replay", "returns", "--model", "1", "--from", night).code == 2


def test_a_policy_file_must_be_there(call: Call, tmp_path: Path) -> None:
    said = call("replay", "returns", "--policy", str(tmp_path / "none.yaml"))
    assert said.code == 2
    assert "does not exist" in said.err
