from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from pipeline_project.domain.clusters import nearest as search
from pipeline_project.domain.clusters.clustering import cluster
from pipeline_project.domain.clusters.nearest import Cells, Search, nearest
from pipeline_project.domain.clusters.terms import ClusterTerms

DIMENSION = 50


def mixture(count: int, seed: int = 0) -> np.ndarray:
    """Points in groups of one to many thousands, the largest without any inner structure, which is the hardest."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(30, DIMENSION))
    sizes = rng.pareto(1.0, size=30) + 0.05
    group = rng.choice(30, size=count, p=sizes / sizes.sum())
    return (centres[group] + 0.3 * rng.normal(size=(count, DIMENSION))).astype(np.float32)


def by_all_pairs(points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    found = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points.astype(np.float64)).kneighbors()
    return found[0], found[1]


def test_most_of_the_nearest_are_in_the_cells_around_and_the_others_are_hardly_further():
    points = mixture(8_000)
    far, near = nearest(points, points, 32, False, 2_000)
    truly_far, truly_near = by_all_pairs(points, 32)
    recall = np.mean([len(np.intersect1d(one, other)) for one, other in zip(near, truly_near, strict=True)]) / 32
    assert recall > 0.9
    assert (far / truly_far - 1).mean() < 0.01 and (far >= truly_far - 1e-4).all()


def test_distances_are_those_of_the_rows_they_stand_by_nearest_first_and_no_row_twice():
    points = mixture(4_000)
    far, near = nearest(points, points, 32, False, 500)
    truly = np.linalg.norm(points[near].astype(np.float64) - points[:, None, :], axis=2)
    np.testing.assert_allclose(far, truly, rtol=1e-5)
    assert (np.diff(far, axis=1) >= 0).all()
    assert all(len(set(row)) == 32 for row in near.tolist())
    assert not (near == np.arange(len(points))[:, None]).any()


def test_compared_with_all_it_finds_what_all_pairs_do():
    points = mixture(3_000)
    far, near = nearest(points, points, 32, False, len(points) - 1)
    truly_far, truly_near = by_all_pairs(points, 32)
    np.testing.assert_allclose(far, truly_far, rtol=1e-4)
    assert (near == truly_near).mean() > 0.999


def test_others_than_those_searched_among():
    points = mixture(4_500)
    among, others = points[:4_000], points[4_000:]
    far, near = nearest(others, among, 1, True, 2_000)
    truly, _ = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(among).kneighbors(others)
    assert far.shape == near.shape == (500, 1)
    assert np.isclose(far, truly, rtol=1e-4).mean() > 0.95
    itself, own = nearest(among[:50], among, 1, True, 2_000)
    assert own[:, 0].tolist() == list(range(50)) and (itself == 0).all()


def test_what_one_point_is_compared_with_does_not_grow_with_their_number(monkeypatch):
    compared, compare = [], Search.compare

    def counted(self, rows, start, end):
        compared.append(len(rows) * max(0, end - start))
        return compare(self, rows, start, end)

    monkeypatch.setattr(Search, "compare", counted)
    work = []
    for count in (4_000, 16_000):
        compared.clear()
        points = mixture(count)
        nearest(points, points, 32, False, 1_000)
        work.append(sum(compared) / count)
    # a cell is compared with as a whole, also where its last members are more than were to be
    assert work[0] < 1_700 and work[1] < 1.15 * work[0]


def test_how_many_threads_share_the_work_changes_nothing(monkeypatch):
    points = mixture(5_000)
    monkeypatch.setattr(search, "_TASK", 512)
    answers = []
    for threads in (1, 5):
        monkeypatch.setattr(search, "ThreadPoolExecutor", partial(ThreadPoolExecutor, max_workers=threads))
        answers.append(nearest(points, points, 32, False, 1_000))
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


def test_very_many_copies_are_each_others_nearest_and_are_not_compared_for_ever(monkeypatch):
    points = mixture(6_000)
    points[::2] = points[0]
    monkeypatch.setattr(Search, "finish", lambda self: None)
    taken, take = [], Search._take
    monkeypatch.setattr(Search, "_take", lambda self, *hits: (taken.append(len(hits[0])), take(self, *hits)))
    far, near = nearest(points, points, 32, False, 1_000)
    assert (far[::2] == 0).all() and (near[::2] % 2 == 0).all()
    # they hold together: what copies are linked to is not another part of them for each of their cells
    assert len(np.unique(near[::2])) < 100
    # the first of a cell are taken, and then no more of the same
    assert sum(taken) < 600 * len(points)


def test_few_around_a_point_are_made_up_from_all_others():
    """Cells of one member each: what lies around a point holds fewer than its neighbours are to be."""
    points = np.vstack([np.eye(DIMENSION, dtype=np.float32) * 50, mixture(3_000)])
    cells = Cells.of(points, 1)
    asked = Search(cells, points[:3], cells.place[:3], 40)
    asked.compare(np.arange(3), 0, 5)
    asked.finish()
    far, near = asked.answer(32)
    truly_far, truly_near = by_all_pairs(points, 32)
    np.testing.assert_allclose(far, truly_far[:3], rtol=1e-4)
    assert (near == truly_near[:3]).mean() > 0.9


def test_more_neighbours_than_the_cells_around_a_point_hold():
    points = mixture(600)
    far, near = nearest(points, points, 32, False, 16)
    truly_far, _ = by_all_pairs(points, 32)
    np.testing.assert_allclose(far, truly_far, rtol=1e-4)
    assert all(len(set(row)) == 32 for row in near.tolist())


def skewed(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of 384 numbers in groups of very different sizes, and a tenth of them scattered (-1)."""
    rng = np.random.default_rng(seed)
    shares = rng.pareto(1.0, size=40) + 0.05
    truth = rng.choice(40, size=count, p=shares / shares.sum())
    truth[: count // 10] = -1
    vectors = rng.normal(size=(count, 384)).astype(np.float32)
    centres = rng.normal(size=(40, 384)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors[truth >= 0] = centres[truth[truth >= 0]] + 0.05 * vectors[truth >= 0]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), truth


@pytest.mark.parametrize(("count", "compared", "seed"), [(6_000, 800, 0), (6_000, 800, 2), (25_000, 2_500, 1)])
def test_groups_are_those_planted_where_not_all_pairs_are_compared(count, compared, seed):
    """A tenth of the others is compared with, as among 200,000 cases."""
    vectors, truth = skewed(count, seed)
    ids = [f"k{number:05d}" for number in range(count)]
    labels = cluster(vectors, ids, ClusterTerms(), compared)
    sizes = np.bincount(truth[truth >= 0])
    large = np.isin(truth, np.flatnonzero(sizes >= 30))
    assert adjusted_rand_score(truth[large], labels[large]) >= 0.99
    assert (labels[large] == -1).mean() <= 0.01


def test_the_others_join_their_group_where_not_all_of_its_members_are_compared(monkeypatch):
    monkeypatch.setattr(search, "_exact", None)
    vectors, truth = skewed(8_000, 1)
    ids = [f"k{number:05d}" for number in range(len(truth))]
    labels = cluster(vectors, ids, ClusterTerms(fit_limit=4_000), 800)
    sizes = np.bincount(truth[truth >= 0])
    large = np.isin(truth, np.flatnonzero(sizes >= 60))
    assert adjusted_rand_score(truth[large], labels[large]) >= 0.99
    assert (labels[large] == -1).mean() <= 0.01


def test_the_order_of_rows_changes_nothing_where_not_all_pairs_are_compared():
    vectors, _ = skewed(3_000, 0)
    ids = [f"k{number:05d}" for number in range(len(vectors))]
    straight = dict(zip(ids, cluster(vectors, ids, ClusterTerms(), 500), strict=True))
    order = np.random.default_rng(1).permutation(len(ids))
    shuffled = [ids[row] for row in order]
    assert dict(zip(shuffled, cluster(vectors[order], shuffled, ClusterTerms(), 500), strict=True)) == straight
