"""The planted ring is reported on the night on which its cases become a cluster, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from pipeline_project.domain.clusters.clustering import night_groups
from pipeline_project.domain.clusters.lineage import cluster_events
from pipeline_project.domain.clusters.newcomers import ClusterWindow, novelties
from pipeline_project.domain.clusters.similarity import vectors_of
from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.vectors.modalities import PhotoModality
from pipeline_project.ports.encoders import FileEncoder, TextEncoder
from pipeline_project.sample.claims import Claim, claims_of
from pipeline_project.sample.shots import photos_of
from pipeline_project.sample.words import write_message
from pipeline_project.services.embedding import embed_files, embed_inline, embeddings_table
from resources.encoders import image_encoder, text_encoder

SEED, PER_NIGHT, FIRST, NIGHTS = 7, 100, date(2025, 2, 5), 3


class Album:
    """Photos by name, and vectors by content."""

    def __init__(self) -> None:
        self.photos: dict[str, bytes] = {}
        self.vectors: dict[str, np.ndarray] = {}

    def read(self, path: str) -> bytes:
        return self.photos[path]

    def stamp(self, paths: Iterable[str]) -> str:
        return repr(sorted(set(paths)))

    def get(self, encoder: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        return {key: self.vectors[key] for key in keys if key in self.vectors}

    def put(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None:
        self.vectors.update(vectors)


def embedded(
    night: str, claims: tuple[Claim, ...], album: Album, words: TextEncoder, shots_of: FileEncoder
) -> pa.Table:
    photos = [photos_of(claim) for claim in claims]
    album.photos = {name: content for shots in photos for name, content in shots}
    texts = embed_inline([write_message(claim) for claim in claims], words, album)
    paths = [[name for name, _ in shots] for shots in photos]
    images = embed_files(PhotoModality(), paths, album, shots_of, album)
    return embeddings_table(night, [claim.claim_id for claim in claims], {"text": texts, "image": images})


def test_a_ring_is_reported_the_night_it_appears() -> None:
    subjects: dict[str, str] = {}
    album, rings = Album(), set()
    encoders = text_encoder("all-minilm-l6-v2"), image_encoder("photo-statistics-v1")
    embeddings: list[pa.Table] = []
    clusters: list[pa.Table] = []
    events: list[pa.Table] = []
    before: pa.Table | None = None
    ring_appears: list[str] = []
    reported: list[tuple[str, set[str]]] = []
    for day in range(NIGHTS):
        night = (FIRST + timedelta(days=day)).isoformat()
        claims = claims_of(SEED, PER_NIGHT, FIRST + timedelta(days=day))
        subjects |= {claim.claim_id: claim.customer.customer_id for claim in claims}
        rings |= {claim.claim_id for claim in claims if claim.ring}
        embeddings.append(embedded(night, claims, album, *encoders))
        window = pa.concat_tables(embeddings)
        found = night_groups(night, window, subjects, pa.concat_tables(clusters) if clusters else None, ClusterTerms())
        held: dict[str, set[str]] = {}
        for case, name in zip(found.members["case_id"].to_pylist(), found.members["cluster"].to_pylist(), strict=True):
            held.setdefault(name, set()).add(case)
        if not ring_appears and any(len(cases & rings) > len(cases) / 2 for cases in held.values()):
            ring_appears.append(night)
        happened = cluster_events(night, found.members, before, subjects, ClusterTerms().window_nights)
        vectors = vectors_of(window, found.members["case_id"].to_pylist())
        earlier = pa.concat_tables(events) if events else None
        in_window = ClusterWindow(found.members, vectors, subjects)
        new, rows = novelties(night, happened, in_window, earlier, ClusterTerms())
        reported += [(night, held[novelty.cluster]) for novelty in new]
        clusters.append(found.clusters)
        events.append(rows)
        before = found.members
    assert ring_appears
    assert [night for night, _ in reported] == ring_appears
    assert reported[0][1] <= rings
