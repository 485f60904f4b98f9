"""The resources as Dagster gives them to assets, checks and sensors, by name; each is opened when one asks for it.

What they stand on is handed over whole and is no field of config: config stands readable in Dagster's UI, passwords
included, and whoever launches a run may set it to another lake or other keys for this run alone.
"""

# no `from __future__ import annotations`: Dagster reads from the annotation itself that a field is no config

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Generic, TypeVar

import dagster as dg

from pipeline_project.automation.checkpoints import Audit
from pipeline_project.automation.turns import night_of, refuse_out_of_order, workflows_of
from pipeline_project.container import compute, night
from pipeline_project.container.privacy import open_keyring, open_sealed_lake
from pipeline_project.domain.core.run_tags import times_killed
from pipeline_project.ports.compute import Compute
from pipeline_project.ports.contracts import Contracts
from pipeline_project.ports.keyring import Keyring
from pipeline_project.ports.lake import Lake, VectorStore
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import Promotions, Quality, Replays, RolloutMonitoring
from pipeline_project.ports.metering import Meter
from pipeline_project.ports.registry import Registry
from pipeline_project.ports.reports import NightChecker, Reports
from pipeline_project.ports.review import Reviews
from pipeline_project.ports.sources import Sources
from pipeline_project.settings import Settings

T = TypeVar("T")


class OverSettings(dg.ConfigurableResource[T], Generic[T]):
    """A resource that is opened by the settings alone."""

    settings: dg.ResourceDependency[Settings]

    @abstractmethod
    def open(self, settings: Settings) -> T:
        """What assets are given."""

    def create_resource(self, context: dg.InitResourceContext) -> T:
        return self.open(self.settings)


class SourcesResource(OverSettings[Sources]):
    """Files, tables and queries that cases, photos and outcomes come from."""

    def open(self, settings: Settings) -> Sources:
        return night.OpenedSources(settings)


class LakeResource(OverSettings[Lake]):
    """Delta tables by night."""

    def open(self, settings: Settings) -> Lake:
        return open_sealed_lake(settings)


class VectorsResource(OverSettings[VectorStore]):
    """Vectors by content, so that nothing is encoded twice."""

    def open(self, settings: Settings) -> VectorStore:
        return night.open_vectors(settings)


class LedgerResource(OverSettings[Ledger]):
    """Decisions, outcomes, champions and alerts, in PostgreSQL."""

    def open(self, settings: Settings) -> Ledger:
        return night.open_ledger(settings)


class ReviewsResource(OverSettings[Reviews]):
    """The clock of review tasks: leases, reminders, escalation, assignment."""

    def open(self, settings: Settings) -> Reviews:
        return night.open_reviews(settings)


class AuditResource(OverSettings[Audit]):
    """Signs the audit chain."""

    def open(self, settings: Settings) -> Audit:
        return night.open_audit(settings)


class CheckerResource(OverSettings[NightChecker]):
    """Counts a night again, sharing no code with what it checks."""

    def open(self, settings: Settings) -> NightChecker:
        return night.open_checker(settings)


class KeyringResource(OverSettings[Keyring]):
    """Keys by subject, which personal values are sealed with."""

    def open(self, settings: Settings) -> Keyring:
        return open_keyring(settings)


class RegistryResource(OverSettings[Registry]):
    """Model versions, in MLflow."""

    def open(self, settings: Settings) -> Registry:
        return night.open_registry(settings)


class PromotionsResource(OverSettings[Promotions]):
    """Challengers that ask to decide, and the signatures on them."""

    def open(self, settings: Settings) -> Promotions:
        return night.open_promotions(settings)


class ReplaysResource(OverSettings[Replays]):
    """What replays found, with a page each."""

    def open(self, settings: Settings) -> Replays:
        return night.open_replays(settings)


class QualityResource(OverSettings[Quality]):
    """Sketches of nights, and the signals made of them."""

    def open(self, settings: Settings) -> Quality:
        return night.open_quality(settings)


class RolloutMonitoringResource(OverSettings[RolloutMonitoring]):
    """Who scores a night: champion, shadow and canary; the watch, and the way back."""

    def open(self, settings: Settings) -> RolloutMonitoring:
        return night.open_rollout_monitoring(settings)


class EncodersResource(OverSettings[compute.ComputedEncoders]):
    """Text and image encoders, on the device of the settings, in this process or on a cluster.

    In a run that goes on with one whose process was killed for memory they compute batches of half the size.
    """

    def open(self, settings: Settings) -> compute.ComputedEncoders:
        return compute.ComputedEncoders(settings)

    def create_resource(self, context: dg.InitResourceContext) -> compute.ComputedEncoders:
        killed = 0 if context.run is None else times_killed(context.run.tags)
        return replace(super().create_resource(context), halvings=killed)


class ComputeResource(OverSettings[Compute]):
    """Where models are trained and nights replayed: in this process or on a cluster."""

    def open(self, settings: Settings) -> Compute:
        return compute.OpenedCompute(settings)


class ContractsResource(dg.ConfigurableResource[Contracts]):
    """Great Expectations suites built from the specs."""

    def create_resource(self, context: dg.InitResourceContext) -> Contracts:
        return night.OpenedContracts()


class MeterResource(OverSettings[Meter]):
    """What the steps of a run took of the machine."""

    def open(self, settings: Settings) -> Meter:
        return night.open_meter(settings)


class ReportsResource(OverSettings[Reports]):
    """The night reports' pages."""

    def open(self, settings: Settings) -> Reports:
        return night.open_reports(settings)


class LakeInTurn(dg.ConfigurableIOManagerFactory[dg.IOManager]):
    """One atomic replacement per night and asset in the lake, by one run of a workflow at a time.

    Every step of a workflow needs it, so through it a run takes its workflow's turn, until it ends: whoever launches a
    run, and however, the run opens its resources.
    """

    settings: dg.ResourceDependency[Settings]

    def create_io_manager(self, context: dg.InitResourceContext) -> dg.IOManager:
        return night.open_io_manager(self.settings)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[dg.IOManager]:
        run = context.run
        workflows = [] if run is None else workflows_of(run)
        if run is None or not workflows:
            yield self.create_io_manager(context)
            return

        def waiting(workflow: str, holder: str) -> None:
            (context.log or dg.get_dagster_logger()).info("%s waits: %s works on %s", run.run_id, holder, workflow)

        who = f"{' and '.join(workflows)} {night_of(run) or ''}"
        with night.open_turns(self.settings).taken(workflows, who, waiting):
            if context.instance is not None:
                refuse_out_of_order(context.instance, run)
            yield self.create_io_manager(context)


def build_resources(settings: Settings) -> dict[str, dg.ConfigurableResource | dg.ConfigurableIOManagerFactory]:
    """Every resource by the name under which assets ask for it."""
    return {
        "sources": SourcesResource(settings=settings),
        "lake": LakeResource(settings=settings),
        "vectors": VectorsResource(settings=settings),
        "ledger": LedgerResource(settings=settings),
        "reviews": ReviewsResource(settings=settings),
        "audit": AuditResource(settings=settings),
        "checker": CheckerResource(settings=settings),
        "keyring": KeyringResource(settings=settings),
        "registry": RegistryResource(settings=settings),
        "promotions": PromotionsResource(settings=settings),
        "replays": ReplaysResource(settings=settings),
        "quality": QualityResource(settings=settings),
        "live": RolloutMonitoringResource(settings=settings),
        "encoders": EncodersResource(settings=settings),
        "compute": ComputeResource(settings=settings),
        "contracts": ContractsResource(),
        "meter": MeterResource(settings=settings),
        "reports": ReportsResource(settings=settings),
        "io_manager": LakeInTurn(settings=settings),
    }
