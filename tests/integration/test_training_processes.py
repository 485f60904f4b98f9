"""A training whose steps run in processes of their own, as Dagster's multiprocess executor does it."""

from __future__ import annotations

import os

import dagster as dg
import pytest

from pipeline_project.automation.jobs import TRAINING
from pipeline_project.definitions import build_definitions
from pipeline_project.partitions import nights
from resources.doors import build_resources
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

LAST_WARM_UP, FIRST_DECIDED = shop.night(2), shop.night(3)
ESTIMATORS = ("boosting", "fusion")


def training_job() -> dg.JobDefinition:
    """The retraining of the one workflow of this home; every step's process makes it anew from its environment."""
    (spec,) = [found for found in _specs() if found.name == os.environ["PIPELINE_TRAINED"]]
    selection = dg.AssetSelection.assets(*([spec.name, noun] for noun in TRAINING))
    job = dg.define_asset_job(
        "trained_in_processes",
        selection=selection,
        partitions_def=nights(spec),
        executor_def=dg.multiprocess_executor.configured({"max_concurrent": 1}),
    )
    merged = dg.Definitions.merge(build_definitions(os.environ), dg.Definitions(jobs=[job]))
    return merged.resolve_job_def("trained_in_processes")


def _specs():
    from pipeline_project.definitions import load_workflows
    from pipeline_project.settings import Settings

    return load_workflows(Settings.from_environ(os.environ)).specs.values()


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
        monkeypatch.setenv("PIPELINE_TRAINED", house.name)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["."]))
        done = dg.execute_job(
            dg.reconstructable(training_job), instance=instance, tags={"dagster/partition": FIRST_DECIDED}
        )
        log = instance.all_logs(done.run_id)
        registry = build_resources(house.settings)["registry"]

    assert done.success
    processes = {entry.step_key: entry for entry in log if entry.dagster_event and entry.dagster_event.is_step_success}
    assert len(processes) == len(TRAINING)
    client = MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)
    experiment = client.get_experiment_by_name(house.name)
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * len(ESTIMATORS)
    assert {run.data.params["estimator"] for run in runs} == set(ESTIMATORS)
    versions = registry.trained(house.name, FIRST_DECIDED)
    assert {version.run_id for version in versions} == {run.info.run_id for run in runs}
