"""A workflow walked forward in one process, without Dagster or a database: the same features, trainings and policy.

Each training knows what was known at the start of its night, each night is scored with features of that night.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.costs import CostMatrix, case_costs
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, Role, number_columns
from pipeline_project.domain.deciding.decisions import decide_night
from pipeline_project.domain.features.building import Past, build_features
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.intake.admission import admit, read_rows
from pipeline_project.domain.lifecycle.replay.decide import STANDING, PastNights, Policy
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.models.trained import TrainedModel
from pipeline_project.domain.models.training import train, training_set
from pipeline_project.partitions import window
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec


@dataclass(frozen=True)
class Walk:
    """Everything of a workflow, nights in order.

    Attributes:
        cases: of all nights; `features` row by row of them.
        outcomes: case_id, label, known_at.
    """

    spec: WorkflowSpec
    cases: pa.Table
    features: FeatureTable
    outcomes: pd.DataFrame

    @property
    def nights(self) -> np.ndarray:
        return self.features.nights

    @property
    def policy(self) -> Policy:
        amount = self.spec.case_schema.by_role(Role.AMOUNT)
        terms = self.spec.policy_terms
        return Policy(self.spec.cost_matrix, terms, amount.name if amount else None, self.spec.spec_hash)

    def model_of(self, night: str) -> TrainedModel:
        """As trained on a night: from the outcomes that were known at its start."""
        known = self.outcomes[self.outcomes["known_at"] <= window(self.spec, night).start]
        before = self.nights < night
        return train(training_set(self.features.select(before), known), self.spec.training_plan)

    def between(self, first: str, last: str) -> np.ndarray:
        """Mask of the cases of these nights."""
        return np.asarray((self.nights >= first) & (self.nights <= last))

    def decided(self, rows: np.ndarray, told: np.ndarray, problems: list[str | None], policy: Policy) -> PastNights:
        """Nights decided with these probabilities under a policy, row by row as `cases` where `rows` is true."""
        cases, version = self.cases.filter(pa.array(rows)), "walk"
        scores = _scores(cases, told, problems, version)
        of_night, found = np.array(cases.column(NIGHT).to_pylist()), []
        nights = np.unique(of_night)
        for night in nights:
            here = pa.array(of_night == night)
            found += decide_night(cases.filter(here), scores.filter(here), None, policy).cases
        as_of = {str(night): window(self.spec, str(night)).start for night in nights}
        standing = pd.DataFrame(found)[list(STANDING)]
        return PastNights(tuple(map(str, nights)), cases, standing, Past(None, self.outcomes), as_of)

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Index of the true label of each of these cases, -1 where it is not known."""
        label_of = dict(zip(self.outcomes["case_id"], self.outcomes["label"], strict=True))
        found = [label_of.get(case) for case in self.features.case_ids[rows]]
        return np.array([-1 if label is None else self.spec.labels.index(label) for label in found])

    def customers(self, rows: np.ndarray) -> np.ndarray:
        """Whose case each of these is."""
        subject = self.spec.case_schema.by_role(Role.SUBJECT)
        column = self.cases.column(subject.name if subject else CASE_ID)
        return np.array(column.to_pylist(), dtype=object)[rows]

    def costs(self, rows: np.ndarray, matrix: CostMatrix) -> np.ndarray:
        """Shape (cases, options, labels)."""
        cases = self.cases.filter(pa.array(rows))
        return case_costs(matrix, number_columns(cases), len(cases))


def walk(spec: WorkflowSpec, settings: Settings, tell: Callable[[str], None] = lambda words: None) -> Walk:
    """Reads and admits every night there is, and builds the features of all of them.

    Raises:
        SourceUnreadable: the source is not where the settings say.
    """
    from resources.contracts.arrivals import cases_contract
    from resources.sources import case_source, outcome_source

    source, told, contract = case_source(spec, settings), outcome_source(spec, settings), cases_contract(spec)
    admitted, outcomes = [], []
    last = spec.nights.last.isoformat() if spec.nights.last else "9999-12-31"
    for night in (each for each in source.nights_landed() if each <= last):
        span = window(spec, night)
        typed = read_rows(source.read(span).rows, spec.case_schema)
        admitted.append(admit(typed, contract.validate(typed), None, span).cases)
        outcomes.append(told.read(span).rows.select([CASE_ID, "label", "known_at"]).to_pandas())
    cases = pa.concat_tables(admitted)
    known = pd.concat(outcomes, ignore_index=True)
    tell(f"{len(cases):,} cases of {len(admitted)} nights")
    as_of = {night: window(spec, night).start for night in set(cases.column(NIGHT).to_pylist())}
    features = build_features(cases, spec.feature_plan, Past(cases, known), as_of)
    return Walk(spec, cases, features, known)


def trained_on(spec: WorkflowSpec, last: date, monthly: bool) -> list[tuple[str, str, str]]:
    """Trainings as (night of the training, first and last night that it decides)."""
    start, found = spec.nights.decide_from, []
    while start <= last:
        end = (start.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1) if monthly else last
        found.append((start.isoformat(), start.isoformat(), min(end, last).isoformat()))
        start = end + timedelta(days=1)
    return found


def with_cell(matrix: CostMatrix, option: str, label: str, cell: float | str) -> CostMatrix:
    """The matrix with one other cost."""
    at, of = matrix.options.index(option), matrix.labels.index(label)
    rows = [list(row) for row in matrix.cells]
    rows[at][of] = cell
    return replace(matrix, cells=tuple(tuple(row) for row in rows))


def _scores(cases: pa.Table, told: np.ndarray, problems: list[str | None], version: str) -> pa.Table:
    rows = [None if why else list(row) for row, why in zip(told.tolist(), problems, strict=True)]
    columns = {
        NIGHT: cases.column(NIGHT),
        CASE_ID: cases.column(CASE_ID),
        "probabilities": pa.array(rows, pa.list_(pa.float64())),
        "problem": pa.array(problems, pa.string()),
        "model_version": pa.array([version] * len(cases), pa.string()),
    }
    return pa.table({f.name: columns.get(f.name, pa.nulls(len(cases), f.type)) for f in SCORES})
