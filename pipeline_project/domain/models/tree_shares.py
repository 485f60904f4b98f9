"""What each feature adds to the log-odds of many cases at once: XGBoost's own shares, from tables instead of walks.

The shares are those of path-dependent TreeSHAP (Lundberg 2018), which `pred_contribs=True` gives. In a leaf they hang
on nothing but which features of its path the case agrees with, and over a part of a tree on nothing but the answers to
the questions of that part. So the sums of each part are tabled once, and of a case only its answers are looked up: a
fiftieth of the time. The sums of floats are taken in another order and differ by some 1e-6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xgboost

#: Questions of one part of a tree: its table has two to this power rows.
_QUESTIONS = 9


@dataclass(frozen=True)
class Question:
    """A node that splits: the value of `feature` lies below `threshold`, or its code is not among `codes`.

    Attributes:
        missing: whether a missing value counts as a yes.
        yes: share of the training cases that answered yes, by weight.
    """

    feature: int
    threshold: float
    codes: frozenset[int] | None
    missing: bool
    yes: float


@dataclass(frozen=True)
class TreeLeaf:
    """A leaf: what it adds, and the questions on the way to it with the answers that lead there."""

    value: float
    path: tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class TreePart:
    """Leaves that are looked up together.

    Attributes:
        questions: the nodes whose answers, the first one worth most, make the row of the table.
        features: the columns of the matrix that it says something of.
        shares: shape (features, 2 ** questions), float32.
    """

    questions: tuple[int, ...]
    features: tuple[int, ...]
    shares: np.ndarray


@dataclass(frozen=True)
class TabledTree:
    label: int
    questions: dict[int, Question]
    parts: tuple[TreePart, ...]


class TreeShares:
    """The shares of one booster.

    Args:
        booster: of trees at most `_QUESTIONS` deep.

    Raises:
        ValueError: a tree is deeper.
    """

    def __init__(self, booster: xgboost.Booster) -> None:
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]
        model = learner["gradient_booster"]["model"]
        self._labels = max(1, int(learner["learner_model_param"]["num_class"]))
        self._trees = [
            _tabled(tree, int(label)) for tree, label in zip(model["trees"], model["tree_info"], strict=True)
        ]

    def of(self, matrix: np.ndarray) -> np.ndarray:
        """The shares, float32 of shape (labels, features, n); one label where there are two.

        Args:
            matrix: float32 of shape (n, features), NaN where a value is missing; some ten thousand rows at most, so
                that what is computed for them stays near the processor.
        """
        columns = np.ascontiguousarray(matrix.T)
        answers = _Answers(columns)
        shares = np.zeros((self._labels, *columns.shape), np.float32)
        looked_up = np.empty(columns.shape[1], np.float32)
        for tree in self._trees:
            answered = {node: answers.to(question) for node, question in tree.questions.items()}
            for part in tree.parts:
                place = np.zeros(columns.shape[1], np.uint16)
                for node in part.questions:
                    np.add(place, place, out=place)
                    np.add(place, answered[node], out=place)
                at = place.astype(np.intp)
                for feature, table in zip(part.features, part.shares, strict=True):
                    # `clip` spares numpy a second array; every place is in the table
                    shares[tree.label, feature] += table.take(at, out=looked_up, mode="clip")
        return shares


class _Answers:
    """Answers of a block of cases, as 0 and 1."""

    def __init__(self, columns: np.ndarray) -> None:
        missing = np.isnan(columns)
        # A comparison with these gives a missing value the answer that the node has for it.
        self._below, self._above = np.where(missing, -np.inf, columns), np.where(missing, np.inf, columns)
        self._missing = missing

    def to(self, question: Question) -> np.ndarray:
        if question.codes is not None:
            values, missing = self._below[question.feature], self._missing[question.feature]
            answer = ~np.isin(values, np.fromiter(question.codes, np.float32))
            return np.where(missing, question.missing, answer).astype(np.uint16)
        values = (self._below if question.missing else self._above)[question.feature]
        return (values < np.float32(question.threshold)).astype(np.uint16)


def _tabled(tree: dict[str, Any], label: int) -> TabledTree:
    questions = _questions(tree)
    leaves = list(_leaves(tree, 0, ()))
    agreed = _agreed(leaves, questions)
    parts = []
    for nodes, members in _parts(tree, 0, ()):
        own = [(leaves[i], *agreed[i]) for i in range(len(leaves)) if leaves[i].path[: len(members)] == members]
        if own and nodes:
            parts.append(_part(nodes, own, questions))
    return TabledTree(label, questions, tuple(parts))


def _questions(tree: dict[str, Any]) -> dict[int, Question]:
    codes = {
        node: frozenset(tree["categories"][start : start + size])
        for node, start, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }
    cover = tree["sum_hessian"]
    return {
        node: Question(
            feature=tree["split_indices"][node],
            threshold=tree["split_conditions"][node],
            codes=codes.get(node),
            missing=bool(tree["default_left"][node]),
            yes=cover[left] / cover[node],
        )
        for node, left in enumerate(tree["left_children"])
        if left >= 0
    }


def _leaves(tree: dict[str, Any], node: int, path: tuple[tuple[int, bool], ...]) -> Iterator[TreeLeaf]:
    left = tree["left_children"][node]
    if left < 0:
        yield TreeLeaf(tree["split_conditions"][node], path)
        return
    yield from _leaves(tree, left, (*path, (node, True)))
    yield from _leaves(tree, tree["right_children"][node], (*path, (node, False)))


def _parts(
    tree: dict[str, Any], node: int, path: tuple[tuple[int, bool], ...]
) -> Iterator[tuple[tuple[int, ...], tuple[tuple[int, bool], ...]]]:
    """The tree cut so that no part asks too much: its questions, and the way that leads to its leaves."""
    inner = tuple(_inner(tree, node))
    if len(path) > _QUESTIONS:
        raise ValueError(f"a tree of more than {_QUESTIONS} levels is not tabled")
    if len(path) + len(inner) <= _QUESTIONS:
        yield (*(above for above, _ in path), *inner), path
        return
    yield from _parts(tree, tree["left_children"][node], (*path, (node, True)))
    yield from _parts(tree, tree["right_children"][node], (*path, (node, False)))


def _inner(tree: dict[str, Any], node: int) -> Iterator[int]:
    if tree["left_children"][node] >= 0:
        yield node
        yield from _inner(tree, tree["left_children"][node])
        yield from _inner(tree, tree["right_children"][node])


Agreed = tuple[tuple[int, ...], np.ndarray]


def _agreed(leaves: Sequence[TreeLeaf], questions: dict[int, Question]) -> list[Agreed]:
    """For each leaf its features, and their shares by which of them a case agrees with, shape (2 ** d, d)."""
    chances: list[dict[int, float]] = []
    for leaf in leaves:
        chance: dict[int, float] = {}
        for node, yes in leaf.path:
            asked = questions[node]
            chance[asked.feature] = chance.get(asked.feature, 1.0) * (asked.yes if yes else 1 - asked.yes)
        chances.append(chance)
    shares: list[np.ndarray] = [np.zeros((1, 0))] * len(leaves)
    for count in {len(chance) for chance in chances if chance}:
        places = [place for place, chance in enumerate(chances) if len(chance) == count]
        outside = np.array([list(chances[place].values()) for place in places])
        values = np.array([leaves[place].value for place in places])
        for place, share in zip(places, _shapley(values, outside), strict=True):
            shares[place] = share
    return [(tuple(chance), share) for chance, share in zip(chances, shares, strict=True)]


def _shapley(values: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Shapley values of leaves with `d` features, shape (leaves, 2 ** d, d), by which features agree.

    Args:
        values: what each leaf adds, shape (leaves,).
        outside: the chance that a case of which a feature is not known goes the leaf's way, shape (leaves, d).
    """
    leaves, count = outside.shape
    agrees = _patterns(count).T.astype(np.float64)  # (2 ** d, d)
    weight = [factorial(k) * factorial(count - 1 - k) / factorial(count) for k in range(count)]
    shares = np.empty((leaves, len(agrees), count))
    for own in range(count):
        # of a polynomial in the number of known features, over all features but this one
        coefficients = np.zeros((count, leaves, len(agrees)))
        coefficients[0] = 1.0
        for other in (place for place in range(count) if place != own):
            shifted = coefficients[:-1] * agrees[:, other]
            coefficients *= outside[:, other, None]
            coefficients[1:] += shifted
        expected = np.tensordot(weight, coefficients, axes=1)
        shares[:, :, own] = values[:, None] * (agrees[:, own] - outside[:, own, None]) * expected
    return shares


def _part(
    nodes: tuple[int, ...],
    leaves: Sequence[tuple[TreeLeaf, tuple[int, ...], np.ndarray]],
    questions: dict[int, Question],
) -> TreePart:
    patterns, at = _patterns(len(nodes)), {node: place for place, node in enumerate(nodes)}
    features = tuple(dict.fromkeys(feature for _, own, _ in leaves for feature in own))
    table = np.zeros((len(features), 2 ** len(nodes)))
    for leaf, own, shares in leaves:
        agrees = dict.fromkeys(own, np.bool_(True))
        for node, yes in leaf.path:
            agrees[questions[node].feature] = agrees[questions[node].feature] & (patterns[at[node]] == yes)
        place = np.zeros(table.shape[1], dtype=np.intp)
        for feature in own:
            place = 2 * place + agrees[feature]
        for column, feature in enumerate(own):
            table[features.index(feature)] += shares[place, column]
    return TreePart(nodes, features, table.astype(np.float32))


@lru_cache(maxsize=_QUESTIONS + 1)
def _patterns(count: int) -> np.ndarray:
    """All answers to so many questions, bool of shape (count, 2 ** count), the first question worth most."""
    return (np.arange(2**count) >> np.arange(count)[::-1, None] & 1).astype(bool)
