"""A change of ids or of the name stops a workflow with history until the spec says who its cases are."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline_project.domain.intake.identity import Identity, changed_ids, overlap, same_source

BY_COLUMN: dict[str, Any] = {"workflow": "flow", "fields": {"no": {"role": "id", "column": "claim_no"}, "kind": {}}}
BY_HASH: dict[str, Any] = {
    "workflow": "flow", "fields": {"no": {"column": "claim_no"}, "kind": {}}, "id_from": ["claim_no", "received"]
}  # fmt: skip
NIGHT = "2025-01-24"


def of(spec: dict[str, Any], **changes: Any) -> Identity:
    return Identity.of(spec | changes)


def test_what_ids_are_made_from() -> None:
    assert of(BY_COLUMN).made_from == ("column", "claim_no")
    assert of(BY_HASH).made_from == ("hash", "claim_no", "received")
    # A field may change its name as long as its column stays; the column that is hashed alone gives another id.
    renamed = {"workflow": "flow", "fields": {"claim_no": {"role": "id"}}}
    assert of(renamed).made_from == of(BY_COLUMN).made_from
    assert of(BY_HASH, id_from=["claim_no"]).made_from != of(BY_COLUMN).made_from
    assert of(BY_HASH, id_from=["received", "claim_no"]).made_from != of(BY_HASH).made_from
    # Where a field has the role `id`, `id_from` is not read.
    assert of(BY_COLUMN, id_from=["kind"]).made_from == of(BY_COLUMN).made_from


def test_the_same_ids_and_no_history_go_on() -> None:
    assert changed_ids(of(BY_COLUMN), [], NIGHT, False) is None
    assert changed_ids(of(BY_COLUMN), [of(BY_COLUMN)], NIGHT, False) is None


@pytest.mark.parametrize(("now", "was"), [(BY_HASH, BY_COLUMN), (BY_COLUMN, BY_HASH)])
def test_other_ids_stop_until_the_spec_says_what_they_are(now: dict[str, Any], was: dict[str, Any]) -> None:
    said = changed_ids(of(now), [of(was)], NIGHT, False)
    assert said is not None
    assert "renamed_from: flow" in said
    assert "new_cases_from: NIGHT" in said
    early = changed_ids(of(now, new_cases_from="2025-01-25"), [of(was)], NIGHT, False)
    assert early is not None
    assert "comes before `new_cases_from`" in early
    assert changed_ids(of(now, new_cases_from=NIGHT), [of(was)], NIGHT, False) is None
    assert changed_ids(of(now, renamed_from=["flow"]), [of(was)], NIGHT, False) is None
    assert changed_ids(of(now, renamed_from=["other"]), [of(was)], NIGHT, False) is not None
    # An older change is remembered when the newest spec has today's ids.
    assert changed_ids(of(now), [of(was), of(now)], NIGHT, False) is not None


def test_a_night_decided_under_other_ids_stays_decided_whatever_the_spec_says() -> None:
    for word in ({"new_cases_from": NIGHT}, {"renamed_from": ["flow"]}):
        said = changed_ids(of(BY_HASH, **word), [of(BY_COLUMN)], NIGHT, True)
        assert said is not None
        assert "what was decided stays decided" in said


def test_another_name_on_the_same_source_stops_until_one_of_the_two_says_why() -> None:
    now, old = of(BY_COLUMN, workflow="flow_b"), of(BY_COLUMN)
    said = same_source(now, old, NIGHT)
    assert said is not None
    assert "renamed_from: flow" in said
    assert "new_cases_from: NIGHT" in said
    assert "twins.shared_with.flow" in said
    assert same_source(of(BY_COLUMN, workflow="flow_b", renamed_from=["flow"]), old, NIGHT) is None
    assert same_source(of(BY_COLUMN, workflow="flow_b", twins={"shared_with": {"flow": "why"}}), old, NIGHT) is None
    assert same_source(now, of(BY_COLUMN, twins={"shared_with": {"flow_b": "why"}}), NIGHT) is None
    assert same_source(of(BY_COLUMN, workflow="flow_b", new_cases_from=NIGHT), old, NIGHT) is None
    assert same_source(of(BY_COLUMN, workflow="flow_b", new_cases_from="2025-01-25"), old, NIGHT) is not None


def test_the_old_name_stops_once_the_new_one_took_its_place() -> None:
    said = same_source(of(BY_COLUMN), of(BY_COLUMN, workflow="flow_b", renamed_from=["flow"]), NIGHT)
    assert said is not None
    assert "flow_b took the place of flow" in said


@pytest.mark.parametrize(
    ("mine", "theirs", "same"),
    [
        ("/data/{night}/*.csv", "/data/{night}/*.csv", True),
        ("/data/{night}/claims.csv", "/data/{night}/*.csv", True),
        ("/data/{night}/*.csv", "/data/{night}/claims.csv", True),
        ("/data/{night}/claims.csv", "/data/{night}/tickets.csv", False),
        ("/data/{night}/*.csv", "/other/{night}/*.csv", False),
        ("/data/[a]/x.csv", "/data/[a]/x.csv", True),
        ("/data/[a]/x.csv", "/data/a/x.csv", False),
    ],
)
def test_sources_are_the_same_where_one_pattern_covers_the_other(mine: str, theirs: str, same: bool) -> None:
    assert overlap([mine], [theirs]) is same


@pytest.mark.parametrize(
    ("nights", "refused", "let"),
    [
        ({}, "2025-03-16", "2025-03-17"),
        ({"every": "day", "time_zone": "America/New_York"}, "2025-03-16", "2025-03-17"),
        ({"every": "week", "time_zone": "Europe/Berlin"}, "2025-W11-1", "2025-W12-1"),
        # midnight in New York is four hours later in UTC, in Berlin one earlier
        ({"every": "hour", "time_zone": "America/New_York"}, "2025-03-17T03Z", "2025-03-17T04Z"),
        ({"every": "hour", "time_zone": "Europe/Berlin"}, "2025-03-16T22Z", "2025-03-16T23Z"),
    ],
)
def test_new_cases_begin_with_the_night_of_that_day_whatever_a_night_is(
    nights: dict[str, str], refused: str, let: str
) -> None:
    now = of(BY_HASH, new_cases_from="2025-03-17", nights=nights)
    assert "comes before `new_cases_from`" in str(changed_ids(now, [of(BY_COLUMN)], refused, False))
    assert changed_ids(now, [of(BY_COLUMN)], let, False) is None
