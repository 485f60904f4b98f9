"""Arithmetic over a case's fields, written in a spec and evaluated over whole columns at once.

The evaluator is simpleeval's: names, numbers, operators and the functions listed here, nothing else.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
from simpleeval import InvalidExpression, SimpleEval

MAX_LENGTH = 500

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


def _parsed(expression: str) -> ast.Expression:
    if len(expression) > MAX_LENGTH:
        raise ExpressionError(f"an expression may have at most {MAX_LENGTH} characters, this has {len(expression)}")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ExpressionError(f"`{expression}` is no expression; write for instance `0.5 * price`") from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ExpressionError(
                f"`{expression}`: {type(node).__name__} is not allowed; use fields, numbers, + - * / %, comparisons "
                f"joined with & and |, and {', '.join(FUNCTIONS)}"
            )
        if isinstance(node, ast.Constant) and not isinstance(node.value, int | float):
            raise ExpressionError(f"`{expression}`: only numbers may stand in an expression, not {node.value!r}")
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            raise ExpressionError(f"`{expression}`: compare two things at a time and join them with &")
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS):
            raise ExpressionError(f"`{expression}`: the functions are {', '.join(FUNCTIONS)}")
    return tree


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
        columns: float64 arrays of length `rows`; a missing value is NaN and makes the result NaN.
        rows: how many values are wanted.

    Returns:
        Shape (rows,), float64, or bool for a comparison.

    Raises:
        ExpressionError: not allowed, or a name that is no column.
    """
    if not isinstance(expression, str):
        return np.full(rows, float(expression))
    _parsed(expression)
    evaluator = SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names=dict(columns))
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            value: Any = evaluator.eval(expression.strip())
    except (InvalidExpression, TypeError, ValueError) as error:
        raise ExpressionError(f"`{expression}`: {error}") from error
    return np.array(np.broadcast_to(value, (rows,)))
