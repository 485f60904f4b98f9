"""Where heavy work is done, as the settings and each spec say; nothing of Ray is imported before a job goes there."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from pipeline_project.container.night import OpenedEncoders, open_vectors
from pipeline_project.domain.core.compute import ComputeTerms
from pipeline_project.domain.core.variables import VARIABLE, holds_password
from pipeline_project.domain.vectors.modalities import FileModality, InlineModality, Modality
from pipeline_project.ports.compute import Workers
from pipeline_project.ports.encoders import FileEncoder, TextEncoder
from pipeline_project.services.in_turn import InTurn
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec

if TYPE_CHECKING:
    from pipeline_project.ports.sources import PhotoSource
    from resources.compute.driver import RayDriver
    from resources.compute.jobs import Encoding

#: Parts into which work is cut where the spec does not say for how many there is room.
_USUAL_PARTS = 8


def compute_terms(spec: WorkflowSpec, settings: Settings) -> ComputeTerms:
    """What the spec says of it, and where it says nothing the settings."""
    return spec.compute.over(settings.compute)


@dataclass(frozen=True)
class OpenedCompute:
    """Where the heavy work of a workflow is done, by the settings."""

    settings: Settings

    def on_cluster(self, spec: WorkflowSpec) -> bool:
        """As `Compute.on_cluster`."""
        return compute_terms(spec, self.settings).on_ray

    def workers(self, spec: WorkflowSpec) -> Workers:
        """As `Compute.workers`."""
        terms = compute_terms(spec, self.settings)
        if not terms.on_ray:
            return InTurn()
        from resources.compute.driver import RayWorkers

        return RayWorkers(_driver(terms), terms.actors or _USUAL_PARTS, self.settings.device.startswith("cuda"))


@dataclass(frozen=True)
class ComputedEncoders:
    """The encoders that a spec names, working where its heavy work is done.

    Attributes:
        halvings: how often batches are halved in this process; a cluster halves its own.
    """

    settings: Settings
    halvings: int = 0

    def inline(self, spec: WorkflowSpec, modality: InlineModality) -> TextEncoder:
        local, terms = self._local.inline(spec, modality), compute_terms(spec, self.settings)
        if not terms.on_ray:
            return local
        from resources.compute.encoders import RayTextEncoder

        return RayTextEncoder(local, self._encoding(spec, modality, local, terms), _driver(terms))

    def files(self, spec: WorkflowSpec, modality: FileModality) -> FileEncoder:
        local, terms = self._local.files(spec, modality), compute_terms(spec, self.settings)
        if not terms.on_ray:
            return local
        from resources.compute.encoders import RayFileEncoder

        bare = _without_passwords(self.settings)
        return RayFileEncoder(
            local,
            self._encoding(spec, modality, local, terms),
            _driver(terms),
            source=partial(_photos, spec, bare, _named(spec)),
            store=partial(open_vectors, bare),
        )

    def version(self, spec: WorkflowSpec, modality: Modality) -> str:
        return self._local.version(spec, modality)

    @property
    def _local(self) -> OpenedEncoders:
        return OpenedEncoders(self.settings.device, self.settings.engines_folder, self.halvings)

    def _encoding(
        self, spec: WorkflowSpec, modality: Modality, local: TextEncoder | FileEncoder, terms: ComputeTerms
    ) -> Encoding:
        from resources.compute.jobs import Encoding
        from resources.encoders import encoder_of

        device = str(getattr(local, "device", "cpu"))
        on_gpu = device.startswith("cuda")
        # Ray shows each actor one GPU, which is the first it sees
        given = (modality.name, spec.encoders[modality.name], "cuda" if on_gpu else device, spec.folder)
        make = partial(encoder_of, *given, self.settings.engines_folder)
        return Encoding(make, local.version, on_gpu, terms.actors, terms.batch)


@lru_cache(maxsize=4)
def _driver_at(address: str, patience: float) -> RayDriver:
    from resources.compute.driver import RayDriver

    return RayDriver(address, patience)


def _driver(terms: ComputeTerms) -> RayDriver:
    """One for each cluster and process: the next job finds it connected."""
    return _driver_at(terms.address or "auto", terms.patience)


def _photos(spec: WorkflowSpec, settings: Settings, variables: dict[str, str]) -> PhotoSource:
    from resources.sources import photo_source

    return photo_source(spec, settings, variables)


def _without_passwords(settings: Settings) -> Settings:
    """What a worker needs to find files and lake; the ledger is none of its business."""
    house = None if settings.house is None else replace(settings.house, postgres_url=None)
    return replace(settings, postgres_url=None, house=house)


def _named(spec: WorkflowSpec) -> dict[str, str]:
    """The variables of this process by which the spec says where its files are."""
    names = {match["name"] for match in VARIABLE.finditer(spec.source.model_dump_json())}
    given = {name: os.environ[name] for name in names if name in os.environ}
    return {name: value for name, value in given.items() if not holds_password(value)}
