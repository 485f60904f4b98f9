"""Who wants to decide: a model, a policy file, or both; how models are trained, on which past nights they are tried."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from pipeline_project.domain.core.errors import ModelUnavailable, ReplayRefused
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.models.training import TrainedModel, TrainingPlan, train
from pipeline_project.ports.compute import Workers
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.registry import Registry
from pipeline_project.services.as_of import mature_decided
from pipeline_project.spec import WorkflowSpec

_CANDIDATE = re.compile(
    r"(?:v(?P<version>[0-9]{1,9})(?:--(?P<policy>[a-z0-9_]{1,60}))?|(?P<alone>[a-z][a-z0-9_]{0,60}))\Z"
)


@dataclass(frozen=True)
class Candidate:
    """What wants to decide: a model, a policy, or both.

    Attributes:
        model: None keeps the probabilities that were recorded.
        policy: a workflow whose options, costs, and terms of review and policy count; None keeps the workflow's own.
        name: a slug, such as `v7`, `v7--cheap_warning` or `cheap_warning`.
    """

    name: str
    model: ModelVersion | None = None
    policy: WorkflowSpec | None = None


def trained_candidates(
    examples: pa.Table, plans: Mapping[str, TrainingPlan], workers: Workers
) -> dict[str, TrainedModel]:
    """A model for each plan, by its name, as `models.training.train` gives it.

    Raises:
        TooFewOutcomes, TrainingRefused: nothing can be trained on these examples.
    """
    return dict(zip(plans, workers.call(_trained, list(plans.values()), examples), strict=True))


def _trained(plan: TrainingPlan, examples: pa.Table) -> TrainedModel:
    return train(examples, plan, time.monotonic)


def mature_span(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, before: str, known_before: str | None, as_of: datetime
) -> tuple[str, str]:
    """First and last of the latest decided nights whose outcomes are in, as many as the gates ask for.

    Args:
        before: the first night that does not count any more.
        known_before: nights before it do not count either; None lets all count.
        as_of: outcomes known before then.

    Raises:
        ReplayRefused: there are none.
    """
    mature = mature_decided(spec, lake, ledger, known_before, before, as_of)
    if not mature:
        since = f" since {known_before}, before which the model has learned" if known_before else ""
        raise ReplayRefused(
            f"no night of {spec.name} decided before {before}{since} has its outcomes in, so nothing can be compared; "
            "wait for outcomes, or name the nights"
        )
    return mature[-spec.gates.nights :][0], mature[-1]


def candidate_of(
    spec: WorkflowSpec,
    registry: Registry,
    version: str | None,
    policy: Path | None,
    load: Callable[[Path], WorkflowSpec],
) -> Candidate:
    """A candidate from a model's version, a policy file, or both.

    Raises:
        ReplayRefused: neither is given.
        ModelUnavailable: the registry has no such version.
    """
    if version is None and policy is None:
        raise ReplayRefused("a replay needs a candidate: a model's version, a policy file, or both")
    model = None
    if version is not None:
        model = registry.version(spec.name, version)
        if model is None:
            raise ModelUnavailable(
                f"the registry has no version {version} of {spec.name}; `pipeline models {spec.name}` lists them"
            )
    given = load(policy) if policy is not None else None
    parts = [f"v{version}" if version else "", _slug(policy.stem) if policy else ""]
    return Candidate("--".join(filter(None, parts)), model, given)


def named_candidate(
    spec: WorkflowSpec, registry: Registry, name: str, load: Callable[[Path], WorkflowSpec]
) -> Candidate:
    """The candidate that a slug names: `v7`, `v7--cheap_warning` or `cheap_warning`.

    A policy is the file of that name in the folder `policies` beside the workflow's own file.

    Raises:
        ReplayRefused: the slug is none, or there is no such policy file.
        ModelUnavailable: the registry has no such version.
    """
    match = _CANDIDATE.match(name)
    if not name or match is None:
        raise ReplayRefused(f"{name[:60]!r} names no candidate; write v7, v7--cheap_warning or cheap_warning")
    policy = match["policy"] or match["alone"]
    path = spec.folder / "policies" / f"{policy}.yaml" if policy else None
    if path is not None and not path.is_file():
        raise ReplayRefused(f"there is no policy file {path}; write one, or name another candidate")
    return candidate_of(spec, registry, match["version"], path, load)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_") or "policy"
