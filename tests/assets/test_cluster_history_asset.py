"""The history of clusters is written each night; a new one that grows too fast warns, by counts alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline_project.domain.vectors.modalities import EMBEDDINGS
from pipeline_project.domain.vectors.stored import pack, unit
from tests.doubles import World, checks, claims, metadata
from tests.present import present

FIRST, SECOND = "2025-02-27", "2025-02-28"
#: The small workflow's claims with words and clusters; a customer is whose case it is.
FIELDS = {
    "claim_id": {"type": "identifier", "role": "id"},
    "claimed_at": {"type": "time", "role": "time"},
    "customer": {"type": "identifier", "role": "subject"},
    "price": {"type": "number", "role": "amount"},
    "words": {"type": "text"},
}


@pytest.fixture
def world() -> World:
    return World(spec=claims(fields=FIELDS, clusters={"minimum_size": 6}))


def land(world: World, night: str, ordinary: int, ring: int) -> None:
    """Cases scattered, and some alike, each of an account of its own."""
    rng = np.random.default_rng(int(night[-2:]))
    script = np.random.default_rng(1).normal(size=32)
    scattered = rng.normal(size=(ordinary, 32))
    alike = script + 0.02 * rng.normal(size=(ring, 32))
    ids = [f"{night}-{n}" for n in range(ordinary + ring)]
    count = len(ids)
    table = pa.table(
        {
            "night": [night] * count,
            "case_id": ids,
            "text_vector": pack(unit(np.vstack([scattered, alike]).astype(np.float32))),
            "image_vector": pa.nulls(count, pa.binary()),
            "image_problem": pa.nulls(count, pa.string()),
            "photo_keys": pa.array([[]] * count, pa.list_(pa.string())),
            "text_key": pa.nulls(count, pa.string()),
        },
        schema=EMBEDDINGS,
    )
    world.lake.write_night("claims", "embeddings", night, table)
    owners = pa.table({"night": [night] * count, "case_id": ids, "customer": [f"account-{case}" for case in ids]})
    world.lake.write_night("claims", "cases", night, owners)


def test_a_ring_warns_the_night_it_appears_and_not_again(world: World) -> None:
    land(world, FIRST, 30, 0)
    land(world, SECOND, 30, 8)
    quiet = world.run(FIRST, "clusters", "cluster_events")
    assert quiet.success
    assert checks(quiet) == {"no_arranged_cluster": True}
    assert world.ledger.alerts == {}

    told = world.run(SECOND, "clusters", "cluster_events")
    assert told.success
    assert checks(told) == {"no_arranged_cluster": False}
    (row,) = [row for row in world.table("cluster_events", SECOND) if row["reported"]]
    assert (row["kind"], row["members"], row["accounts"], row["alike"]) == ("born", 8, 8, 8)
    assert metadata(told, "cluster_events")["reported"] == 1

    land(world, "2025-03-01", 30, 3)
    assert checks(world.run("2025-03-01", "clusters", "cluster_events")) == {"no_arranged_cluster": True}
    (row,) = [now for now in world.table("cluster_events", "2025-03-01") if now["cluster"] == row["cluster"]]
    assert (row["kind"], row["before"]) == ("grew", 8)
    assert row["members"] >= 11


def test_the_alert_says_whose_it_is_and_what_to_type_and_names_nobody(world: World) -> None:
    land(world, SECOND, 30, 8)
    result = world.run(SECOND, "clusters", "cluster_events")
    (row,) = [row for row in world.table("cluster_events", SECOND) if row["reported"]]
    alert = world.ledger.alerts[f"cluster/{row['cluster']}"]
    assert alert["owner"] == world.spec.owners[0]
    assert alert["next_command"] == f"pipeline clusters claims --night {SECOND}"
    said = alert["message"] + str(world.table("cluster_events", SECOND)) + str(metadata(result, "cluster_events"))
    assert "8 recent cases of 8 accounts" in said
    assert "account-" not in said


def test_a_night_done_again_tells_the_same(world: World) -> None:
    land(world, FIRST, 30, 0)
    land(world, SECOND, 30, 8)
    for night in (FIRST, SECOND):
        assert world.run(night, "clusters", "cluster_events").success
    first = world.table("cluster_events", SECOND)
    assert world.run(SECOND, "clusters", "cluster_events").success
    assert world.table("cluster_events", SECOND) == first


def test_a_night_that_was_never_run_does_not_kill_every_cluster(world: World) -> None:
    land(world, FIRST, 30, 8)
    land(world, "2025-03-01", 30, 2)
    for night in (FIRST, "2025-03-01"):
        assert world.run(night, "clusters", "cluster_events").success
    assert [row["kind"] for row in world.table("cluster_events", "2025-03-01")] == ["grew"]


def test_the_alert_is_closed_when_the_cluster_is_gone(world: World) -> None:
    land(world, "2025-02-20", 10, 8)
    world.run("2025-02-20", "clusters", "cluster_events")
    assert len(world.ledger.alerts) == 1
    land(world, "2025-03-05", 30, 0)
    land(world, "2025-03-06", 30, 0)
    for night in ("2025-03-05", "2025-03-06"):
        assert world.run(night, "clusters", "cluster_events").success
    assert [row["kind"] for row in world.table("cluster_events", "2025-03-06")] == ["died"]
    assert world.ledger.alerts == {}


def test_clusters_asked_for_alone_do_not_leave_the_members_of_another_writing(world: World) -> None:
    land(world, FIRST, 30, 8)
    assert world.run(FIRST, "clusters").success
    members = world.lake.read_night("claims", "cluster_members", FIRST)
    assert members is not None
    assert members.num_rows >= 8
    land(world, FIRST, 30, 0)
    result = world.run(FIRST, "cluster_members")
    assert result.success
    clusters = world.lake.read_night("claims", "clusters", FIRST)
    members = world.lake.read_night("claims", "cluster_members", FIRST)
    assert clusters is not None and members is not None
    assert clusters.num_rows == 30
    assert set(members["case_id"].to_pylist()) <= set(clusters["case_id"].to_pylist())
    assert {present(event.asset_key).path[-1] for event in result.get_asset_materialization_events()} == {
        "clusters",
        "cluster_members",
    }
