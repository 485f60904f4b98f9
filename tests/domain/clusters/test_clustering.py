from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import adjusted_rand_score

from benchmarks.clusters import planted as mixture
from pipeline_project.domain.clusters.clustering import CLUSTERS, cluster, night_groups, track
from pipeline_project.domain.clusters.neighbours import density_labels
from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.vectors.joint import centred
from pipeline_project.domain.vectors.modalities import EMBEDDINGS
from pipeline_project.domain.vectors.near_duplicates import near_duplicates
from pipeline_project.domain.vectors.stored import pack, unit

TERMS = ClusterTerms(window_nights=5, minimum_size=6)
DIMENSION = 64
NOTHING = pd.DataFrame({"case_id": [], "cluster": [], "cluster_born": []}, dtype=object)


def planted(groups: int, size: int, alone: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors in tight groups and scattered, with the group of each (-1 alone)."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(groups, DIMENSION)))
    truth = np.concatenate([np.repeat(np.arange(groups), size), np.full(alone, -1)])
    vectors = rng.normal(size=(len(truth), DIMENSION))
    vectors[truth >= 0] = centres[truth[truth >= 0]] + 0.05 * vectors[truth >= 0]
    return unit(vectors), truth


def names(count: int, prefix: str = "k") -> list[str]:
    return [f"{prefix}{number:05d}" for number in range(count)]


def window(night: str, ids, text, image=None, keys=None) -> pa.Table:
    count = len(ids)
    columns = {
        "night": [night] * count,
        "case_id": ids,
        "text_vector": pack(text),
        "image_vector": pack(image) if image is not None else pa.nulls(count, pa.binary()),
        "image_problem": pa.nulls(count, pa.string()),
        "photo_keys": pa.array(keys or [[]] * count, pa.list_(pa.string())),
        "text_key": pa.nulls(count, pa.string()),
    }
    return pa.table(columns, schema=EMBEDDINGS)


# -- groups ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("groups", "size", "alone"), [(6, 25, 80), (4, 40, 0), (1, 20, 150), (3, 200, 50)])
def test_planted_groups_are_found_and_the_scattered_stay_alone(groups, size, alone):
    vectors, truth = planted(groups, size, alone)
    labels = cluster(vectors, names(len(truth)), TERMS)
    assert labels.max() + 1 == groups
    assert adjusted_rand_score(truth, labels) > 0.95


def test_scattered_cases_are_no_group():
    vectors, _ = planted(0, 1, 200)
    assert (cluster(vectors, names(200), TERMS) == -1).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_what_belongs_to_none_of_many_groups_is_no_group_of_its_own(seed):
    """In the few dimensions that tell groups apart scattered cases lie together in the middle."""
    vectors, truth = mixture(5_000, seed)
    labels = cluster(vectors, names(len(truth)), ClusterTerms())
    inside = truth >= 0
    assert (labels[~inside] >= 0).mean() < 0.05
    assert adjusted_rand_score(truth[inside], labels[inside]) > 0.99
    assert sorted(set(labels)) == list(range(-1, labels.max() + 1))


def test_equal_vectors_are_a_group():
    vectors, _ = planted(2, 1, 60)
    vectors[:40] = vectors[0]
    labels = cluster(vectors, names(len(vectors)), TERMS)
    assert len(set(labels[:40])) == 1 and labels[0] >= 0


def test_the_order_of_rows_changes_nothing():
    vectors, _ = planted(5, 20, 60)
    ids = names(len(vectors))
    terms = ClusterTerms(minimum_size=6, fit_limit=120)
    straight = dict(zip(ids, cluster(vectors, ids, terms), strict=True))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(ids))
        shuffled = [ids[row] for row in order]
        assert dict(zip(shuffled, cluster(vectors[order], shuffled, terms), strict=True)) == straight


def test_a_processor_that_orders_ties_otherwise_finds_the_same_groups(monkeypatch):
    # integers in few dimensions: many distances are the same, and which of them joins first decides who belongs where
    points = np.random.default_rng(3).integers(0, 4, size=(300, 3)).astype(np.float32)
    everything = np.ones(len(points), dtype=bool)
    straight = density_labels(points, everything, 6)
    sort = np.argsort

    def ties_backwards(values, axis=-1, kind=None, **more):
        if kind is not None or np.ndim(values) != 1:
            return sort(values, axis=axis, kind=kind, **more)
        return len(values) - 1 - sort(np.asarray(values)[::-1], kind="stable")

    monkeypatch.setattr(np, "argsort", ties_backwards)
    backwards = density_labels(points, everything, 6)
    assert straight.max() > 3
    assert grouped(backwards) == grouped(straight)


def grouped(labels) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label)) for label in range(int(labels.max()) + 1)}


def test_beyond_the_fit_limit_the_rest_join_the_group_they_are_in():
    vectors, truth = planted(4, 100, 100)
    labels = cluster(vectors, names(len(truth)), ClusterTerms(minimum_size=6, fit_limit=200))
    assert adjusted_rand_score(truth, labels) > 0.9
    assert (labels[truth < 0] == -1).mean() > 0.9


def skewed(count: int, groups: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of 384 numbers in groups of very different sizes, and a tenth of them scattered."""
    rng = np.random.default_rng(seed)
    shares = rng.pareto(1.0, size=groups) + 0.05
    truth = rng.choice(groups, size=count, p=shares / shares.sum())
    truth[: count // 10] = -1
    vectors = rng.normal(size=(count, 384)).astype(np.float32)
    centres = unit(rng.normal(size=(groups, 384)).astype(np.float32))
    vectors[truth >= 0] = centres[truth[truth >= 0]] + 0.05 * vectors[truth >= 0]
    return unit(vectors), truth


@pytest.mark.parametrize(("count", "seed"), [(4_000, 0), (4_000, 1), (4_000, 2), (20_000, 1)])
def test_of_a_group_much_larger_than_the_others_nobody_is_lost(count, seed):
    """Branches that a large group has by chance are no groups instead of it."""
    vectors, truth = skewed(count, 40, seed)
    labels = cluster(vectors, names(count), ClusterTerms())
    sizes = np.bincount(truth[truth >= 0])
    large = np.isin(truth, np.flatnonzero(sizes >= 30))
    assert sizes.max() > count // 5
    assert adjusted_rand_score(truth[large], labels[large]) >= 0.99
    assert (labels[large] == -1).mean() <= 0.01


def test_of_a_large_group_nobody_is_lost_beyond_the_fit_limit():
    vectors, truth = skewed(6_000, 20, 1)
    labels = cluster(vectors, names(len(truth)), ClusterTerms(fit_limit=3_000))
    sizes = np.bincount(truth[truth >= 0])
    large = np.isin(truth, np.flatnonzero(sizes >= 60))
    assert adjusted_rand_score(truth[large], labels[large]) >= 0.99
    assert (labels[large] == -1).mean() <= 0.01


def test_a_ring_of_near_copies_within_a_large_group_is_a_group_of_its_own():
    rng = np.random.default_rng(4)
    vectors, truth = planted(3, 1_500, 300, seed=4)
    ring = np.flatnonzero(truth == 0)[:12]
    vectors[ring] = unit(vectors[ring[0]] + 0.002 * rng.normal(size=(12, DIMENSION)))
    labels = cluster(vectors, names(len(vectors)), ClusterTerms())
    (of_ring,) = set(labels[ring])
    assert (labels == of_ring).sum() == 12
    others = np.setdiff1d(np.flatnonzero(truth == 0), ring)
    assert (labels[others] == labels[others[0]]).mean() >= 0.99


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7])
def test_few_cases(count):
    vectors = unit(np.random.default_rng(0).normal(size=(count, DIMENSION)))
    labels = cluster(vectors, names(count), TERMS)
    assert labels.shape == (count,) and (labels == -1).all()


def test_a_case_with_nothing_to_compare_stays_alone():
    vectors, _ = planted(3, 20, 0)
    vectors = np.vstack([vectors, np.zeros((30, DIMENSION), np.float32)])
    labels = cluster(vectors, names(len(vectors)), TERMS)
    assert (labels[-30:] == -1).all() and labels.max() == 2


def test_a_case_without_a_photo_is_placed_by_its_text():
    text, truth = planted(4, 30, 0, seed=1)
    image, _ = planted(4, 30, 0, seed=2)
    image[::5] = 0
    labels = cluster(centred(text, image), names(len(truth)), TERMS)
    assert adjusted_rand_score(truth, labels) > 0.95


def test_neither_kind_of_vector_outweighs_the_other():
    text, _ = planted(4, 30, 0, seed=1)
    joined = centred(text, np.float32(0.3) * planted(4, 30, 0, seed=2)[0])
    spread = (joined**2).sum(axis=0)
    assert spread[:DIMENSION].sum() == pytest.approx(spread[DIMENSION:].sum(), rel=0.01)
    assert centred(text, np.zeros((len(text), 0), np.float32)).shape == text.shape


# -- identities -----------------------------------------------------------------------------------------------


def earlier(**clusters: str) -> pd.DataFrame:
    rows = [(case, name, "2025-03-01") for name, cases in clusters.items() for case in cases]
    return pd.DataFrame(rows, columns=["case_id", "cluster", "cluster_born"])


def tracked(groups: list[str], known: pd.DataFrame, night: str = "2025-03-02"):
    """Groups and names by single-letter case ids; a case called `-` would be alone."""
    cases = [case for group in groups for case in group]
    labels = np.array([number for number, group in enumerate(groups) for _ in group])
    found = track(labels, cases, [night] * len(cases), night, known)
    by_case = dict(zip(cases, zip(found.ids, found.born, strict=True), strict=True))
    return [by_case[group[0]] for group in groups]


def test_a_new_group_gets_a_slug_that_depends_on_its_oldest_case_and_the_night():
    ((first, born),) = tracked(["abcd"], NOTHING)
    assert first.startswith("c-") and len(first) == 8 and born == "2025-03-02"
    assert tracked(["dcba"], NOTHING) == [(first, born)]
    assert tracked(["abcd"], NOTHING, "2025-03-03")[0][0] != first


def test_the_largest_part_of_a_split_keeps_the_name():
    small, large = tracked(["abc", "defgh"], earlier(old="abcdefgh"))
    assert large == ("old", "2025-03-01")
    assert small[0] != "old" and small[1] == "2025-03-02"


def test_the_larger_name_stays_after_a_merge():
    assert tracked(["abcdefgh"], earlier(less="abc", more="defgh")) == [("more", "2025-03-01")]


def test_names_are_matched_together():
    found = tracked(["abcdxy", "efgh", "ijkl"], earlier(one="abcdef", two="ghij", three="xykl"))
    assert found[0][0] == "one" and {name for name, _ in found} >= {"one", "two", "three"}


def test_a_stray_member_carries_no_name():
    cases = list("zlmnop" + "yxwvuts")
    labels = np.array([0] * 6 + [-1] * 7)
    found = track(labels, cases, ["2025-03-02"] * 13, "2025-03-02", earlier(stray="zyxwvuts"))
    assert found.ids[0] not in (None, "stray") and found.born[0] == "2025-03-02"


def test_a_group_that_grew_or_lost_members_keeps_its_name():
    assert tracked(["abcdefghijklmnop"], earlier(old="abcd"))[0] == ("old", "2025-03-01")
    assert tracked(["abcd"], earlier(old="abcdefghijkl"))[0] == ("old", "2025-03-01")


def test_cases_that_are_alone_have_no_name():
    found = track(np.array([-1, -1]), ["a", "b"], ["2025-03-02"] * 2, "2025-03-02", earlier(old="ab"))
    assert found.ids == found.born == [None, None]


def test_identities_last_over_five_nights():
    vectors, truth = planted(4, 50, 50, seed=3)
    rng = np.random.default_rng(0)
    of_night = rng.integers(0, 5, len(truth))
    ids = np.array(names(len(truth)))
    seen: dict[int, set[tuple[str, str]]] = {}
    embeddings, clusters = [], None
    for number in range(5):
        night = f"2025-03-0{number + 1}"
        rows = of_night == number
        embeddings.append(window(night, ids[rows].tolist(), vectors[rows]))
        table = night_groups(night, pa.concat_tables(embeddings), {}, clusters, TERMS).clusters
        assert table["case_id"].to_pylist() == ids[rows].tolist()
        clusters = table if clusters is None else pa.concat_tables([clusters, table])
        for case, name, born in zip(
            *(table[c].to_pylist() for c in ("case_id", "cluster", "cluster_born")), strict=True
        ):
            planted_in = truth[ids == case][0]
            if name is not None:
                seen.setdefault(planted_in, set()).add((name, born))
    assert set(seen) == {0, 1, 2, 3}
    assert all(len(found) == 1 for found in seen.values()), seen
    assert len({name for found in seen.values() for name, _ in found}) == 4
    assert clusters is not None
    sizes = clusters.filter(pa.compute.equal(clusters["night"], "2025-03-05"))["cluster_size"].to_pylist()
    assert max(sizes) == 50


# -- twins ----------------------------------------------------------------------------------------------------


def test_a_ring_that_repeats_itself_is_found():
    vectors, _ = planted(0, 1, 40)
    vectors[30] = unit(vectors[3] + 0.01 * vectors[5])
    ids = names(40)
    subjects: dict[str, str | None] = {case: f"s{number}" for number, case in enumerate(ids)}
    keys = [["p1"] if number in (7, 31) else [f"q{number}"] for number in range(40)]
    asked = np.arange(40) >= 30
    found = near_duplicates(vectors, ids, subjects, keys, asked)
    assert found.case[0] == "k00003" and found.similarity[0] > 0.99
    assert found.shared_photo.tolist() == [False, True] + [False] * 8
    assert (found.similarity[2:] < 0.7).all()


def test_a_customer_is_not_her_own_twin_but_strangers_without_a_name_are():
    vectors = np.tile(unit(np.ones((1, 4))), (3, 1))
    ids, asked = ["a", "b", "c"], np.array([False, True, True])
    same = near_duplicates(vectors, ids, dict.fromkeys(ids, "s"), [["p"]] * 3, asked)
    assert same.similarity.tolist() == [0, 0] and same.case == [None, None] and not same.shared_photo.any()
    unknown = near_duplicates(vectors, ids, {}, [["p"]] * 3, asked)
    assert unknown.similarity.tolist() == [1, 1] and unknown.case == ["a", "a"] and unknown.shared_photo.all()


def test_blocks_give_what_one_product_gives(monkeypatch):
    vectors, _ = planted(5, 10, 20)
    ids = names(len(vectors))
    subjects = {case: f"s{number % 9}" for number, case in enumerate(ids)}
    whole = near_duplicates(vectors, ids, subjects, [[]] * len(ids), np.ones(len(ids), bool))
    monkeypatch.setattr("pipeline_project.domain.vectors.near_duplicates._BLOCK_BYTES", 4 * len(ids) * 7)
    parts = near_duplicates(vectors, ids, subjects, [[]] * len(ids), np.ones(len(ids), bool))
    assert parts.case == whole.case
    np.testing.assert_allclose(parts.similarity, whole.similarity, atol=1e-6)


def test_only_the_latest_cases_are_compared_when_the_window_is_large():
    vectors = unit(np.random.default_rng(0).normal(size=(6, 8)))
    vectors[5] = vectors[0]
    nights = [
        window(f"2025-03-0{n + 1}", [f"k{n}"], vectors[n : n + 1], keys=[["p"]] if n in (0, 4) else [[]])
        for n in range(5)
    ]
    nights.append(window("2025-03-05", ["k5"], vectors[5:], keys=[["p"]]))
    table = pa.concat_tables(nights)
    near = night_groups("2025-03-05", table, {}, None, ClusterTerms(window_nights=9), twin_limit=3).clusters
    far = night_groups("2025-03-05", table, {}, None, ClusterTerms(window_nights=9)).clusters
    assert far["twin_case"].to_pylist()[1] == "k0" and near["twin_case"].to_pylist()[1] != "k0"
    assert near["shared_photo"].to_pylist() == [True, True]


# -- the night ------------------------------------------------------------------------------------------------


def test_an_empty_night_and_a_night_of_one_case_are_valid():
    empty = night_groups("2025-03-01", EMBEDDINGS.empty_table(), {}, None, TERMS).clusters
    assert empty.num_rows == 0 and empty.schema.equals(CLUSTERS)
    one = night_groups("2025-03-01", window("2025-03-01", ["k1"], np.ones((1, 4))), {"k1": "s1"}, empty, TERMS).clusters
    assert one.to_pylist() == [
        {
            "night": "2025-03-01",
            "case_id": "k1",
            "cluster": None,
            "cluster_size": 1,
            "cluster_born": None,
            "cluster_customers": 1,
            "twin_similarity": 0.0,
            "twin_case": None,
            "shared_photo": False,
        }
    ]


def test_cases_without_any_vector_are_valid():
    table = night_groups("2025-03-01", window("2025-03-01", ["k1", "k2"], np.zeros((2, 0))), {}, None, TERMS).clusters
    assert table["cluster"].null_count == 2 and table["twin_similarity"].to_pylist() == [0, 0]


def test_customers_of_a_cluster_are_counted_once_and_later_nights_are_not_seen():
    vectors, truth = planted(2, 30, 20)
    ids = names(len(truth))
    subjects = pd.Series({case: f"s{number % 3}" for number, case in enumerate(ids)})
    subjects["k00000"] = None
    today = window("2025-03-01", ids, vectors)
    later = window("2025-03-02", names(60, "z"), vectors[:60])
    table = night_groups("2025-03-01", pa.concat_tables([today, later]), subjects, None, TERMS).clusters
    first = table.to_pylist()[0]
    assert table.num_rows == len(ids)
    assert (first["cluster_size"], first["cluster_customers"], first["cluster_born"]) == (30, 3, "2025-03-01")


def test_a_night_run_twice_with_its_rows_shuffled_is_the_same():
    vectors, truth = planted(3, 30, 30)
    ids = names(len(truth))
    earlier_night = window("2025-03-01", names(90, "e"), vectors[:90])
    before = night_groups("2025-03-01", earlier_night, {}, None, TERMS).clusters
    order = np.random.default_rng(1).permutation(len(ids))
    runs: list[pa.Table] = []
    for rows in (np.arange(len(ids)), order):
        today = window("2025-03-02", [ids[row] for row in rows], vectors[rows])
        # What is known of the night itself, from the first run, must not change the second.
        known = pa.concat_tables([before, *runs])
        runs.append(night_groups("2025-03-02", pa.concat_tables([today, earlier_night]), {}, known, TERMS).clusters)
    assert runs[0].sort_by("case_id").equals(runs[1].sort_by("case_id"))


def test_names_come_from_the_window_before_this_night_alone():
    vectors, truth = planted(1, 20, 40)
    ids = names(len(truth))
    table = window("2025-03-09", ids, vectors)
    fresh = night_groups("2025-03-09", table, {}, None, TERMS).clusters
    for night, kept in (("2025-03-04", False), ("2025-03-08", True), ("2025-03-09", False), ("2025-03-10", False)):
        count = len(ids)
        known = fresh.set_column(0, "night", pa.array([night] * count))
        known = known.set_column(2, "cluster", pa.array(["old"] * count))
        known = known.set_column(4, "cluster_born", pa.array([night] * count)).cast(CLUSTERS)
        again = night_groups("2025-03-09", table, {}, known, TERMS).clusters
        assert ("old" in again["cluster"].to_pylist()) == kept, night


def test_vectors_of_another_encoder_in_the_window_are_left_out():
    old = window("2025-03-01", names(10, "o"), unit(np.ones((10, 7))))
    vectors, _ = planted(2, 20, 0)
    table = night_groups(
        "2025-03-02", pa.concat_tables([old, window("2025-03-02", names(40), vectors)]), {}, None, TERMS
    ).clusters
    assert table["cluster"].null_count == 0
    assert not any(case.startswith("o") for case in table["twin_case"].to_pylist())
