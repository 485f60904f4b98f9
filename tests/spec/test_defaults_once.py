"""What a spec and the domain both know is declared once, and a default stands once."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from types import ModuleType

import pytest

import pipeline_project.domain
import pipeline_project.spec
from pipeline_project.domain.delivery.planned_actions import ActionKind
from pipeline_project.domain.models.training import TrainingPlan
from pipeline_project.domain.models.training_guards import GuardTerms
from pipeline_project.spec.actions import ActionSpec
from pipeline_project.spec.base import Part
from pipeline_project.spec.model import ModelSpec, RetrainSpec

#: Parts of a spec, and the terms that take some of their keys over among others.
OVERLAPPING = [
    (ModelSpec, TrainingPlan),
    (ModelSpec, GuardTerms),
    (RetrainSpec, TrainingPlan),
    (ActionSpec, ActionKind),
]
#: Parts whose keys the domain knows under one more name, or after reading: docs/decisions/61-terms.md says why.
READ = {"ActionSpec", "FieldSpec"}


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


@pytest.mark.parametrize(("part", "terms"), OVERLAPPING)
def test_a_default_is_written_once(part: type, terms: type) -> None:
    defaults = written(part)
    own = {field.name: field for field in fields(terms) if field.default not in (MISSING, None, ())}
    shared = own.keys() & defaults.keys()
    assert shared, "these two have nothing in common"
    assert {name for name in shared if not isinstance(defaults[name], ast.Attribute)} == set()


def classes_of(package: ModuleType) -> Iterator[type]:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        loaded = import_module(module.name)
        yield from (kind for kind in vars(loaded).values() if getattr(kind, "__module__", "") == module.name)


def test_no_part_of_a_spec_lists_the_fields_of_a_dataclass_again() -> None:
    parts = {
        kind.__name__: set(kind.model_fields)
        for kind in classes_of(pipeline_project.spec)
        if isinstance(kind, type) and issubclass(kind, Part) and kind is not Part
    }
    declared = [
        {field.name for field in fields(kind)}
        for kind in classes_of(pipeline_project.domain)
        if isinstance(kind, type) and is_dataclass(kind)
    ]
    twins = {name for name, keys in parts.items() if len(keys) > 2 and any(keys <= own for own in declared)}
    assert twins <= READ
    assert twins, "the control: the action's kind is one"
