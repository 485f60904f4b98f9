"""`python -m benchmarks.clusters`: whether planted groups are found, who of their members is left alone, how long.

Vectors of 384 numbers in groups of very different sizes, a tenth of them scattered; and, where their folder is given
(`--tickets`), the training part of Banking77, whose categories are known. Its test part is not looked at.

Beside the product, each in a process of its own: scikit-learn's HDBSCAN, up to `--pairs` vectors because it visits
every pair; and UMAP with HDBSCAN, set up as UMAP's page on clustering says and warmed up on 5,000 vectors, where
`--umap` names a folder that it was installed into: `pip install --no-deps --target FOLDER umap-learn pynndescent numba
llvmlite`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.tables import head, line, machine, percent, table
from pipeline_project.domain.clusters.clustering import cluster
from pipeline_project.domain.clusters.nearest import COMPARED, nearest
from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.vectors.joint import centred, reduced
from pipeline_project.domain.vectors.stored import unit

SIZES, SEEDS = (10_000, 50_000), (0, 1)
PAIRS = 10_000
GROUPS = 40
DIMENSION = 384
#: Below some 4,000 vectors UMAP takes another way, whose compilation would spare nothing.
WARM_UP = {"UMAP + HDBSCAN": 5_000}
ASKED = 1_000
COLUMNS = [
    "vectors", "by", "largest group", "planted", "found", "ARI of members", "members alone", "scattered in a group",
    "seconds", "processor s", "peak GB", "times the product's seconds", "and processor seconds",
]  # fmt: skip
RECALL_COLUMNS = ["vectors", "compared with", "of the 4 nearest", "of the 32 nearest", "distance to the 4th"]


@dataclass(frozen=True)
class Clustered:
    """What one way of clustering came to, and what it took; `peak` in bytes, its vectors and libraries included."""

    labels: list[int]
    seconds: float
    processor: float
    peak: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clusters", description=__doc__)
    parser.add_argument("--sizes", type=_numbers, default=SIZES, help="vectors, as 10000,50000,200000")
    parser.add_argument("--seeds", type=_numbers, default=SEEDS, help="a mixture for each, as 0,1,2")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="the most that HDBSCAN alone is given (%(default)s)")
    parser.add_argument("--umap", type=Path, help="the folder that umap-learn was installed into")
    parser.add_argument("--limit", type=int, default=1800, help="seconds after which a peer is stopped (%(default)s)")
    parser.add_argument("--tickets", type=Path, help="a CSV file with `text` and `category`")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(*given.one)
        return
    print(f"{machine()}.\n")
    if given.umap is None:
        print("Not compared with UMAP and HDBSCAN: no folder with umap-learn was given (`--umap`).\n")
    print(head("Planted groups", COLUMNS), flush=True)
    for row in planted_rows(given):
        print(line(row), flush=True)
    print()
    print(table("Neighbours among them", RECALL_COLUMNS, [recall_row(size) for size in given.sizes]), flush=True)
    if given.tickets:
        print(table("Real tickets, by category", ["tickets", *TICKET_COLUMNS], [ticket_row(given.tickets)]), flush=True)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def planted_rows(given: argparse.Namespace) -> Iterator[list[Any]]:
    for size in given.sizes:
        for seed in given.seeds:
            vectors, truth = planted(size, seed)
            ways = ["product"]
            ways += ["scikit-learn HDBSCAN"] if size <= given.pairs else []
            ways += ["UMAP + HDBSCAN"] if given.umap else []
            product = None
            for way in ways:
                clustered = aside(way, vectors, given.umap, None if way == "product" else given.limit)
                if clustered is None:
                    yield [f"{size:,}, seed {seed}", way, *["–"] * 6, f"stopped after {given.limit}", *["–"] * 4]
                    continue
                product = product or clustered
                times = clustered.seconds / product.seconds, clustered.processor / product.processor
                yield [f"{size:,}, seed {seed}", way, *_row(truth, clustered), *times]


def aside(way: str, vectors: np.ndarray, umap: Path | None, limit: int | None) -> Clustered | None:
    """In a process of its own, which has nothing in its memory but the vectors; None where that took too long."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "vectors.npy", vectors)
        paths = [*sys.path, *([str(umap)] if umap else [])]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.clusters", "--one", way, folder, "labels.json"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        try:
            subprocess.run(command, env=environment, check=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return None
        return Clustered(**json.loads((Path(folder) / "labels.json").read_text()))


def one(way: str, folder: str, answer: str) -> None:
    vectors = np.load(Path(folder) / "vectors.npy")
    WAYS[way](vectors[: WARM_UP.get(way, 1_000)])
    began, spent = time.perf_counter(), time.process_time()
    labels = WAYS[way](vectors)
    seconds, processor = time.perf_counter() - began, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    clustered = Clustered(np.asarray(labels).tolist(), seconds, processor, peak)
    (Path(folder) / answer).write_text(json.dumps(asdict(clustered)))


def _product(vectors: np.ndarray) -> np.ndarray:
    return cluster(vectors, [f"k{number:07d}" for number in range(len(vectors))], ClusterTerms())


def _hdbscan(vectors: np.ndarray) -> np.ndarray:
    from sklearn.cluster import HDBSCAN

    return np.asarray(HDBSCAN(min_cluster_size=ClusterTerms().minimum_size, copy=True).fit_predict(vectors))


def _umap(vectors: np.ndarray) -> np.ndarray:
    from umap import UMAP

    return _hdbscan(UMAP(n_neighbors=30, min_dist=0.0, n_components=2, random_state=42).fit_transform(vectors))


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "product": _product,
    "scikit-learn HDBSCAN": _hdbscan,
    "UMAP + HDBSCAN": _umap,
}


def recall_row(size: int) -> list[Any]:
    """How many of the nearest are found, against all pairs, for some of the vectors."""
    vectors, _ = planted(size, 0)
    points = reduced(vectors, np.ones(size, bool), ClusterTerms().dimensions)
    far, near = nearest(points, points, 32, itself=False, compared=COMPARED)
    asked = np.random.default_rng(0).choice(size, min(ASKED, size), replace=False)
    truly_far, truly_near = nearest(points[asked], points, 33, itself=True, compared=size)
    shares = [
        np.mean([np.isin(truly[1 : most + 1], of).mean() for truly, of in zip(truly_near, near[asked], strict=True)])
        for most in (4, 32)
    ]
    further = float((far[asked, 3] / truly_far[:, 4]).mean())
    return [f"{size:,}", f"{min(COMPARED, size):,}", *(percent(float(share)) for share in shares), f"{further:.4f}x"]


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


def _row(truth: np.ndarray, clustered: Clustered) -> list[Any]:
    sizes = np.bincount(truth[truth >= 0], minlength=GROUPS)
    groups = np.flatnonzero(sizes >= ClusterTerms().minimum_size)
    members, labels = np.isin(truth, groups), np.array(clustered.labels)
    agreement = float(adjusted_rand_score(truth[members], labels[members]))
    shares = (labels[members] < 0).mean(), (labels[truth < 0] >= 0).mean()
    found = [int(sizes.max()), len(groups), int(labels.max()) + 1, agreement, *(percent(float(one)) for one in shares)]
    return [*found, clustered.seconds, clustered.processor, clustered.peak / 1e9]


TICKET_COLUMNS = ["clusters", "in one", "of their cluster's category", "ARI of all", "seconds"]


def ticket_row(file: Path) -> list[Any]:
    """How pure clusters of real tickets are, by the encoder that workflows use where they name none."""
    from pipeline_project.container.night import default_text_encoder

    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    vectors = np.asarray(default_text_encoder("cpu").encode([row["text"] for row in rows]))
    both = centred(vectors, np.zeros((len(rows), 0), np.float32))
    ids = [f"k{number:07d}" for number in range(len(rows))]
    began = time.perf_counter()
    labels = cluster(both, ids, ClusterTerms())
    seconds = time.perf_counter() - began
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
