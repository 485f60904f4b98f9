"""Opens what nights, commands and sensors stand on, by the settings alone: one function per kind of outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from pipeline_project.container.privacy import open_sealed_lake
from pipeline_project.domain.core.errors import LakeSchemaChanged
from pipeline_project.domain.core.nights import NightWindow, shifted
from pipeline_project.domain.intake.landing import Overlooked
from pipeline_project.domain.vectors.modalities import (
    EncoderTerms,
    FileModality,
    InlineModality,
    Modality,
    TextTerms,
    file_modalities,
)
from pipeline_project.ports.contracts import CasesContract, Contract
from pipeline_project.ports.encoders import FileEncoder, TextEncoder
from pipeline_project.ports.sources import CaseSource, LookupSource, OutcomeSource, PhotoSource
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec

if TYPE_CHECKING:
    from pipeline_project.ports.reports import NightChecker
    from resources.lake.io_manager import LakeIOManager
    from resources.lake.vectors import LakeVectorStore
    from resources.ledger.audit.checkpoints import Checkpoints
    from resources.ledger.drift.store import PostgresQuality
    from resources.ledger.models.proposals import PostgresPromotions
    from resources.ledger.nights.ledger import PostgresLedger
    from resources.ledger.replays.store import PostgresReplays
    from resources.ledger.review.clock import ReviewClock
    from resources.ledger.rollout.store import PostgresRolloutMonitoring
    from resources.ledger.turns import Turns
    from resources.metering import RunMeter
    from resources.postgres.databases import Databases
    from resources.registry.registry import MlflowRegistry
    from resources.reports.pages import ReportFolder


@dataclass(frozen=True)
class OpenedSources:
    """Opens the sources that a spec names, together with what was posted for its workflow."""

    settings: Settings

    def cases(self, spec: WorkflowSpec) -> CaseSource:
        from pipeline_project.container.inbound import LazyPosted
        from resources.sources import everything_landed
        from resources.sources.posted import InboundCases

        return InboundCases(spec, everything_landed(spec, self.settings), LazyPosted(self.settings))

    def outcomes(self, spec: WorkflowSpec) -> OutcomeSource:
        from pipeline_project.container.inbound import LazyPosted
        from resources.sources import outcome_source
        from resources.sources.posted import InboundOutcomes

        declared = outcome_source(spec, self.settings, cases=self.cases(spec))
        return InboundOutcomes(spec, declared, LazyPosted(self.settings))

    def photos(self, spec: WorkflowSpec) -> PhotoSource:
        from resources.sources import photo_source

        return photo_source(spec, self.settings)

    def lookups(self, spec: WorkflowSpec) -> LookupSource:
        from resources.sources import lookup_source

        return lookup_source(spec, self.settings)

    def series(self, spec: WorkflowSpec, name: str, window: NightWindow) -> pa.Table:
        from resources.sources.places import environment
        from resources.sources.series import series_rows

        return series_rows(spec, name, window, environment(self.settings, None))

    def photo_stamp(self, spec: WorkflowSpec, night: str) -> str | None:
        """What lies there now of the photos that a night's cases name; None where there are no such cases.

        Costs a look at each photo of that night.
        """
        from resources.lake.lake import DeltaLake

        named = [modality for modality in file_modalities() if modality.name in spec.encoders]
        names = [field.name for modality in named for field in spec.case_schema.of_type(modality.field_type)]
        try:
            cases = DeltaLake(self.settings.lake_url).read_span(spec.name, "cases", night, shifted(night, 1), names)
        except LakeSchemaChanged:
            # the photos were declared after these cases came in
            return None
        if not cases:
            return None
        every = (modality.paths(cases, spec.case_schema) for modality in named)
        return self.photos(spec).stamp(path for per_case in every for paths in per_case for path in paths)

    def overlooked(self, spec: WorkflowSpec, night: str | None = None) -> list[Overlooked]:
        from resources.sources.overlooked import overlooked
        from resources.sources.places import environment

        return overlooked(spec, self.settings, environment(self.settings, None), night)


@dataclass(frozen=True)
class OpenedEncoders:
    """The encoders that a spec names, on the device of the settings; weights are loaded once per process.

    Attributes:
        kept: where engines keep their graphs and what comparisons of their vectors came to; None keeps nothing.
        halvings: how often batches are halved.
    """

    device: str
    kept: Path | None = None
    halvings: int = 0

    def inline(self, spec: WorkflowSpec, modality: InlineModality) -> TextEncoder:
        return cast(TextEncoder, self._of(spec, modality))

    def files(self, spec: WorkflowSpec, modality: FileModality) -> FileEncoder:
        return cast(FileEncoder, self._of(spec, modality))

    def version(self, spec: WorkflowSpec, modality: Modality) -> str:
        return self._of(spec, modality).version

    def _of(self, spec: WorkflowSpec, modality: Modality) -> TextEncoder | FileEncoder:
        if modality.name not in spec.encoders:
            raise ValueError(f"{spec.name} declares no `{modality.name}`")
        terms = spec.encoders[modality.name].halved(self.halvings)
        return _encoder(modality.name, terms, self.device, spec.folder, self.kept)


def default_text_encoder(device: str) -> TextEncoder:
    """The text encoder of a workflow that names none."""
    from resources.encoders import encoder_of

    return cast(TextEncoder, encoder_of("text", TextTerms(), device))


@lru_cache(maxsize=8)
def _encoder(
    modality: str, terms: EncoderTerms, device: str, base: Path, kept: Path | None
) -> TextEncoder | FileEncoder:
    from resources.encoders import encoder_of

    return encoder_of(modality, terms, device, base, kept)


class OpenedContracts:
    """The contracts that a spec declares, and those over what the pipeline itself writes."""

    def cases(self, spec: WorkflowSpec) -> CasesContract:
        from resources.contracts.arrivals import cases_contract

        return cases_contract(spec)

    def scores(self, spec: WorkflowSpec) -> Contract:
        from resources.contracts.outputs import scores_contract

        return scores_contract(spec)

    def decisions(self, spec: WorkflowSpec, cases: Sequence[str]) -> Contract:
        from resources.contracts.outputs import decisions_contract

        return decisions_contract(spec, cases)

    def embeddings(self, spec: WorkflowSpec) -> Contract:
        from resources.contracts.outputs import embeddings_contract

        return embeddings_contract(spec)


@lru_cache(maxsize=4)
def databases_of(settings: Settings) -> Databases:
    """The databases of these settings, looked for once."""
    from resources.postgres.databases import databases

    return databases(settings)


def ledger_url(settings: Settings) -> str:
    """The ledger's URL for the Dagster side, whose role may add facts and never change one."""
    from resources.ledger.roles import NIGHTS
    from resources.postgres.databases import url_as

    return url_as(databases_of(settings).ledger_url, NIGHTS)


def open_ledger(settings: Settings) -> PostgresLedger:
    """The ledger of these settings."""
    from resources.ledger.nights.ledger import PostgresLedger

    return PostgresLedger(ledger_url(settings))


def open_reviews(settings: Settings) -> ReviewClock:
    """The clock of review tasks, which hands waiting ones to the reviewers there are."""
    from resources.ledger.people.accounts import PostgresPeople
    from resources.ledger.review.clock import ReviewClock

    url = ledger_url(settings)
    return ReviewClock(url, PostgresPeople(url).reviewers)


def open_audit(settings: Settings) -> Checkpoints:
    """What signs the audit chain."""
    from resources.ledger.audit.checkpoints import Checkpoints

    return Checkpoints(ledger_url(settings), settings.checkpoints, settings.keys)


def open_checker(settings: Settings) -> NightChecker:
    """The independent checker over one night."""
    from pipeline_project.operations.reconciliation import LinesNightChecker

    return LinesNightChecker(settings)


def open_promotions(settings: Settings) -> PostgresPromotions:
    """Challengers that ask to decide, and the signatures on them."""
    from resources.ledger.models.proposals import PostgresPromotions

    return PostgresPromotions(ledger_url(settings))


def open_replays(settings: Settings) -> PostgresReplays:
    """What replays found, with a page each."""
    from resources.ledger.replays.store import PostgresReplays

    return PostgresReplays(ledger_url(settings), settings.reports, settings.reports_url, settings.desk_url)


def open_quality(settings: Settings) -> PostgresQuality:
    """Sketches of nights, the signals made of them, and the trainings they ask for."""
    from resources.ledger.drift.store import PostgresQuality

    return PostgresQuality(ledger_url(settings))


def open_rollout_monitoring(settings: Settings) -> PostgresRolloutMonitoring:
    """Who scores a night, and the watch over who decides."""
    from resources.ledger.rollout.store import PostgresRolloutMonitoring

    return PostgresRolloutMonitoring(ledger_url(settings))


def open_registry(settings: Settings) -> MlflowRegistry:
    """The model registry of these settings."""
    from resources.registry.registry import MlflowRegistry

    return MlflowRegistry(databases_of(settings).mlflow_url, settings.models, settings.keys)


def open_reports(settings: Settings) -> ReportFolder:
    """Where the pages of the nights go."""
    from resources.reports.pages import ReportFolder

    return ReportFolder(settings.reports, settings.reports_url)


@lru_cache(maxsize=4)
def open_vectors(settings: Settings) -> LakeVectorStore:
    """The store of vectors of these settings; it remembers from run to run which keys are stored."""
    from resources.lake.vectors import LakeVectorStore

    return LakeVectorStore(settings.lake_url)


def open_turns(settings: Settings) -> Turns:
    """The turns of the workflows of these settings; taking one needs no role."""
    from resources.ledger.turns import Turns

    return Turns(databases_of(settings).ledger_url)


def open_io_manager(settings: Settings) -> LakeIOManager:
    """What keeps the output of a step, and reads it for the next."""
    from resources.lake.io_manager import LakeIOManager

    return LakeIOManager(open_sealed_lake(settings), open_meter(settings))


def open_meter(settings: Settings) -> RunMeter:
    """What the steps of this process take."""
    from resources.metering import METER, RunMeter

    return RunMeter(METER, settings.device)
