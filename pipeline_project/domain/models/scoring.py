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
    decidable = [problem is None for problem in problems]
    kept = prediction.probabilities[decidable]
    columns = {
        NIGHT: pa.array([night] * len(ids), pa.string()),
        CASE_ID: pa.array(ids, pa.string()),
        "probabilities": _where(
            decidable, _lists(kept / kept.sum(axis=1, keepdims=True), SCORES.field("probabilities").type)
        ),
        "confidence": _where(decidable, pa.array(kept.max(axis=1, initial=0.0), pa.float64())),
        "reasons": pa.array(prediction.reasons, SCORES.field("reasons").type),
        "problem": pa.array(problems, pa.string()),
        "model_version": pa.array([version.version] * len(ids), SCORES.field("model_version").type),
        "model_night": pa.array([version.night] * len(ids), SCORES.field("model_night").type),
    }
    return pa.table(columns, schema=SCORES)


def _lists(rows: np.ndarray, kind: pa.ListType) -> pa.Array:
    """Rows of numbers as Arrow's lists, without a Python object for each number."""
    ends = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(rows.ravel()).cast(kind.value_type), type=kind)


def _where(decidable: list[bool], values: pa.Array) -> pa.Array:
    """The values at the rows that have one, null elsewhere."""
    place = np.cumsum(decidable, dtype=np.int64) - 1
    lacking = ~np.asarray(decidable, dtype=bool)
    return values.take(pa.array(np.where(lacking, 0, place), pa.int64(), mask=lacking))


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
