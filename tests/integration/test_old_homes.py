"""A home of an earlier version is migrated as it is found, and its next night is decided as that version decided it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from benchmarks.same_work import compare
from tests.integration import old_homes
from tests.integration.house import House, Rows
from tests.places import memory

#: How far costs may move: vectors of texts have another arithmetic since, and lie a cosine of 0.0001 apart where the
#: processor has units for bfloat16; a feature that lies at a split of a tree then falls to its other side. Options and
#: money must not move.
MOVES, LEAST_COSINE = 0.10, 0.9995
#: What a night that is run again says anew beside the standing decision: figures in words, and what it would be today.
RETOLD = ("reasons", "would_be", "reason")
#: What may not differ in anything; options carry money.
EXACT = ("case_id", "epoch", "option", "reason", "model_version")
PACKS = sorted((Path(__file__).parent / "homes").glob("*.tar.xz"))


@pytest.fixture(scope="module", params=PACKS, ids=lambda pack: pack.name.removesuffix(".tar.xz"))
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """The home as its version left it: nothing of ours has looked at it yet."""
    # pytest's own folders are closed to the user that the server runs as
    home = Path(tempfile.mkdtemp(prefix="pipeline-old-", dir=memory()))
    try:
        yield old_homes.opened(request.param, home)
    finally:
        old_homes.stop(home)
        shutil.rmtree(home)


def test_what_was_kept_adds_up_before_anything_runs(house: House) -> None:
    assert house.sql("SELECT DISTINCT night::text AS night FROM decisions ORDER BY 1") == [
        {"night": night} for night in old_homes.NIGHTS[3:]
    ]
    for words in (["audit", "checkpoint"], ["audit", "verify"], ["reconcile", house.name], ["doctor", "--deep"]):
        said = house.command(*words)
        assert said.returncode == 0, said.stdout + said.stderr


def test_the_next_night_is_decided_as_the_old_version_decided_it(house: House) -> None:
    before = house.decisions()
    (run,) = house.nights(old_homes.NEXT)
    assert (run.outcome, run.why) == ("done", None)
    then, now = old_homes.decided_then(house.home), house.decisions(old_homes.NEXT)
    assert [[row[name] for name in EXACT] for row in now] == [[row[name] for name in EXACT] for row in then]
    for ours, theirs in zip(now, then, strict=True):
        assert ours["expected_costs"] == pytest.approx(theirs["expected_costs"], rel=MOVES), ours["case_id"]
        assert float(ours["amount"]) == theirs["amount"]
    assert [row for row in house.decisions() if str(row["night"]) != old_homes.NEXT] == before


def test_a_night_of_the_old_version_run_again_changes_nothing(house: House) -> None:
    night = old_homes.NIGHTS[-1]
    before, tables, work = house.decisions(), house.tables(night), house.work()
    (run,) = house.nights(night, again=True)
    assert (run.outcome, run.why) == ("done", None)
    assert house.decisions() == before
    again = house.tables(night)
    assert {name: len(rows or ()) for name, rows in again.items()} == {
        name: len(rows or ()) for name, rows in tables.items()
    }
    moved = [
        (name, column, ours.get(column), theirs.get(column))
        for name, rows in again.items()
        for ours, theirs in zip(rows or (), tables[name] or (), strict=True)
        for column in {**ours, **theirs}
        if column not in RETOLD and not nearly(ours.get(column), theirs.get(column))
    ]
    assert moved == []
    assert house.work() == work
    assert house.command("reconcile", house.name).returncode == 0


def test_two_homes_are_compared_to_the_cent(house: House) -> None:
    assert [line.differences for line in compare(house, house) if line.differences] == []
    decided = {line.what: line.rows for line in compare(house, house)}
    assert decided["decisions"] == decided["lake: decisions"] == len(house.decisions()) > 0

    dearer = Dearer(house.name, house.home, None)
    (wrong,) = [line for line in compare(house, dearer) if line.differences]
    assert (wrong.what, wrong.others_money - wrong.money) == ("actions", Decimal("0.01"))


def nearly(ours: object, theirs: object) -> bool:
    """Whether what differs is a vector or a figure, and by no more than another arithmetic of vectors explains."""
    if isinstance(ours, bytes) and isinstance(theirs, bytes) and len(ours) == len(theirs):
        one, other = (np.frombuffer(packed, "<f2").astype(np.float64) for packed in (ours, theirs))
        return float(one @ other) / float(np.linalg.norm(one) * np.linalg.norm(other)) >= LEAST_COSINE
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return all(map(nearly, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return ours == pytest.approx(theirs, rel=MOVES, abs=0.02, nan_ok=True)
    return ours == theirs


def test_what_is_nearly_the_same() -> None:
    vector = np.array([0.6, 0.8], "<f2").tobytes()
    assert nearly(vector, vector) and not nearly(vector, np.array([0.8, 0.6], "<f2").tobytes())
    assert nearly([0.5, 40.0], [0.51, 41.0]) and not nearly([0.5, 40.0], [0.51, 50.0])
    assert not nearly("refund", "reject") and not nearly(None, 0.5)


class Dearer(House):
    """The same house, which paid one cent more."""

    def work(self, night: str | None = None) -> dict[str, Rows]:
        work = super().work(night)
        first, *rest = work["actions"]
        return {**work, "actions": [{**first, "money": first["money"] + Decimal("0.01")}, *rest]}
