"""`python -m benchmarks.clusters`: whether planted groups are found, who of their members is left alone, how long.

Vectors of 384 numbers in groups of very different sizes, a tenth of them scattered; and, where their folder is given
(`--tickets`), the training part of Banking77, whose categories are known. Its test part is not looked at.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.tables import machine, percent, table
from pipeline_project.domain.clusters.clustering import cluster
from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.vectors.joint import centred, reduced
from pipeline_project.domain.vectors.stored import unit

SIZES, SEEDS = (10_000, 30_000), (0, 1)
#: scikit-learn's visits every pair: above, it takes too long.
PAIRS = 10_000
GROUPS = 40
DIMENSION = 384
COLUMNS = ["vectors", "largest group", "found", "planted", "ARI of members", "members alone", "seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clusters", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="vectors, as 10000,50000 (%(default)s)")
    parser.add_argument("--tickets", type=Path, help="a CSV file with `text` and `category`")
    given = parser.parse_args()
    print(f"{machine()}.\n")
    sizes = [int(size) for size in given.sizes.split(",")]
    print(table("Planted groups", COLUMNS, list(planted_rows(sizes))), flush=True)
    if given.tickets:
        print(table("Real tickets, by category", ["tickets", *TICKET_COLUMNS], [ticket_row(given.tickets)]), flush=True)


def planted_rows(sizes: list[int]) -> Iterator[list[Any]]:
    for size in sizes:
        for seed in SEEDS:
            vectors, truth = planted(size, seed)
            ids = [f"k{number:07d}" for number in range(size)]
            yield [
                f"{size:,}, seed {seed}",
                *_row(truth, *_timed(lambda v, i: cluster(v, i, ClusterTerms()), vectors, ids)),
            ]
            if size <= PAIRS:
                yield [f"{size:,}, seed {seed}: scikit-learn", *_row(truth, *_timed(_hdbscan, vectors, ids))]


def planted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors, shape (count, 384), and the group of each; -1 is scattered."""
    rng = np.random.default_rng(seed)
    shares = rng.pareto(1.0, size=GROUPS) + 0.05
    truth = rng.choice(GROUPS, size=count, p=shares / shares.sum())
    truth[: count // 10] = -1
    vectors = rng.normal(size=(count, DIMENSION)).astype(np.float32)
    centres = unit(rng.normal(size=(GROUPS, DIMENSION)).astype(np.float32))
    vectors[truth >= 0] = centres[truth[truth >= 0]] + 0.05 * vectors[truth >= 0]
    return unit(vectors), truth


def _hdbscan(vectors: np.ndarray, ids: list[str]) -> np.ndarray:
    from sklearn.cluster import HDBSCAN

    terms = ClusterTerms()
    short = reduced(vectors, np.ones(len(vectors), bool), terms.dimensions)
    return np.asarray(HDBSCAN(min_cluster_size=terms.minimum_size, copy=True).fit_predict(short))


def _timed(find: Any, vectors: np.ndarray, ids: list[str]) -> tuple[np.ndarray, float]:
    began = time.perf_counter()
    return find(vectors, ids), time.perf_counter() - began


def _row(truth: np.ndarray, labels: np.ndarray, seconds: float) -> list[Any]:
    sizes = np.bincount(truth[truth >= 0], minlength=GROUPS)
    groups = np.flatnonzero(sizes >= ClusterTerms().minimum_size)
    members = np.isin(truth, groups)
    agreement = float(adjusted_rand_score(truth[members], labels[members]))
    alone = percent(float((labels[members] < 0).mean()))
    return [int(sizes.max()), int(labels.max()) + 1, len(groups), agreement, alone, seconds]


TICKET_COLUMNS = ["clusters", "in one", "of their cluster's category", "ARI of all", "seconds"]


def ticket_row(file: Path) -> list[Any]:
    """How pure clusters of real tickets are, by the encoder that workflows use where they name none."""
    from pipeline_project.container.night import default_text_encoder

    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    vectors = np.asarray(default_text_encoder("cpu").encode([row["text"] for row in rows]))
    both = centred(vectors, np.zeros((len(rows), 0), np.float32))
    ids = [f"k{number:07d}" for number in range(len(rows))]
    labels, seconds = _timed(lambda v, i: cluster(v, i, ClusterTerms()), both, ids)
    categories = np.array([row["category"] for row in rows])
    common = sum(
        int(np.unique(categories[labels == label], return_counts=True)[1].max()) for label in range(labels.max() + 1)
    )
    grouped = int((labels >= 0).sum())
    pure = percent(common / max(1, grouped))
    return [
        f"{len(rows):,}",
        int(labels.max()) + 1,
        percent(grouped / len(rows)),
        pure,
        float(adjusted_rand_score(categories, labels)),
        seconds,
    ]


if __name__ == "__main__":
    main()
