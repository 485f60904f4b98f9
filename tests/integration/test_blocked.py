"""A blocked night stays blocked, however its assets are launched: nothing is decided, nothing may leave."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cache
from itertools import combinations

import dagster as dg
import pytest

from pipeline_project.definitions import build_definitions
from pipeline_project.spec.contract import rules
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House
from tests.integration.test_bad_nights import _with_many_refused
from tests.present import present

WARM_UP, DECIDED, BAD = shop.night(2), shop.night(3), shop.night(4)
#: Tables that one step makes.
MADE_TOGETHER = {"admission": ("cases", "quarantine")}
#: What a night's decisions and its release are made of.
NOUNS = ("arrivals", "admission", "scores", "decisions", "release")
EVERY = [chosen for size in range(1, len(NOUNS) + 1) for chosen in combinations(NOUNS, size)]
#: Every selection that decides or releases, and the largest one that does neither.
SUBSETS = [chosen for chosen in EVERY if {"decisions", "release"} & {*chosen}] + [NOUNS[:3]]


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """A model decides; then comes a night most of whose rows are refused, and the rest would be paid."""
    house = new_house("blocked", options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(5)])
    _with_many_refused(house.folder / "in" / "claims" / f"{BAD}.csv")
    outcomes = [run.outcome for run in house.nights(shop.FIRST, BAD)]
    assert outcomes == ["done", "done", "done", "done", "blocked"]
    assert house.work(DECIDED)["releases"]
    return house


@cache
def whole_graph(house_name: str) -> dg.JobDefinition:
    """The job in which Dagster runs what is launched from the asset graph; its house is entered already."""
    return build_definitions(os.environ).resolve_implicit_global_asset_job_def()


def launch(house: House, night: str, asset_names: Collection[str], checks: bool = False) -> dg.ExecuteInProcessResult:
    """Materializes a selection of a night's assets outside of any job, as the asset graph does."""
    keys = {
        dg.AssetKey([house.name, asset_name]) for each in asset_names for asset_name in MADE_TOGETHER.get(each, (each,))
    }
    # Dagster does not let these be left out: they are made by the very step that makes the cases
    own = {dg.AssetCheckKey(dg.AssetKey([house.name, "cases"]), rule.name) for rule in rules(house.spec)}
    chosen = None if checks else own if "admission" in asset_names else set()
    with house.entered(), dg.DagsterInstance.ephemeral() as instance:
        part = whole_graph(house.name).get_subset(asset_selection=keys, asset_check_selection=chosen)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return part.execute_in_process(quiet, partition_key=night, instance=instance, raise_on_error=False)


def why(result: dg.ExecuteInProcessResult | dg.JobExecutionResult) -> str:
    """What the run's failed steps said, and how often they were tried again."""
    causes = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            causes.append(str(error.message if error else ""))
    retried = sum(event.is_step_up_for_retry for event in result.all_events)
    return " ".join(causes) + f" ({retried} retries)"


def nothing_came_of(house: House, night: str) -> None:
    assert house.decisions(night) == []
    assert house.work(night) == {"actions": [], "review_tasks": [], "releases": []}


def test_the_refusal_names_the_commonest_reasons_and_the_command_that_helps(house: House) -> None:
    (run,) = house.nights(BAD)
    assert run.outcome == "blocked"
    assert "18 of 24 rows refused" in str(run.why)
    assert "18 times amount: is not a number" in str(run.why)
    assert str(run.why).endswith(f"(next: pipeline quarantine {house.name} --night {BAD})")


@pytest.mark.parametrize("asset_names", SUBSETS, ids=lambda asset_names: "+".join(asset_names))
def test_no_selection_of_its_assets_decides_or_releases_it(house: House, asset_names: tuple[str, ...]) -> None:
    result = launch(house, BAD, asset_names)
    nothing_came_of(house, BAD)
    deciding = {"decisions", "release"} & {*asset_names}
    assert result.success == (not deciding)
    if deciding:
        assert "is not decided" in why(result) or "is not released" in why(result) or "never" in why(result)
        assert "(0 retries)" in why(result)


@pytest.mark.parametrize("asset_names", [("decisions", "release"), ("scores", "decisions", "release"), NOUNS])
def test_with_its_checks_it_stays_blocked_as_well(house: House, asset_names: tuple[str, ...]) -> None:
    assert not launch(house, BAD, asset_names, checks=True).success
    nothing_came_of(house, BAD)


def test_a_sound_night_launched_without_its_checks_is_not_decided_and_says_what_to_run(house: House) -> None:
    night = shop.night(5)
    shop.drop_nights(house.folder, [night])
    told = why(launch(house, night, NOUNS))
    assert "was not looked at" in told.replace("were not looked at", "was not looked at")
    assert f"Next: pipeline nights {house.name} --from {night} --to {night}" in told
    nothing_came_of(house, night)
    assert launch(house, night, NOUNS, checks=True).success
    assert len(house.decisions(night)) == 24
    assert house.work(night)["releases"]


@pytest.mark.parametrize("asset_name", ["decisions", "decision_bounds"])
def test_whichever_table_of_a_step_is_asked_for_both_are_made(house: House, asset_name: str) -> None:
    """One alone would tell of another writing than the table beside it."""
    before = {name: present(house.lake.version(house.name, name)) for name in ("decisions", "decision_bounds")}
    decided, work = house.decisions(DECIDED), house.work(DECIDED)
    result = launch(house, DECIDED, [asset_name], checks=True)
    assert result.success
    after = {name: present(house.lake.version(house.name, name)) for name in before}
    assert {name: after[name] - before[name] for name in before} == {"decisions": 1, "decision_bounds": 1}
    events = result.get_asset_materialization_events()
    told = {present(event.asset_key).path[-1]: event.materialization for event in events}
    assert {name: event.metadata["lake_version"].value for name, event in told.items()} == after
    assert {event.partition for event in told.values()} == {DECIDED}
    assert (house.decisions(DECIDED), house.work(DECIDED)) == (decided, work)
    # the contract's check has not seen what decision_bounds alone wrote beside them
    assert launch(house, DECIDED, ["release"]).success == (asset_name == "decisions")
    assert launch(house, DECIDED, ["decisions", "release"], checks=True).success


def test_tables_written_again_after_the_checks_are_checked_again_before_the_night_is_released(house: House) -> None:
    assert launch(house, DECIDED, ["release"]).success
    assert launch(house, DECIDED, ["scores"]).success
    assert "scores_contract" in why(launch(house, DECIDED, ["decisions"]))
    assert "scores_contract" in why(launch(house, DECIDED, ["release"]))
    assert launch(house, DECIDED, ["scores", "decisions", "release"], checks=True).success


def test_what_was_never_made_is_told_at_once(house: House) -> None:
    night = shop.night(6)
    told = why(launch(house, night, ["decisions"]))
    assert f"Run `pipeline nights {house.name} --from {night} --to {night}`" in told
    assert told.endswith("(0 retries)")


def test_a_repaired_night_is_decided(house: House) -> None:
    shop.drop_nights(house.folder, [BAD])
    (run,) = house.nights(BAD)
    assert run.outcome == "done"
    assert len(house.decisions(BAD)) == 24
