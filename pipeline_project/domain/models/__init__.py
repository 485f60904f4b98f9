"""Estimators, their calibration, training and its guards, and what a model says of a night.

Whether a model may decide belongs to lifecycle. An estimator is one class in one file, named in the registry here.
"""

from __future__ import annotations

from pipeline_project.domain.models.boosting import BoostedTrees
from pipeline_project.domain.models.estimator import Estimator, EstimatorSettings
from pipeline_project.domain.models.fusion import FusionNetwork
from pipeline_project.domain.models.logistic import LogisticOnEmbeddings

#: By the names that a spec uses; the first is the one that a spec gets without asking.
ESTIMATORS: dict[str, type[Estimator]] = {
    "boosting": BoostedTrees,
    "logistic": LogisticOnEmbeddings,
    "fusion": FusionNetwork,
}

__all__ = ["ESTIMATORS", "BoostedTrees", "Estimator", "EstimatorSettings", "FusionNetwork", "LogisticOnEmbeddings"]
