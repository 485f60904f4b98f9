"""Estimators behind one contract; a further one is a class and a line in `ESTIMATORS`."""

from __future__ import annotations

from pipeline_project.domain.models.boosting import BoostedTrees
from pipeline_project.domain.models.contract import Estimator, EstimatorSettings
from pipeline_project.domain.models.fusion import FusionNetwork
from pipeline_project.domain.models.logistic import LogisticOnEmbeddings

ESTIMATORS: dict[str, type[Estimator]] = {
    "boosting": BoostedTrees,
    "logistic": LogisticOnEmbeddings,
    "fusion": FusionNetwork,
}

__all__ = ["ESTIMATORS", "BoostedTrees", "Estimator", "EstimatorSettings", "FusionNetwork", "LogisticOnEmbeddings"]
