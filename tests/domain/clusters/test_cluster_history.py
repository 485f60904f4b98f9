from __future__ import annotations

import pyarrow as pa

from pipeline_project.domain.clusters.clustering import MEMBERS
from pipeline_project.domain.clusters.lineage import ClusterEvent, Kind, cluster_events

NIGHT, BEFORE = "2025-03-02", "2025-03-01"


def members(night: str, clusters: dict[str, str], came: str = BEFORE, born: str = BEFORE) -> pa.Table:
    """A table of `MEMBERS`; `clusters` is cluster to its members, a letter each."""
    rows = [
        {"night": night, "case_id": case, "came": came, "cluster": name, "cluster_born": born}
        for name, cases in clusters.items()
        for case in cases
    ]
    return pa.Table.from_pylist(rows, schema=MEMBERS)


def fates(
    tonight: dict[str, str], before: dict[str, str] | None, **how: str
) -> dict[str, tuple[Kind, tuple[str, ...]]]:
    earlier = None if before is None else members(BEFORE, before)
    events = cluster_events(NIGHT, members(NIGHT, tonight, **how), earlier, {}, 14)
    return {event.cluster: (event.kind, event.others) for event in events}


def test_a_cluster_of_cases_that_were_alone_is_born() -> None:
    assert fates({"new": "abcdefgh"}, {}, born=NIGHT) == {"new": (Kind.BORN, ())}


def test_the_first_night_knows_no_night_before() -> None:
    assert fates({"new": "abcdefgh"}, None, born=NIGHT) == {"new": (Kind.BORN, ())}


def test_a_name_of_long_ago_that_comes_back_is_not_born() -> None:
    assert fates({"old": "abcdefgh"}, {}) == {"old": (Kind.RETURNED, ())}


def test_what_breaks_off_names_where_it_came_from() -> None:
    found = fates({"a": "abcdef", "b": "ghij"}, {"a": "abcdefghij"})
    assert found == {"a": (Kind.SHRANK, ()), "b": (Kind.SPLIT, ("a",))}


def test_what_is_taken_in_dies_and_says_where_its_members_went() -> None:
    found = fates({"a": "abcdefgh"}, {"a": "abcde", "b": "fgh"})
    assert found == {"a": (Kind.MERGED, ("b",)), "b": (Kind.DIED, ("a",))}


def test_a_stray_member_of_what_fell_apart_is_no_merger() -> None:
    found = fates({"a": "abcdef"}, {"a": "abcde", "b": "fghijklm"})
    assert found == {"a": (Kind.GREW, ()), "b": (Kind.DIED, ())}


def test_the_same_members_under_another_name_are_neither_born_nor_split() -> None:
    found = fates({"b": "abcdefg"}, {"a": "abcdefgh"}, born=NIGHT)
    assert found == {"b": (Kind.RENAMED, ("a",)), "a": (Kind.DIED, ("b",))}


def test_cases_that_left_the_window_for_their_age_tell_nothing() -> None:
    old = members(BEFORE, {"a": "abcdefgh"}, came="2025-02-01")
    events = cluster_events(NIGHT, members(NIGHT, {"b": "abcdefgh"}, born=NIGHT), old, {}, 14)
    assert {event.cluster: (event.kind, event.others) for event in events} == {
        "b": (Kind.BORN, ()),
        "a": (Kind.DIED, ()),
    }


def test_members_and_accounts_are_counted_and_nobody_known_counts_for_none() -> None:
    subjects = {"a": "s1", "b": "s1", "c": "s2", "d": None}
    (event,) = cluster_events(NIGHT, members(NIGHT, {"x": "abcde"}), members(BEFORE, {"x": "abc"}), subjects, 14)
    assert event == ClusterEvent(NIGHT, Kind.GREW, "x", (), members=5, accounts=2, before=3, born=BEFORE)


def test_the_order_of_rows_changes_nothing() -> None:
    tonight, before = members(NIGHT, {"a": "abcdef", "b": "ghij", "c": "klmn"}), members(BEFORE, {"a": "abcdefghijk"})
    last, first = (table.take(pa.array(range(len(table))[::-1])) for table in (tonight, before))
    assert cluster_events(NIGHT, tonight, before, {}, 14) == cluster_events(NIGHT, last, first, {}, 14)
