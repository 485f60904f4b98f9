"""Contracts over what the pipeline itself writes: scores, decisions and vectors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline_project.domain.policy import ASK_PERSON
from pipeline_project.domain.ports import Contract, Expectation
from pipeline_project.domain.schema import CASE_ID
from pipeline_project.spec.model import WorkflowSpec
from resources.expectations import expectation, run, true

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation as GxExpectation

#: How far a row of probabilities may be from one, and a vector of 16-bit floats from unit length.
SUM_TOLERANCE = 1e-6
LENGTH_TOLERANCE = 1e-2

Test = Callable[[pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class OutputContract:
    """Rules over one table: every case once, and what `tests` say of each row.

    Attributes:
        tests: name -> (column, rule in words, bool per row).
        rows: how many rows there must be, or None.
    """

    tests: dict[str, tuple[str, str, Test]]
    rows: int | None = None

    def validate(self, frame: pd.DataFrame) -> list[Expectation]:
        """As `ports.Contract.validate`."""
        wanted: dict[str, GxExpectation] = {
            "case_id_has_value": expectation("ExpectColumnValuesToNotBeNull", column=CASE_ID),
            "case_id_once": expectation("ExpectColumnValuesToBeUnique", column=CASE_ID),
        }
        described: dict[str, tuple[str | None, str]] = {
            "case_id_has_value": (CASE_ID, "every row names its case"),
            "case_id_once": (CASE_ID, "every case has one row"),
        }
        if self.rows is not None:
            wanted["row_count"] = expectation("ExpectTableRowCountToEqual", value=self.rows)
            described["row_count"] = (None, f"there are {self.rows} rows, one per admitted case")
        frame = frame.reset_index(drop=True)
        looked_at = frame[[CASE_ID]]
        for name, (column, rule, test) in self.tests.items():
            looked_at = looked_at.assign(**{f"{name}__holds": test(frame)})
            wanted[name], described[name] = true(f"{name}__holds"), (column, rule)
        return list(run(looked_at, wanted, described).values())


def scores_contract(spec: WorkflowSpec) -> Contract:
    """Probabilities of every label, or a problem that says why there are none."""
    count = len(spec.labels)
    return OutputContract(
        {
            "probabilities_complete": (
                "probabilities",
                f"has {count} finite values in [0, 1], or a problem instead",
                lambda frame: _each_score(frame, lambda row: row.shape == (count,) and _within(row)),
            ),
            "probabilities_sum_to_one": (
                "probabilities",
                f"sum to one within {SUM_TOLERANCE}",
                lambda frame: _each_score(frame, lambda row: abs(float(row.sum()) - 1) <= SUM_TOLERANCE),
            ),
        }
    )


def decisions_contract(spec: WorkflowSpec, expected: Sequence[str]) -> Contract:
    """Every case of `expected` is decided once, by an option of the spec or by asking a person."""
    options = {*spec.option_specs, ASK_PERSON}
    return OutputContract(
        {
            "option_known": (
                "option",
                "is an option of the spec, or ask_person",
                lambda frame: frame["option"].isin(options).to_numpy(bool),
            ),
            "case_admitted": (
                CASE_ID,
                "is an admitted case of the night",
                lambda frame: frame[CASE_ID].isin(list(expected)).to_numpy(bool),
            ),
        },
        rows=len(expected),
    )


def embeddings_contract(spec: WorkflowSpec) -> Contract:
    """Vectors are finite and of unit length, or null."""
    kinds = ["text_vector"] * (spec.text is not None) + ["image_vector"] * (spec.image is not None)
    return OutputContract({f"{kind}_unit_length": _vector_rule(kind) for kind in kinds})


def _vector_rule(column: str) -> tuple[str, str, Test]:
    return column, "is finite and of unit length where there is one", lambda frame: _unit_or_null(frame[column])


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
