"""A training whose steps run in processes of their own, as Dagster's multiprocess executor does it."""

from __future__ import annotations

import os
import re

import dagster as dg
import pytest

from pipeline_project.container.night import open_registry
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import ROOT, House
from tests.integration.in_processes import STEPS, WORKFLOW, training_job
from tests.present import present

LAST_WARM_UP, FIRST_DECIDED = shop.night(2), shop.night(3)
ESTIMATORS = ("boosting", "fusion")


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Three nights of warm-up, with outcomes and without a training."""
    retrain = {"every": "never", "minimum_outcomes": 20, "minimum_per_label": 3}
    house = new_house("processes", model={"challengers": ["fusion"], "segments": ["kind"], "retrain": retrain})
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(4)])
    assert [run.outcome for run in house.nights(shop.FIRST, LAST_WARM_UP, retrain=False)] == ["done"] * 3
    return house


def test_every_training_is_one_finished_run_of_the_asset_s_own_process(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    with house.instance() as (_, instance):
        monkeypatch.setenv(WORKFLOW, house.name)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        done = dg.execute_job(
            dg.reconstructable(training_job), instance=instance, tags={"dagster/partition": FIRST_DECIDED}
        )
        log = instance.all_logs(done.run_id)
        registry = open_registry(house.settings)

    assert done.success
    pids = {
        found[1] for entry in log if (found := re.search(r"Capturing logs for process \(pid: (\d+)\)", entry.message))
    }
    assert len(pids - {str(os.getpid())}) == len(STEPS)
    step = [e for e in log if e.step_key == f"{house.name}__challenger" and e.dagster_event]
    begun, ended = (
        next(e.timestamp * 1000 for e in step if present(e.dagster_event).event_type_value == kind)
        for kind in ("STEP_START", "STEP_SUCCESS")
    )
    client = MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)
    experiment = present(client.get_experiment_by_name(house.name))
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * len(ESTIMATORS)
    assert all(begun <= run.info.start_time <= run.info.end_time <= ended for run in runs)
    assert {run.data.params["estimator"] for run in runs} == set(ESTIMATORS)
    versions = registry.trained(house.name, FIRST_DECIDED)
    assert {version.run_id for version in versions} == {run.info.run_id for run in runs}
