"""What the champion makes of a night: features as known when it began, then probabilities with reasons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.features.building import FeatureTable
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.models.training import TrainedModel
from pipeline_project.domain.vectors.modalities import file_modalities


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
    failed: dict[str, str] = {}
    if embeddings is not None:
        for modality in reversed(file_modalities()):
            problems = zip(
                embeddings[CASE_ID].to_pylist(), embeddings[modality.problem_column].to_pylist(), strict=True
            )
            failed |= {case: modality.failure.value for case, problem in problems if problem}
    return [failed.get(case, problem) for case, problem in zip(cases[CASE_ID].to_pylist(), unusual, strict=True)]
