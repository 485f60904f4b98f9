"""What was said in an order, read again by its names: probabilities by label, costs by option.

The order is that of the spec under which it was said. A spec of today, or one whose keys a database has sorted, has
another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.expressions import evaluate, names_in

#: More options than this are not tried in every order.
_MOST_ORDERED = 6
#: Computed again, a cost may differ in its last digits.
_SAME = {"rel_tol": 1e-9, "abs_tol": 1e-9}


def by_name(names: Sequence[str], values: Sequence[float] | None) -> dict[str, float]:
    """Values with their names; empty where nothing was said.

    Raises:
        ValueError: there are more or fewer values than names.
    """
    return {} if values is None else dict(zip(names, values, strict=True))


def in_order_of(values: Sequence[float] | None, then: Sequence[str], now: Sequence[str]) -> list[float] | None:
    """Values said in the order `then`, in the order `now`; None where a name is missing on either side."""
    if values is None or len(values) != len(then) or set(then) != set(now):
        return None
    value_of = by_name(then, values)
    return [value_of[name] for name in now]


def in_label_order(
    decisions: pd.DataFrame, labels: Sequence[str], labels_of: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Decisions whose probabilities stand in the order of today's labels; None where they are of other labels.

    Args:
        decisions: probabilities, model_version.
        labels: today's.
        labels_of: of each model version, the labels of which it gives probabilities.
    """
    reordered = [
        None
        if probabilities is None or not hasattr(probabilities, "__len__")
        else in_order_of(probabilities, labels_of.get(str(version), labels), labels)
        for probabilities, version in zip(decisions["probabilities"], decisions["model_version"], strict=True)
    ]
    return decisions.assign(probabilities=pd.Series(reordered, index=decisions.index, dtype=object))


def costs_told_now(decisions: pa.Table, options: Sequence[str]) -> pa.Table:
    """Decisions whose expected costs stand in the order of these options; null where a row itself says otherwise.

    A row names its cheapest option and what that costs, so that a night decided under other options, or under the same
    in another order, is not read by position.

    Args:
        decisions: expected_costs, cheapest, cheapest_cost.
        options: today's, in order.
    """
    place = {name: i for i, name in enumerate(options)}

    def fits(costs: Sequence[float], cheapest: str | None, cost: float | None) -> bool:
        if len(costs) != len(options) or cheapest not in place or cost is None:
            return False
        return math.isclose(costs[place[cheapest]], cost, **_SAME)

    columns = (decisions[name].to_pylist() for name in ("expected_costs", "cheapest", "cheapest_cost"))
    readable_costs = [
        costs if costs and fits(costs, name, cost) else None for costs, name, cost in zip(*columns, strict=True)
    ]
    at = decisions.column_names.index("expected_costs")
    return decisions.set_column(at, "expected_costs", pa.array(readable_costs, pa.list_(pa.float64())))


def option_order(
    names: Sequence[str],
    costs: Sequence[float],
    probabilities: Sequence[float],
    cells: Mapping[str, Sequence[float | str]],
    fields: Mapping[str, float],
) -> tuple[str, ...] | None:
    """The order in which costs were written down, found by computing them again; None where that does not tell.

    Args:
        names: the options, in any order.
        costs: as they were written down.
        probabilities: they are the expectation of.
        cells: of each option its cost under each label, in the order of the probabilities.
        fields: of the case, those that the cells may read.
    """
    if len(names) != len(costs) or len(names) > _MOST_ORDERED:
        return None
    again = {name: _expected(cells[name], probabilities, fields) for name in names}
    fitting = [order for order in permutations(names) if _fits(order, costs, again)]
    # options that cost the same may stand in either order
    if not fitting or len({tuple(sorted(by_name(order, costs).items())) for order in fitting}) > 1:
        return None
    return fitting[0]


def _expected(cells: Sequence[float | str], probabilities: Sequence[float], fields: Mapping[str, float]) -> float:
    """NaN where a cell reads what is not known."""
    columns = {name: np.array([value], dtype=float) for name, value in fields.items()}
    read = {name for cell in cells if isinstance(cell, str) for name in names_in(cell)}
    if read - columns.keys() or len(cells) != len(probabilities):
        return math.nan
    return float(sum(p * evaluate(cell, columns, 1)[0] for p, cell in zip(probabilities, cells, strict=True)))


def _fits(order: Sequence[str], costs: Sequence[float], again: Mapping[str, float]) -> bool:
    return all(
        math.isnan(again[name]) or math.isclose(again[name], cost, **_SAME)
        for name, cost in zip(order, costs, strict=True)
    )
