"""What the champion makes of a night: features as known when it began, then probabilities with reasons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, CaseSchema, FieldType
from pipeline_project.domain.features.building import FeatureTable
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.models.training import TrainedModel


def texts_of(cases: pa.Table, schema: CaseSchema) -> list[str | None]:
    """The words of each case: its text fields in the spec's order, one after the other; None when all are empty."""
    columns = [cases[field.name].to_pylist() for field in schema.of_type(FieldType.TEXT)]
    return ["\n".join(filter(None, parts)) or None for parts in zip(*columns, strict=True)]


def photos_of(cases: pa.Table, schema: CaseSchema) -> list[list[str]]:
    """The photos of each case, of all image fields together."""
    columns = [cases[field.name].to_pylist() for field in schema.of_type(FieldType.IMAGE)]
    return [[path for paths in row for path in paths or ()] for row in zip(*columns, strict=True)]


def score_features(
    night: str, features: FeatureTable, embeddings: pa.Table | None, model: TrainedModel, version: ModelVersion
) -> pa.Table:
    """Scores as `scores.SCORES`, one row per row of `features`, in their order.

    A case whose photos could not be read, or that is unlike anything the model knows, gets no probabilities and says
    why.

    Args:
        version: who `model` is; stamped on every row.

    Raises:
        ModelUnavailable: they lack a feature that the model was trained on.
    """
    ids: list[str] = features.case_ids.tolist()
    prediction = model.predict(features)
    problems = problems_of(pa.table({CASE_ID: pa.array(ids, pa.string())}), embeddings, prediction.problems)
    rows = [
        {
            NIGHT: night,
            CASE_ID: case,
            "probabilities": None if problem else summing_to_one(probabilities),
            "confidence": None if problem else float(probabilities.max()),
            "reasons": list(reasons),
            "problem": problem,
            "model_version": version.version,
            "model_night": version.night,
        }
        for case, probabilities, reasons, problem in zip(
            ids, prediction.probabilities, prediction.reasons, problems, strict=True
        )
    ]
    return pa.Table.from_pylist(rows, schema=SCORES)


def summing_to_one(probabilities: np.ndarray) -> list[float]:
    return (probabilities / probabilities.sum()).tolist()


def problems_of(cases: pa.Table, embeddings: pa.Table | None, unusual: Sequence[str | None]) -> list[str | None]:
    """Why each case may not be decided by the model, or None; a photo that failed comes first."""
    failed: set[str] = set()
    if embeddings is not None:
        failed = {
            case
            for case, problem in zip(
                embeddings[CASE_ID].to_pylist(), embeddings["image_problem"].to_pylist(), strict=True
            )
            if problem
        }
    return [
        Reason.FAILED_PHOTO.value if case in failed else problem
        for case, problem in zip(cases[CASE_ID].to_pylist(), unusual, strict=True)
    ]
