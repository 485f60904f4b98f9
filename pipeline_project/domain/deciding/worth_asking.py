"""Whether asking a person can ever pay off: what an answer could save at the most, whatever a model may believe."""

from __future__ import annotations

import numpy as np


def most_saved(cost: np.ndarray, denies: np.ndarray) -> float:
    """The most that knowing the truth can save over the best option the machine may choose.

    The saving at a belief p is `min over open options of cost @ p` less what the best option under each label costs. It
    is concave in p, so its maximum over all beliefs is that of a linear programme.

    Args:
        cost: shape (options, labels), in the workflow's currency, finite.
        denies: shape (options,), whether only a person may choose it.

    Returns:
        At least 0.

    Raises:
        ValueError: no option is open to the machine.
    """
    from scipy.optimize import linprog

    opened = cost[~np.asarray(denies, dtype=bool)]
    if not len(opened):
        raise ValueError("every option denies; at least one must be open to the machine")
    labels = cost.shape[1]
    # maximize t - best @ p, with t below what each open option costs; p are probabilities
    solution = linprog(
        c=np.append(cost.min(axis=0), -1.0),
        A_ub=np.column_stack([-opened, np.ones(len(opened))]),
        b_ub=np.zeros(len(opened)),
        A_eq=np.append(np.ones(labels), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[*[(0.0, 1.0)] * labels, (None, None)],
    )
    return max(0.0, float(-solution.fun))


def distinct_costs(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different cost matrices among cases, and how many cases have each.

    Args:
        costs: shape (cases, options, labels); cases with a cost that is not known are left out.
    """
    priced = costs[np.isfinite(costs).all(axis=(1, 2))]
    return np.unique(priced, axis=0, return_counts=True) if len(priced) else (priced, np.zeros(0, dtype=int))
