"""Contracts over what the pipeline itself writes: scores, decisions and vectors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.ports.contracts import Contract
from pipeline_project.spec.output_contract import SUM_TOLERANCE, output_rules
from pipeline_project.spec.workflow import WorkflowSpec
from resources.contracts.expectations import expectation, run, true

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation as GxExpectation

#: How far a vector of 16-bit floats may be from unit length.
LENGTH_TOLERANCE = 1e-2

Test = Callable[[pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class OutputContract:
    """Rules over one table: every case once, and what `tests` say of each row.

    Attributes:
        words: the rules by name, as `output_contract.output_rules` gives them.
        tests: name -> (column, bool per row).
        rows: how many rows there must be, or None.
    """

    words: Mapping[str, str]
    tests: Mapping[str, tuple[str, Test]]
    rows: int | None = None

    def validate(self, frame: pd.DataFrame) -> list[Expectation]:
        """As `ports.Contract.validate`."""
        wanted: dict[str, GxExpectation] = {
            "case_id_has_value": expectation("ExpectColumnValuesToNotBeNull", column=CASE_ID),
            "case_id_once": expectation("ExpectColumnValuesToBeUnique", column=CASE_ID),
        }
        frame = frame.reset_index(drop=True)
        looked_at = frame[[CASE_ID]]
        for name, (_, test) in self.tests.items():
            looked_at = looked_at.assign(**{f"{name}__holds": test(frame)})
            wanted[name] = true(f"{name}__holds")
        if self.rows is not None:
            wanted["row_count"] = expectation("ExpectTableRowCountToEqual", value=self.rows)
        columns = {name: column for name, (column, _) in self.tests.items()}
        columns |= {"case_id_has_value": CASE_ID, "case_id_once": CASE_ID}
        described = {name: (columns.get(name), description) for name, description in self.words.items()}
        return list(run(looked_at, wanted, described).values())


def scores_contract(spec: WorkflowSpec) -> Contract:
    """Probabilities of every label, or a problem that says why there are none."""
    count = len(spec.labels)

    def complete(row: np.ndarray) -> bool:
        return row.shape == (count,) and _within(row)

    def sums_to_one(row: np.ndarray) -> bool:
        return abs(float(row.sum()) - 1) <= SUM_TOLERANCE

    return OutputContract(
        output_rules(spec, "scores"),
        {
            "probabilities_complete": ("probabilities", lambda frame: _each_score(frame, complete)),
            "probabilities_sum_to_one": ("probabilities", lambda frame: _each_score(frame, sums_to_one)),
        },
    )


def decisions_contract(spec: WorkflowSpec, expected: Sequence[str]) -> Contract:
    """Every case of `expected` is decided once, and the policy's word is an option of the spec or asking a person.

    The standing option may come from an earlier spec that called it otherwise: it is a fact, and no rule is broken.
    """
    options = {*spec.option_specs, ASK_PERSON}
    return OutputContract(
        output_rules(spec, "decisions"),
        {
            "option_known": ("would_be", lambda frame: frame["would_be"].isin(options).to_numpy(bool)),
            "case_admitted": (CASE_ID, lambda frame: frame[CASE_ID].isin(list(expected)).to_numpy(bool)),
        },
        rows=len(expected),
    )


def embeddings_contract(spec: WorkflowSpec) -> Contract:
    """Vectors are finite and of unit length, or null."""
    kinds = [MODALITIES[name].vector_column for name in spec.encoders]
    return OutputContract(
        output_rules(spec, "embeddings"), {f"{kind}_unit_length": (kind, _unit_length(kind)) for kind in kinds}
    )


def _unit_length(column: str) -> Test:
    return lambda frame: _unit_or_null(frame[column])


def _unit_or_null(packed: pd.Series) -> np.ndarray:
    """Of little-endian 16-bit floats as bytes; vectors of one column have one length."""
    there = packed.notna().to_numpy(bool)
    holds = ~there
    lengths: Collection[int] = {len(cell) for cell in packed[there]}
    for length in lengths:
        rows = np.flatnonzero(there & (packed.map(len, na_action="ignore") == length).to_numpy(bool))
        if length == 0 or length % 2:
            continue
        vectors = np.frombuffer(b"".join(packed.iloc[rows]), dtype="<f2").reshape(len(rows), -1).astype(np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.abs(np.linalg.norm(vectors, axis=1) - 1)
        # Vectors of a length that the others do not have come from another encoder.
        holds[rows] = (distance <= LENGTH_TOLERANCE) & (len(lengths) == 1)
    return holds


def _each_score(frame: pd.DataFrame, test: Callable[[np.ndarray], bool]) -> np.ndarray:
    problems = frame["problem"].notna()
    return np.array(
        [
            (row is None) if problem else row is not None and test(np.asarray(row, dtype=np.float64))
            for row, problem in zip(frame["probabilities"], problems, strict=True)
        ],
        dtype=bool,
    )


def _within(row: np.ndarray) -> bool:
    return bool(np.isfinite(row).all() and (row >= 0).all() and (row <= 1).all())
