"""A default stands once: the part of a spec takes it from the terms of the domain, and never writes it down again."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import MISSING, fields

import pytest

from pipeline_project.domain.clusters.clustering import ClusterTerms
from pipeline_project.domain.clusters.newcomers import AlarmTerms
from pipeline_project.domain.core.model_terms import DriftTerms, GateTerms, PromiseTerms, RolloutTerms, SurgeTerms
from pipeline_project.domain.delivery.planned_actions import ActionKind
from pipeline_project.domain.models.training import TrainingPlan
from pipeline_project.domain.models.training_guards import GuardTerms
from pipeline_project.spec.acting import ActionSpec
from pipeline_project.spec.lifecycle import DriftSpec, GatesSpec, PromiseSpec, RolloutSpec, SurgeSpec
from pipeline_project.spec.model import ClustersSpec
from pipeline_project.spec.scoring import ModelSpec, RetrainSpec

#: Parts of a spec, the terms that are made from them, and what the part's keys begin with.
TWINS = [
    (GatesSpec, GateTerms, ""),
    (RolloutSpec, RolloutTerms, ""),
    (DriftSpec, DriftTerms, ""),
    (PromiseSpec, PromiseTerms, ""),
    (SurgeSpec, SurgeTerms, ""),
    (ClustersSpec, ClusterTerms, ""),
    (ClustersSpec, AlarmTerms, "alarm_"),
    (ModelSpec, TrainingPlan, ""),
    (ModelSpec, GuardTerms, ""),
    (RetrainSpec, TrainingPlan, ""),
    (ActionSpec, ActionKind, ""),
]


def written(part: type) -> dict[str, ast.expr]:
    """The default of each key of a part, as its source has it."""
    (of,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
    assert isinstance(of, ast.ClassDef)
    return {
        line.target.id: line.value.args[0]
        for line in of.body
        if isinstance(line, ast.AnnAssign)
        and isinstance(line.target, ast.Name)
        and isinstance(line.value, ast.Call)
        and line.value.args
    }


@pytest.mark.parametrize(("part", "terms", "prefix"), TWINS)
def test_a_default_is_written_once(part: type, terms: type, prefix: str) -> None:
    defaults = written(part)
    own = {f"{prefix}{field.name}": field for field in fields(terms) if field.default not in (MISSING, None, ())}
    shared = own.keys() & defaults.keys()
    assert shared, "these two have nothing in common"
    assert {name for name in shared if not isinstance(defaults[name], ast.Attribute)} == set()
