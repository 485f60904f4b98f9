"""Which cases are alike, and which new group of them is reported: as a workflow's spec declares it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from pipeline_project.domain.core.quantities import Portion


@dataclass(frozen=True)
class ClusterTerms:
    """Which cases are alike, over a window of nights."""

    window_nights: Annotated[int, Field(ge=1, description="Nights looked back, this one included.")] = 14
    minimum_size: Annotated[int, Field(ge=2, description="Fewest members of a cluster.")] = 8
    dimensions: Annotated[int, Field(ge=2, description="Vectors are reduced to this many before clustering.")] = 50
    fit_limit: Annotated[int, Field(ge=100, description="Above it the clusters are fitted on a sample.")] = 200_000
    alarm_members: Annotated[
        int,
        Field(ge=2, description="A new cluster is reported from so many latest cases that are alike across accounts."),
    ] = 5
    alarm_accounts: Annotated[int, Field(ge=2, description="They must be of so many accounts.")] = 4
    alarm_nights: Annotated[
        int, Field(ge=1, description="Latest means so many nights; a cluster is new for as many.")
    ] = 7
    alarm_similarity: Annotated[
        float, Field(gt=0, le=1, description="Cosine from which two cases are alike, words and photos together.")
    ] = 0.9
    alarm_chance: Annotated[
        Portion,
        Field(
            gt=0, lt=1, description="Ordinary new clusters, as the earlier ones were, grow so with at most this chance."
        ),
    ] = 0.1
