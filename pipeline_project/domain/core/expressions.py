"""Arithmetic over a case's fields, written in a spec and evaluated over whole columns at once.

The evaluator is simpleeval's: names, numbers, operators and the functions listed here, nothing else.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from simpleeval import InvalidExpression, SimpleEval

MAX_LENGTH = 500
MAX_DEPTH = 100
MAX_NUMBER = 1e15

FUNCTIONS = {
    "min": np.minimum,
    "max": np.maximum,
    "abs": np.abs,
    "round": np.round,
    "sqrt": np.sqrt,
    "log1p": np.log1p,
    "where": np.where,
    "is_missing": np.isnan,
}

# numpy would take one argument more as the place to write the result, and so change a case's own column.
_ARGUMENTS = {"min": (2, 2), "max": (2, 2), "round": (1, 2), "where": (3, 3)}

# simpleeval's own operators guard against huge strings and ask a column for its truth value; these work on columns.
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.true_divide,
    ast.Mod: np.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.Invert: np.logical_not,
}

_ALLOWED = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Load, ast.Constant, *OPERATORS
)  # fmt: skip


class ExpressionError(ValueError):
    """An expression that cannot be used; the message says what to write instead."""


@lru_cache(maxsize=1_024)
def _parsed(expression: str) -> ast.Expression:
    if len(expression) > MAX_LENGTH:
        raise ExpressionError(f"an expression may have at most {MAX_LENGTH} characters, this has {len(expression)}")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"`{expression}` is no expression; write for instance `0.5 * price`") from error
    # Walked level by level, because a thousand minus signs would exhaust the stack of anything recursive.
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise ExpressionError(f"an expression may be nested at most {MAX_DEPTH} deep; write it with fewer brackets")
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ExpressionError(
                f"`{expression}`: {type(node).__name__} is not allowed; use fields, numbers, + - * / %, comparisons "
                f"joined with & and |, and {', '.join(FUNCTIONS)}"
            )
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, int | float):
                raise ExpressionError(f"`{expression}`: only numbers may stand in an expression, not {node.value!r}")
            if node.value > MAX_NUMBER:
                raise ExpressionError(f"`{expression}`: a number may be at most {MAX_NUMBER:.0e}")
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            raise ExpressionError(f"`{expression}`: compare two things at a time and join them with &")
        if isinstance(node, ast.Call):
            _check_call(expression, node)
    return tree


def _check_call(expression: str, node: ast.Call) -> None:
    if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
        raise ExpressionError(f"`{expression}`: the functions are {', '.join(FUNCTIONS)}")
    least, most = _ARGUMENTS.get(node.func.id, (1, 1))
    if not least <= len(node.args) <= most or node.keywords:
        wanted = str(least) if least == most else f"{least} or {most}"
        raise ExpressionError(f"`{expression}`: {node.func.id} takes {wanted} values, this gives it {len(node.args)}")


@lru_cache(maxsize=1_024)
def names_in(expression: str) -> tuple[str, ...]:
    """The fields an expression reads, sorted.

    Raises:
        ExpressionError: it is no allowed expression.
    """
    tree = _parsed(expression)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}
    return tuple(sorted(names))


def evaluate(expression: str | float, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    """The value of an expression for every row.

    Args:
        expression: a number, or an expression over the names in `columns`.
        columns: float64 arrays of length `rows`; a missing value is NaN and makes the result of arithmetic NaN,
            while a comparison with it is false (ask `is_missing(price)` first).
        rows: how many values are wanted.

    Returns:
        Shape (rows,), float64, or bool for a comparison. Dividing by a field that is 0 gives NaN or infinity.

    Raises:
        ExpressionError: not allowed, or a name that is no column.
    """
    if not isinstance(expression, str):
        return np.full(rows, float(expression))
    unknown = [name for name in names_in(expression) if name not in columns]
    if unknown:
        raise ExpressionError(f"`{expression}`: {unknown[0]} is no field; there are {', '.join(columns) or 'none'}")
    evaluator = SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names=dict(columns))
    try:
        with np.errstate(all="ignore"):
            value: Any = np.asarray(evaluator.eval(expression, _parsed(expression).body))
            value = value if value.dtype == bool else value.astype(np.float64)
    except (InvalidExpression, TypeError, ValueError, OverflowError) as error:
        raise ExpressionError(f"`{expression}`: {error}") from error
    return np.array(np.broadcast_to(value, (rows,)))
