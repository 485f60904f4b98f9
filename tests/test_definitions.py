"""What Dagster loads: quickly, for every workflow, and by workspace.yaml."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

from pipeline_project.definitions import build_definitions
from pipeline_project.domain.lifecycle.drift.signals import DRIFT_KINDS
from pipeline_project.domain.lifecycle.gates import GATES
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.contract import rules
from pipeline_project.spec.load import SHIPPED, load_all
from pipeline_project.spec.output_contract import output_rules

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "mlflow", "great_expectations", "sklearn", "xgboost", "deltalake", "transformers", "scipy", "ray")
NAMES = ("order_returns", "returns", "support_tickets", "vehicle_claims")
LIVE = {"shadow_scores", "live_check"}
DECIDING = {
    "arrivals",
    "cases",
    "quarantine",
    "outcomes",
    "scores",
    "decisions",
    "decision_bounds",
    "release",
    "night_report",
    "drift",
} | LIVE
TRAINING = {"training_set", "challenger", "champion", "promotion"}
BLOCKING = {"landed_as_expected", "nothing_vanished", "night_is_sound", "scores_contract", "decisions_contract"}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions({})


@pytest.fixture(scope="module")
def repository(definitions: dg.Definitions) -> dg.RepositoryDefinition:
    return definitions.get_repository_def()


@pytest.fixture(scope="module", params=NAMES)
def spec(request: pytest.FixtureRequest) -> WorkflowSpec:
    return load_all().specs[request.param]


# -- loading -------------------------------------------------------------------------------------------------

_LOAD = """
import importlib, json, os, pkgutil, sys

read = []
plain = os._Environ.__getitem__

def spy(self, key):
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] in ("os", "_collections_abc"):
        frame = frame.f_back
    if frame.f_globals["__name__"].split(".")[0] in ("pipeline_project", "assets", "resources"):
        read.append([frame.f_globals["__name__"], str(key)])
    return plain(self, key)

os._Environ.__getitem__ = spy
import pipeline_project.definitions as definitions
assert not read, read
definitions.build_definitions({}).get_repository_def()
heavy = sorted(set(json.loads(sys.argv[1])) & sys.modules.keys())
for package in ("pipeline_project", "assets", "resources"):
    root = importlib.import_module(package)
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        if "migrations" not in found.name and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
print(json.dumps({"read": read, "heavy": heavy, "modules": len(sys.modules)}))
"""


def test_loading_imports_nothing_heavy_and_reads_no_environment(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PIPELINE_HOME": "elsewhere", "PIPELINE_DEVICE": "no such device"}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LOAD, json.dumps(HEAVY)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["heavy"] == []
    assert told["read"] == []
    assert list(tmp_path.iterdir()) == [], "loading writes nothing"


def test_the_definitions_hold_together(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_nothing_is_opened_before_a_step_needs_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    build_definitions({"PIPELINE_HOME": str(home), "PIPELINE_POSTGRES_URL": "postgresql://nobody@localhost:1/none"})
    assert not home.exists()


# -- what there is -------------------------------------------------------------------------------------------


def nouns_of(spec: WorkflowSpec) -> set[str]:
    encodes = {"embeddings"} if spec.encodes else set()
    clusters = {"clusters", "cluster_members", "cluster_events"} if spec.clusters else set()
    return DECIDING | TRAINING | encodes | clusters


def test_a_workflow_has_only_what_it_declares(repository: dg.RepositoryDefinition, spec: WorkflowSpec) -> None:
    keys = {key.path[1] for key in repository.asset_graph.get_all_asset_keys() if key.path[0] == spec.name}
    # candidates, not nights, are the replay's partitions, and it has a group of its own
    assert keys == nouns_of(spec) | {"replay"}
    assert ("embeddings" in keys) == (spec.name in ("returns", "support_tickets"))


def test_every_asset_says_whose_it_is(repository: dg.RepositoryDefinition, spec: WorkflowSpec) -> None:
    for asset_name in nouns_of(spec):
        node = repository.asset_graph.get(dg.AssetKey([spec.name, asset_name]))
        assert node.group_name == spec.name
        assert list(node.owners) == list(spec.owners)
        assert node.kinds, asset_name
        assert node.description, asset_name
        assert node.metadata["spec_hash"] == spec.spec_hash
        partitions = node.partitions_def
        assert isinstance(partitions, dg.DailyPartitionsDefinition)
        assert partitions.timezone == spec.nights.time_zone
        assert partitions.get_first_partition_key() == spec.nights.first.isoformat()


def test_every_step_tries_again_with_backoff_and_jitter(
    definitions: dg.Definitions, repository: dg.RepositoryDefinition
) -> None:
    for asset in repository.assets_defs_by_key.values():
        policy = asset.op.retry_policy
        assert policy is not None, asset.keys
        assert (policy.backoff, policy.jitter) == (dg.Backoff.EXPONENTIAL, dg.Jitter.PLUS_MINUS)
        assert policy.max_retries > 0


def test_every_expectation_is_a_check(repository: dg.RepositoryDefinition, spec: WorkflowSpec) -> None:
    graph = repository.asset_graph
    mine = {key for key in graph.asset_check_keys if key.asset_key.path[0] == spec.name}
    asset_names = ("scores", "decisions", *(("embeddings",) if spec.encodes else ()))
    embeddings = {"embeddings_contract"} if spec.encodes else set()
    expected = {("cases", rule.name) for rule in rules(spec)}
    expected |= {
        (asset_name, rule)
        for asset_name in asset_names
        for rule in (*output_rules(spec, asset_name), f"{asset_name}_contract")
    }
    expected |= {
        ("arrivals", "landed_as_expected"),
        ("cases", "nothing_vanished"),
        ("cases", "night_is_sound"),
        ("live_check", "keeps_its_promise"),
        ("release", "adds_up"),
    }
    expected |= {("promotion", f"gate_{name}") for name in GATES} | {
        ("drift", kind.check) for kind in DRIFT_KINDS.values()
    }
    expected |= {("cluster_events", "no_arranged_cluster")} if spec.clusters else set()
    assert {(key.asset_key.path[1], key.name) for key in mine} == expected
    for key in mine:
        check = graph.get_check_spec(key)
        assert check.blocking is (key.name in BLOCKING | embeddings)
        assert check.partitions_def is not None, "a check without nights speaks for all of them"
        assert check.description


def test_vectors_are_made_in_the_pool_of_the_gpu(repository: dg.RepositoryDefinition) -> None:
    pools = {key.to_user_string(): asset.op.pool for key, asset in repository.assets_defs_by_key.items()}
    assert {key for key, pool in pools.items() if pool == "gpu"} == {"returns/embeddings", "support_tickets/embeddings"}


def test_jobs_share_out_the_graph(repository: dg.RepositoryDefinition, spec: WorkflowSpec) -> None:
    chosen = {
        kind: {key.path[1] for key in repository.get_job(f"{spec.name}_{kind}").asset_layer.executable_asset_keys}
        for kind in ("nightly", "warm_up", "retrain")
    }
    assert chosen["retrain"] == TRAINING
    assert chosen["nightly"] == nouns_of(spec) - TRAINING
    deciding = {"scores", "decisions", "decision_bounds", "release", "night_report"}
    assert chosen["warm_up"] == chosen["nightly"] - deciding - LIVE
    for kind in chosen:
        tags = repository.get_job(f"{spec.name}_{kind}").tags
        assert (tags["pipeline/workflow"], tags["pipeline/kind"]) == (spec.name, kind)


def test_schedules_and_sensors(repository: dg.RepositoryDefinition, spec: WorkflowSpec) -> None:
    schedules = [s for s in repository.schedule_defs if s.name.startswith(f"{spec.name}_")]
    assert {s.name for s in schedules} >= {f"{spec.name}_every_night"}
    assert {(s.cron_schedule, s.execution_timezone) for s in schedules} == {
        (spec.nights.schedule, spec.nights.time_zone)
    }
    sensors = {s.name.removeprefix(f"{spec.name}_"): s for s in repository.sensor_defs if s.name.startswith(spec.name)}
    assert set(sensors) == {"landing", "late", "new_outcomes"}
    told = {name for name, sensor in sensors.items() if sensor.default_status == dg.DefaultSensorStatus.RUNNING}
    assert told == {"late"}, "what starts runs is switched on by people"


def test_what_needs_no_sensor_of_a_workflow_has_one_for_all(repository: dg.RepositoryDefinition) -> None:
    """Each sensor costs the daemon a tick, and a house may have hundreds of workflows."""
    names = [spec.name for spec in load_all().specs.values()]
    shared = {s.name: s for s in repository.sensor_defs if not s.name.startswith(tuple(f"{name}_" for name in names))}
    assert set(shared) == {"audit_checkpoints", "champion_aliases", "failed_runs", "recovered_runs", "review_clock"}
    assert {s.default_status for s in shared.values()} == {dg.DefaultSensorStatus.RUNNING}


def test_no_workflow_reads_another(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    for key in graph.get_all_asset_keys():
        assert {parent.path[0] for parent in graph.get(key).parent_keys} <= {key.path[0]}


# -- workflows of one's own ----------------------------------------------------------------------------------


def shipped(name: str, workflow: str) -> str:
    return (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8").replace(f"workflow: {name}", f"workflow: {workflow}")


def test_a_workflow_of_the_user_s_appears_and_a_broken_one_takes_none_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mine.yaml").write_text(shipped("returns", "mine"), encoding="utf-8")
    (tmp_path / "broken.yaml").write_text(shipped("returns", "broken").replace("owners", "owner"), encoding="utf-8")
    (tmp_path / "twice.yaml").write_text(shipped("returns", "returns"), encoding="utf-8")
    with caplog.at_level(logging.ERROR, "pipeline"):
        repository = build_definitions({"PIPELINE_WORKFLOWS": str(tmp_path)}).get_repository_def()
    names = {key.path[0] for key in repository.asset_graph.get_all_asset_keys()}
    assert names == {*NAMES, "mine"}
    assert repository.has_job("mine_nightly")
    # in one line, however many mistakes there are: whoever runs one workflow has another file before him
    (told,) = [record.getMessage() for record in caplog.records if record.name == "pipeline"]
    assert "broken.yaml" in told
    assert "twice.yaml" in told
    assert "`pipeline check`" in told
    assert "\n" not in told


# -- workspace.yaml and dg.toml ------------------------------------------------------------------------------


def copied(folder: Path, **edits: tuple[str, str]) -> Path:
    """The files that say what to load, as `name=(old, new)` changes them; the code stays where it is."""
    folder.mkdir()
    for name in ("workspace.yaml", "dg.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name, (old, new) in edits.items():
        path = folder / name.replace("_", ".")
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    (folder / "pipeline_project").symlink_to(ROOT / "pipeline_project")
    return folder


def _with_a_home(home: Path) -> dict[str, str]:
    """The environment with an instance of its own: two that begin at once would both make its tables."""
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(ROOT), "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"}


def test_workspace_and_dg_are_obeyed(tmp_path: Path) -> None:
    """Where workspace.yaml names nonsense `dagster` fails over it, and `dg`, which has its own file, does not."""
    nonsense = "pipeline_project.no_such_module"
    folder = copied(tmp_path / "checkout", workspace_yaml=("pipeline_project.definitions", nonsense))
    commands = {"dagster": ["definitions", "validate"], "dg": ["check", "defs"]}
    started = {
        tool: subprocess.Popen(
            [Path(sys.executable).parent / tool, *command],
            cwd=folder,
            env=_with_a_home(tmp_path / f"{tool}-home"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for tool, command in commands.items()
    }
    told = {tool: process.communicate(timeout=600)[0] for tool, process in started.items()}
    assert started["dg"].returncode == 0, told["dg"]
    assert "All definitions loaded successfully" in told["dg"]
    assert started["dagster"].returncode != 0, "dagster loads something else than workspace.yaml names"
    assert nonsense in told["dagster"]


def test_pyproject_says_nothing_to_dagster() -> None:
    """A [tool.dagster] or [tool.dg] would make `dagster` pass over workspace.yaml without a word."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert not {"dagster", "dg"} & tools.keys()


def test_dagster_and_dg_load_the_same() -> None:
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    project = tomllib.loads((ROOT / "dg.toml").read_text(encoding="utf-8"))["project"]
    assert location["python_module"] == {
        "module_name": project["code_location_target_module"],
        "location_name": project["code_location_name"],
    }
