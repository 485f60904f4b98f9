"""A night as models see it: read once, scored by as many of them as there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import dagster as dg
import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import ModelUnavailable, PipelineError
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.features.building import FeatureTable, build_features
from pipeline_project.domain.lifecycle.rollout.stages import NightModels, StageKind, chosen
from pipeline_project.domain.models.scoring import score_features
from pipeline_project.domain.models.training import TrainedModel
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.registry import Registry
from pipeline_project.services.aggregating import tonights
from pipeline_project.services.as_of import clusters_until, past_of, written
from pipeline_project.spec import WorkflowSpec


@dataclass(frozen=True)
class NightScorer:
    """One night of one workflow; its features are built when a model first asks.

    Attributes:
        device: where models score it.
    """

    spec: WorkflowSpec
    lake: Lake
    ledger: Ledger
    registry: Registry
    night: NightWindow
    device: str = CPU

    @cached_property
    def cases(self) -> pa.Table:
        return written(self.lake, self.spec, "cases", self.night.night)

    @property
    def ids(self) -> list[str]:
        case_ids: list[str] = self.cases[CASE_ID].to_pylist()
        return case_ids

    @cached_property
    def _embeddings(self) -> pa.Table | None:
        return written(self.lake, self.spec, "embeddings", self.night.night) if self.spec.encodes else None

    @cached_property
    def _features(self) -> FeatureTable:
        return build_features(
            self.cases,
            self.spec.feature_plan,
            past_of(self.spec, self.lake, self.ledger, self.night),
            {self.night.night: self.night.start},
            self._embeddings,
            clusters_until(self.spec, self.lake, self.night),
            tonights(self.spec, self.lake, self.night.night),
        )

    def by(self, version: ModelVersion, which: np.ndarray | None = None) -> pa.Table:
        """What a version makes of the night, or of the cases of a mask, as `decisions.SCORES`.

        Raises:
            ModelUnavailable: it cannot be loaded, or is for other labels or fields than the night's.
        """
        model = TrainedModel.from_files(self.registry.load(version), self.device)
        if model.labels != self.spec.labels:
            raise ModelUnavailable("it was trained for other labels than the spec has now; train a model for them")
        features = self._features if which is None else self._features.select(which)
        return score_features(self.night.night, features, self._embeddings, model, version)


def canary_share(models: NightModels, workflow: str, case_ids: Sequence[str]) -> np.ndarray:
    """The cases that the challenger decides on a night, as a mask."""
    if models.challenger is None or models.stage.kind != StageKind.CANARY:
        return np.zeros(len(case_ids), dtype=bool)
    return chosen(workflow, models.challenger.version, case_ids, models.stage.share)


def merged(case_ids: Sequence[str], *tables: pa.Table) -> pa.Table:
    """Rows of several tables in the order of the cases; of a case in several of them the last table's row counts."""
    together = pa.concat_tables(tables)
    row_of = {case: i for i, case in enumerate(together[CASE_ID].to_pylist())}
    return together.take(pa.array([row_of[case] for case in case_ids], pa.int64()))


def challenged(
    context: dg.AssetExecutionContext, tonight: NightScorer, challenger: ModelVersion, which: np.ndarray
) -> pa.Table | None:
    """What a challenger makes of some cases; None, with an alert, where it cannot: it never harms the night."""
    spec, alert = tonight.spec, f"challenger/{challenger.version}"
    try:
        table = tonight.by(challenger, which)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the champion decides and people hear of it
        message = str(error) if isinstance(error, PipelineError) else type(error).__name__
        context.log.error("challenger %s cannot be used: %s; the champion decides", challenger.version, message)
        tonight.ledger.raise_alert(
            spec.name,
            "challenger_unavailable",
            alert,
            f"version {challenger.version}, which is being rolled out, cannot be used: {message}",
            spec.owners[0],
            f"pipeline rollback {spec.name} --reason 'version {challenger.version} cannot be used'",
        )
        return None
    tonight.ledger.close_alert(spec.name, alert)
    return table
