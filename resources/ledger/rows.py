"""What goes into the ledger's columns, from what assets hand over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

FIRST_EPOCH = 1

#: What a caller may say of a decision; all else comes from the attempt or the database.
REQUIRED = ("case_id", "option", "reason", "spec_hash", "data_versions")
OPTIONAL = (
    "model_version", "contract", "cluster", "reasons", "probabilities", "expected_costs", "amount", "propensity",
    "option_order",
)  # fmt: skip
_SAID_ELSEWHERE = ("workflow", "night", "attempt", "run_id", "epoch", "made_by")


def decision_rows(
    workflow: str, night: str, attempt: int, run_id: str, decisions: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows for the table `decisions`, ordered by case.

    Two transactions that insert the same cases in different orders would wait for each other for ever.

    Raises:
        ValueError: a column is unknown or missing, disagrees with the arguments, or a case occurs twice.
    """
    said = {
        "workflow": workflow,
        "night": night,
        "attempt": attempt,
        "run_id": run_id,
        "epoch": FIRST_EPOCH,
        "made_by": "policy",
    }
    rows = [_decision_row(decision, said) for decision in decisions]
    rows.sort(key=lambda row: row["case_id"])
    if any(one["case_id"] == other["case_id"] for one, other in pairwise(rows)):
        raise ValueError(f"a case occurs twice among the decisions of night {night}; decide each case once")
    return rows


def _decision_row(decision: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    unknown = decision.keys() - {*REQUIRED, *OPTIONAL, *_SAID_ELSEWHERE}
    missing = [name for name in REQUIRED if decision.get(name) is None]
    contrary = [name for name in _SAID_ELSEWHERE if name in decision and decision[name] != said[name]]
    if unknown or missing or contrary:
        raise ValueError(
            f"a decision cannot be recorded: unknown {sorted(unknown)}, missing {missing}, contrary to the attempt "
            f"{contrary}; the columns are {', '.join((*REQUIRED, *OPTIONAL))}"
        )
    plain = {name: jsonable(decision.get(name)) for name in (*REQUIRED, *OPTIONAL)}
    return {**plain, **said}


def jsonable(value: Any) -> Any:
    """The same value in what JSONB and the columns take: numpy unpacked, NaN and infinities null, NUL replaced."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, Sequence | set | frozenset):
        return [jsonable(part) for part in (sorted(value) if isinstance(value, set | frozenset) else value)]
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)
