"""Which calls of a night are its numerical work; the product knows nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: In the order of a night.
CALLS = ("rows typed and admitted", "contracts", "texts encoded", "photos encoded", "clusters", "scores", "training")
#: Those of encoders, by the modality that they encode.
ENCODED = {"texts encoded": "text", "photos encoded": "image"}


def numerical() -> Iterator[tuple[str, Any, str]]:
    """Kind, owner and name of every call; none of them calls another, so what they take may be added up."""
    from assets import clustering, ingestion
    from pipeline_project.domain.models.training import TrainedModel
    from pipeline_project.services import candidates
    from resources.contracts.arrivals import GxContract
    from resources.contracts.outputs import OutputContract
    from resources.encoders import MiniLmTextEncoder, PhotoStatisticsEncoder

    yield from (("rows typed and admitted", ingestion, name) for name in ("read_rows", "admit"))
    yield from (("contracts", contract, "validate") for contract in (GxContract, OutputContract))
    yield "texts encoded", MiniLmTextEncoder, "encode"
    yield "photos encoded", PhotoStatisticsEncoder, "encode"
    yield "clusters", clustering, "night_groups"
    yield "scores", TrainedModel, "predict"
    yield "training", candidates, "train"
