"""New clusters that grow too fast, as a report tells of them: counted, never named."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_project.domain.clusters.newcomers import Novelty
from pipeline_project.domain.reporting import sentences as words
from pipeline_project.domain.vectors.modalities import MODALITIES


@dataclass(frozen=True)
class NewcomerLine:
    """One cluster that was reported this night, and the night's words for it."""

    cluster: str
    sentence: str


def newcomer_lines(novelties: tuple[Novelty, ...]) -> tuple[NewcomerLine, ...]:
    """A sentence for each, the least likely to be chance first."""
    ordered = sorted(novelties, key=lambda novelty: (novelty.chance, novelty.cluster))
    return tuple(NewcomerLine(novelty.cluster, _sentence(novelty)) for novelty in ordered)


def _sentence(novelty: Novelty) -> str:
    text = (
        f"{words.count(novelty.growth, 'recent case')} from {words.count(novelty.growth_accounts, 'account')} "
        f"are alike, of {words.count(novelty.members, 'case')} in the cluster"
    )
    alike = ((modality.alike, novelty.similarity.get(name)) for name, modality in MODALITIES.items())
    similarities = [f"{what} {value:.2f}" for what, value in alike if value is not None]
    text += f"; similarity of {' and '.join(similarities)}" if similarities else ""
    if novelty.shared_photos:
        text += f"; {words.count(novelty.shared_photos, 'photo')} sent by more than one account"
    chance = "less than 1 in 1,000" if novelty.chance < 0.001 else f"{novelty.chance:.1%}"
    return f"{text}. An ordinary new cluster grows so with a chance of {chance}."
