"""The chart as helm renders it: what Kubernetes' own schemas and the house ask of each object; and the jobs that
Dagster makes of runs by its values."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml
from dagster import DagsterRun
from dagster.version import __version__ as dagster_version
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job
from kubernetes.client import ApiClient
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.deploy.named import (
    DEPLOY,
    USER,
    port_of,
    secrets_in,
    unknown_variables,
    usual_ports,
    wrong_command,
)
from tests.places import DEPLOY_TOOLS

CHART = DEPLOY / "chart"
POOL = {"pipeline-pool": "gpu"}
#: How the chart is rendered: by name, with what.
RENDERED = {
    "as it stands": (),
    "with workflows": ("--set", "workflows.claims\\.yaml=workflow: claims"),
    "with encoders": ("--set", "encoders.enabled=true"),
    "on GPUs": ("--set", "encoders.enabled=true,encoders.autoscaling=keda", "--values", str(CHART / "values-gpu.yaml")),
}
#: Of Dagster's own chart, which is not here: the labels of its pods, by its templates.
DAGSTERS = [
    {"app.kubernetes.io/name": "dagster", "app.kubernetes.io/instance": "pipeline", "component": "dagster-webserver"},
    {"app.kubernetes.io/name": "dagster", "app.kubernetes.io/instance": "pipeline", "component": "dagster-daemon"},
    {"app.kubernetes.io/instance": "pipeline", "component": "user-deployments", "pipeline-process": "code"},
    {"app.kubernetes.io/instance": "dagster", "app.kubernetes.io/component": "run_worker", "pipeline-process": "run"},
]


def values(*files: str) -> dict[str, Any]:
    """The chart's values, later files over earlier ones, as helm merges them."""
    merged: dict[str, Any] = {}
    for name in ("values.yaml", *files):
        merged = _over(merged, yaml.safe_load((CHART / name).read_text(encoding="utf-8")))
    return merged


def _over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {key: _over(below.get(key), above.get(key, below.get(key))) for key in {**below, **above}}
    return above


# -- helm itself -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart beside a chart of Dagster's with a name, a version and nothing else: the real one comes by network."""
    folder = tmp_path_factory.mktemp("chart") / "pipeline"
    shutil.copytree(CHART, folder, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
    (dependency,) = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))["dependencies"]
    stub = folder / "charts" / "dagster"
    stub.mkdir(parents=True)
    (stub / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", **dependency}), encoding="utf-8")
    return folder


def helm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEPLOY_TOOLS / "bin" / "helm", *words], capture_output=True, text=True, check=False)


def render(chart: Path, *more: str) -> list[dict[str, Any]]:
    done = helm("template", "pipeline", chart, *more)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@lru_cache
def _schema(kind: str, version: str) -> dict[str, Any]:
    parts = version.removesuffix(".k8s.io").replace(".k8s.io/", "/").split("/")
    name = "-".join([kind.lower(), *(part for part in parts)])
    read: dict[str, Any] = json.loads((DEPLOY_TOOLS / "kubernetes" / f"{name}.json").read_text(encoding="utf-8"))
    return read


def refused(document: Mapping[str, Any]) -> list[str]:
    """What Kubernetes' schema of the object's kind has against it, keys that it does not know included."""
    schema = _schema(document["kind"], document["apiVersion"])
    found = jsonschema.Draft202012Validator(schema, registry=_registry()).iter_errors(document)
    return [f"{document['metadata']['name']}: {error.json_path} {error.message[:200]}" for error in found]


@lru_cache
def _registry() -> Registry[Any]:
    content = json.loads((DEPLOY_TOOLS / "kubernetes" / "_definitions.json").read_text(encoding="utf-8"))
    return Registry().with_resource("/api/_definitions.json", DRAFT202012.create_resource(content))


@pytest.mark.deploy
def test_helm_lint_has_nothing_against_it(chart: Path) -> None:
    done = helm("lint", "--strict", chart)
    assert done.returncode == 0, done.stdout


@pytest.mark.deploy
@pytest.mark.parametrize("name", RENDERED)
def test_kubernetes_takes_what_helm_renders(name: str, chart: Path) -> None:
    rendered = render(chart, *RENDERED[name])
    # KEDA's own kinds are in no schema of Kubernetes'
    ours = [document for document in rendered if not document["apiVersion"].startswith("keda.sh")]
    assert len(ours) > 20
    assert [mistake for document in ours for mistake in refused(document)] == []


@pytest.mark.deploy
@pytest.mark.parametrize("name", RENDERED)
def test_what_is_rendered_names_what_there_is(name: str, chart: Path) -> None:
    assert mistakes(render(chart, *RENDERED[name])) == []


@pytest.mark.deploy
def test_a_value_that_is_none_stops_helm(chart: Path) -> None:
    done = helm("template", "pipeline", chart, "--set", "encoders.enabled=true,encoders.autoscaling=vpa")
    assert done.returncode != 0
    assert "neither hpa nor keda" in done.stderr


# -- what the house asks of the objects -------------------------------------------------------------------------------


def mistakes(rendered: list[dict[str, Any]]) -> list[str]:
    """What is wrong with rendered objects, in a sentence each."""
    return [*_processes(rendered), *_selected(rendered), *_referenced(rendered)]


def pods(rendered: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Name, specification and labels of the pods of each object that has some."""
    for document in rendered:
        if document["kind"] in ("Deployment", "Job"):
            template = document["spec"]["template"]
            yield document["metadata"]["name"], template["spec"], template["metadata"]["labels"]


def _processes(rendered: list[dict[str, Any]]) -> Iterator[str]:
    kinds = {document["metadata"]["name"]: document["kind"] for document in rendered}
    for name, pod, _ in pods(rendered):
        yield from (f"{name}: {mistake}" for mistake in unsafe(pod))
        (container,) = pod["containers"]
        yield from (f"{name}: {mistake}" for mistake in wrong_command(container["args"]))
        if not container.get("resources", {}).get("requests") or "memory" not in container["resources"].get(
            "limits", {}
        ):
            yield f"{name}: says not what it takes"
        if kinds[name] == "Deployment":
            yield from (f"{name}: {mistake}" for mistake in _asked(name, container))
            if pod.get("terminationGracePeriodSeconds", 30) < 60:
                yield f"{name}: has too little time for what is in hand"
    for document in rendered:
        if document["kind"] == "ConfigMap" and document["metadata"]["name"] == "pipeline-settings":
            yield from (f"{variable} is read by nobody" for variable in unknown_variables(list(document["data"])))
            yield from (f"{variable} holds a secret" for variable in secrets_in(document["data"]))
        if document["kind"] == "Secret":
            yield "a secret is part of the chart"


def unsafe(pod: Mapping[str, Any]) -> Iterator[str]:
    """What a pod may do that it need not."""
    secured = pod.get("securityContext") or {}
    if secured.get("runAsUser") != USER or not secured.get("runAsNonRoot") or "seccompProfile" not in secured:
        yield "runs as root, or as another user than the image's"
    for container in pod["containers"]:
        secured = container.get("securityContext") or {}
        if secured.get("allowPrivilegeEscalation") is not False or not secured.get("readOnlyRootFilesystem"):
            yield "may gain privileges or write to its image"
        if secured.get("capabilities", {}).get("drop") != ["ALL"]:
            yield "has capabilities"
        if container["image"].endswith(":latest") or ":" not in container["image"]:
            yield f"is {container['image']}"


def _asked(name: str, container: Mapping[str, Any]) -> Iterator[str]:
    for probe in ("readinessProbe", "livenessProbe"):
        asked = container.get(probe) or {}
        if "httpGet" in asked:
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            if ports.get(asked["httpGet"]["port"]) != port_of(container["args"]):
                yield f"is asked at {asked['httpGet']['port']}, and listens at {port_of(container['args'])}"
            if asked["httpGet"]["path"] not in ("/healthz", "/livez"):
                yield f"is asked for {asked['httpGet']['path']}"
        elif "exec" in asked:
            yield from wrong_command(asked["exec"]["command"])
        else:
            yield f"has no {probe}"
    usual = usual_ports().get(name.removeprefix("pipeline-"))
    if usual and port_of(container["args"]) != usual:
        yield f"is not found at {usual}"


def _selected(rendered: list[dict[str, Any]]) -> Iterator[str]:
    """Selectors that choose no pod, and pods that no budget or policy chooses."""
    there = [labels for _, _, labels in pods(rendered)] + DAGSTERS
    for document in rendered:
        name, kind = document["metadata"]["name"], document["kind"]
        for wanted in selectors(document):
            if not any(wanted.items() <= labels.items() for labels in there):
                yield f"{kind} {name} chooses no pod by {wanted}"
    budgets = [
        wanted for document in rendered if document["kind"] == "PodDisruptionBudget" for wanted in selectors(document)
    ]
    policies = [
        document["spec"]["podSelector"]["matchLabels"]
        for document in rendered
        if document["kind"] == "NetworkPolicy" and document["spec"].get("ingress") == []
    ]
    for document in rendered:
        if document["kind"] != "Deployment":
            continue
        labels = document["spec"]["template"]["metadata"]["labels"]
        if document["metadata"]["name"] != "pipeline-encoders-head" and not _chosen(labels, budgets):
            yield f"no disruption budget for {document['metadata']['name']}"
        if not _chosen(labels, policies):
            yield f"everybody reaches {document['metadata']['name']}"
    yield from (f"everybody reaches {labels}" for labels in DAGSTERS if not _chosen(labels, policies))


def _chosen(labels: Mapping[str, str], selectors: list[dict[str, str]]) -> bool:
    return any(wanted.items() <= labels.items() for wanted in selectors)


def selectors(document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The labels by which an object chooses pods of the house."""
    spec = document.get("spec") or {}
    match document["kind"]:
        case "Service":
            yield spec["selector"]
        case "PodDisruptionBudget" | "Deployment":
            yield spec["selector"]["matchLabels"]
        case "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
            sides = [side for way in ("ingress", "egress") for rule in spec.get(way, []) for side in _sides(rule)]
            yield from (side["podSelector"]["matchLabels"] for side in sides if "namespaceSelector" not in side)


def _sides(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [side for side in [*rule.get("from", []), *rule.get("to", [])] if "podSelector" in side]


def _referenced(rendered: list[dict[str, Any]]) -> Iterator[str]:
    """What pods and scalers name of other objects and is not there."""
    there = {(document["kind"], document["metadata"]["name"]) for document in rendered}
    for name, pod, _ in pods(rendered):
        named = [("ServiceAccount", pod["serviceAccountName"])]
        for volume in pod["volumes"]:
            if "configMap" in volume:
                named.append(("ConfigMap", volume["configMap"]["name"]))
            if "persistentVolumeClaim" in volume:
                named.append(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
        named += [
            ("ConfigMap", one["configMapRef"]["name"])
            for one in pod["containers"][0]["envFrom"]
            if "configMapRef" in one
        ]
        yield from (f"{name}: there is no {kind} {wanted}" for kind, wanted in named if (kind, wanted) not in there)
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        if mounted - {volume["name"] for volume in pod["volumes"]}:
            yield f"{name}: mounts what is no volume"
    for document in rendered:
        target = (document.get("spec") or {}).get("scaleTargetRef")
        if target and (target["kind"], target["name"]) not in there:
            yield f"{document['metadata']['name']}: scales {target['name']}, which is not there"


def _named(name: str, kind: str = "Deployment") -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    return lambda rendered: next(
        document for document in rendered if (document["kind"], document["metadata"]["name"]) == (kind, name)
    )


def _pod(name: str) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    return lambda rendered: _named(name)(rendered)["spec"]["template"]["spec"]


@pytest.mark.deploy
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: _pod("pipeline-desk")(r)["securityContext"].update(runAsUser=0), "runs as root"),
        (lambda r: _pod("pipeline-desk")(r)["containers"][0]["securityContext"].clear(), "has capabilities"),
        (lambda r: _pod("pipeline-desk")(r)["containers"][0].update(image="pipeline:latest"), "is pipeline:latest"),
        (lambda r: _pod("pipeline-desk")(r)["containers"][0].pop("livenessProbe"), "has no livenessProbe"),
        (lambda r: _pod("pipeline-desk")(r)["containers"][0].update(args=["pipeline", "desks"]), "pipeline desks"),
        (lambda r: _pod("pipeline-desk")(r)["containers"][0]["ports"][0].update(containerPort=1), "listens at 3004"),
        (lambda r: _pod("pipeline-desk")(r)["containers"][0]["resources"].clear(), "says not what it takes"),
        (lambda r: _pod("pipeline-desk")(r)["volumes"].pop(), "mounts what is no volume"),
        (lambda r: _pod("pipeline-desk")(r).pop("terminationGracePeriodSeconds"), "too little time"),
        (lambda r: _pod("pipeline-desk")(r).update(serviceAccountName="root"), "no ServiceAccount root"),
        (lambda r: r.remove(_named("pipeline-dispatcher", "PodDisruptionBudget")(r)), "no disruption budget"),
        (lambda r: r.remove(_named("pipeline-house", "NetworkPolicy")(r)), "everybody reaches pipeline-desk"),
        (lambda r: r.remove(_named("pipeline-runs", "NetworkPolicy")(r)), "run_worker"),
        (lambda r: r.remove(_named("pipeline-workflows", "ConfigMap")(r)), "no ConfigMap pipeline-workflows"),
        (
            lambda r: _named("pipeline-webserver", "PodDisruptionBudget")(r)["spec"]["selector"]["matchLabels"].update(
                component="dagit"
            ),
            "chooses no pod",
        ),
        (lambda r: _named("pipeline-settings", "ConfigMap")(r)["data"].update(PIPELINE_LAKE="x"), "is read by nobody"),
        (
            lambda r: _named("pipeline-settings", "ConfigMap")(r)["data"].update(PIPELINE_SHOP_SECRET="whsec"),
            "PIPELINE_SHOP_SECRET holds a secret",
        ),
        (lambda r: _named("pipeline-encoders", "HorizontalPodAutoscaler")(r)["spec"]["scaleTargetRef"].update(name="x"),
         "scales x"),
    ],
)  # fmt: skip
def test_a_wrong_object_is_noticed(
    change: Callable[[list[dict[str, Any]]], Any], told: str, chart: Path, request: pytest.FixtureRequest
) -> None:
    rendered = copy.deepcopy(_with_encoders(chart))
    change(rendered)
    assert any(told in mistake for mistake in mistakes(rendered)), mistakes(rendered)


@lru_cache
def _with_encoders(chart: Path) -> list[dict[str, Any]]:
    return render(chart, *RENDERED["with encoders"])


@pytest.mark.deploy
def test_an_object_that_kubernetes_knows_otherwise_is_refused(chart: Path) -> None:
    wrong = copy.deepcopy(_named("pipeline-desk")(_with_encoders(chart)))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinessProb"] = {}
    wrong["spec"]["replicas"] = "two"
    assert len(refused(wrong)) == 2


@pytest.mark.deploy
def test_with_encoders_every_process_is_told_where_they_are_unless_it_was_told_already(chart: Path) -> None:
    def told(*arguments: str) -> tuple[str | None, str | None]:
        data = _named("pipeline-settings", "ConfigMap")(render(chart, *arguments))["data"]
        return data.get("PIPELINE_COMPUTE"), data.get("PIPELINE_RAY_ADDRESS")

    assert told() == (None, None)
    assert told(*RENDERED["with encoders"]) == ("ray", "pipeline-encoders-head:6379")
    elsewhere = ("--set", "settings.PIPELINE_RAY_ADDRESS=ray.example.org:6379")
    assert told(*RENDERED["with encoders"], *elsewhere) == ("ray", "ray.example.org:6379")


@pytest.mark.deploy
def test_encoder_workers_go_to_the_pool_with_gpus_and_nothing_else_does(chart: Path) -> None:
    rendered = render(chart, *RENDERED["on GPUs"])
    there = {name for name, pod, _ in pods(rendered) if pod.get("nodeSelector") == POOL and pod.get("tolerations")}
    taking = {
        name for name, pod, _ in pods(rendered) if "nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"]
    }
    assert there == taking == {"pipeline-encoders"}
    (worker,) = _pod("pipeline-encoders")(rendered)["containers"]
    assert worker["image"].endswith("-cuda")
    assert "--num-gpus=1" in worker["args"]


# -- Dagster's own chart: what its values come to --------------------------------------------------------------------


def _snake(key: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda letter: f"_{letter[1].lower()}", key)


def launcher(of: Mapping[str, Any]) -> dict[str, Any]:
    """The launcher's configuration that Dagster's chart writes into dagster.yaml, read by Dagster's own schema."""
    given = of["dagster"]["runLauncher"]["config"]["k8sRunLauncher"]
    names = {"envConfigMaps", "envSecrets"}
    config = {_snake(key): [one["name"] for one in value] if key in names else value for key, value in given.items()}
    config["run_k8s_config"] = {_snake(key): value for key, value in given["runK8sConfig"].items()}
    return {
        **config,
        "service_account_name": of["dagster"]["global"]["serviceAccountName"],
        "dagster_home": "/opt/dagster/dagster_home",
        "instance_config_map": "pipeline-dagster-instance",
        "postgres_password_secret": of["dagster"]["global"]["postgresqlSecretName"],
    }


def job_of_a_run(of: Mapping[str, Any]) -> dict[str, Any]:
    """The Kubernetes job that `K8sRunLauncher` makes of a run, as it is sent."""
    config = launcher(of)
    given: Any = SimpleNamespace(
        **{key: config.get(key) for key in (
            "image_pull_policy", "service_account_name", "env_config_maps", "env_secrets", "env_vars", "volume_mounts",
            "volumes", "labels", "resources", "security_context", "run_k8s_config",
        )},
        image_pull_secrets=[], job_namespace="default", scheduler_name=None, job_image=None,
        dagster_home=config["dagster_home"], instance_config_map=config["instance_config_map"],
        postgres_password_secret=config["postgres_password_secret"], inst_data=None,
        only_allow_user_defined_k8s_config_fields=None, only_allow_user_defined_env_vars=None,
    )  # fmt: skip
    context = K8sContainerContext.create_for_run(DagsterRun(job_name="nightly"), given, include_run_tags=True)
    built = construct_dagster_k8s_job(
        context.get_k8s_job_config("pipeline:0.1.0", given), ["dagster", "api", "execute_run"], "run",
        context.run_k8s_config, pod_name="run", component="run_worker", labels={},
    )  # fmt: skip
    sent: dict[str, Any] = ApiClient().sanitize_for_serialization(built)
    return sent


def test_dagster_knows_every_key_of_the_launchers_configuration() -> None:
    known = set(DagsterK8sJobConfig.config_type_run_launcher())
    config = launcher(values("values-gpu.yaml"))
    assert set(config) <= known
    assert "load_incluster_config" in config


def test_a_run_is_a_job_without_rights_that_nobody_moves() -> None:
    pod = job_of_a_run(values())["spec"]["template"]
    assert [*unsafe(pod["spec"])] == []
    assert pod["metadata"]["labels"].items() >= DAGSTERS[3].items()
    assert pod["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    (container,) = pod["spec"]["containers"]
    assert {"configMapRef": {"name": "pipeline-settings"}} in container["envFrom"]
    assert {"secretRef": {"name": "pipeline-environment"}} in container["envFrom"]
    names = [volume["name"] for volume in pod["spec"]["volumes"]]
    assert len(names) == len(set(names)), "Kubernetes refuses a pod with two volumes of a name"
    assert {mount["name"] for mount in container["volumeMounts"]} <= set(names)
    assert container["image"] == "pipeline:0.1.0"


def test_a_run_goes_to_the_pool_with_gpus_where_there_is_one() -> None:
    pod = job_of_a_run(values("values-gpu.yaml"))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["nodeSelector"], pod["tolerations"][0]["key"]) == (POOL, "nvidia.com/gpu")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"] == "pipeline:0.1.0-cuda"
    assert {"name": "PIPELINE_DEVICE", "value": "cuda"} in container["env"]


@pytest.mark.deploy
def test_kubernetes_takes_the_job_of_a_run() -> None:
    assert refused({**job_of_a_run(values("values-gpu.yaml")), "apiVersion": "batch/v1", "kind": "Job"}) == []


def test_the_chart_of_dagster_has_the_version_of_its_packages() -> None:
    (dependency,) = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["dependencies"]
    assert (dependency["name"], dependency["version"]) == ("dagster", dagster_version)


def test_nights_keep_their_order_and_their_limits_on_a_cluster_too() -> None:
    ours = yaml.safe_load((DEPLOY.parent / "dagster.yaml").read_text(encoding="utf-8"))
    daemon = values()["dagster"]["dagsterDaemon"]
    coordinator = daemon["runCoordinator"]["config"]["customRunCoordinator"]
    assert (daemon["runCoordinator"]["type"], coordinator) == ("CustomRunCoordinator", ours["run_coordinator"])
    assert daemon["runRetries"]["maxRetries"] == ours["run_retries"]["max_retries"]
    assert daemon["runMonitoring"]["enabled"], "what notices a run whose job is gone"
    assert values()["dagster"]["additionalInstanceConfig"]["concurrency"]["pools"] == ours["concurrency"]["pools"]


@pytest.mark.parametrize("name", ["dagsterWebserver", "dagsterDaemon", "code"])
def test_dagsters_own_pods_have_no_rights_either_and_say_how_they_are(name: str) -> None:
    dagster = values()["dagster"]
    of = dagster["dagster-user-deployments"]["deployments"][0] if name == "code" else dagster[name]
    container = {"securityContext": of["securityContext"], "image": f"{of['image']['repository']}:{of['image']['tag']}"}
    assert [*unsafe({"securityContext": of["podSecurityContext"], "containers": [container]})] == []
    assert of["envConfigMaps"] == [{"name": "pipeline-settings"}]
    assert {mount["name"] for mount in of["volumeMounts"]} == {volume["name"] for volume in of["volumes"]}
    asked = of["livenessProbe"]
    if "exec" in asked:
        assert [*wrong_command(asked["exec"]["command"])] == []
    else:
        assert asked["httpGet"] == {"path": "/healthz", "port": of["service"]["port"]}
