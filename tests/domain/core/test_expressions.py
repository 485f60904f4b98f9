"""Arithmetic over columns, and nothing but arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.expressions import FUNCTIONS, MAX_LENGTH, ExpressionError, evaluate, names_in

NAN = float("nan")
COLUMNS = {"price": np.array([10.0, NAN, 0.0]), "discount": np.array([2.0, 3.0, 4.0])}


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        (4, [4, 4, 4]),
        ("4", [4, 4, 4]),
        ("0.5 * price", [5, NAN, 0]),
        ("0.5 * (3 + 0.1 * price)", [2, NAN, 1.5]),
        ("price - discount", [8, NAN, -4]),
        ("-price", [-10, NAN, 0]),
        ("discount % 3", [2, 0, 1]),
        ("min(price, 5)", [5, NAN, 0]),
        ("max(price, discount)", [10, NAN, 4]),
        ("abs(price - 12)", [2, NAN, 12]),
        ("round(discount / 3, 1)", [0.7, 1.0, 1.3]),
        ("where(is_missing(price), 50, price)", [10, 50, 0]),
        ("where(price > 5, 1, 0)", [1, 0, 0]),
        ("sqrt(discount - 3)", [NAN, 0, 1]),
        ("price / 0", [float("inf"), NAN, NAN]),
    ],
)
def test_value_of_every_row(expression: str | float, wanted: list[float]) -> None:
    value = evaluate(expression, COLUMNS, 3)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, wanted)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("price >= discount", [True, False, False]),
        ("(price > 1) | (discount > 3)", [True, False, True]),
        ("(price < 99) & ~(discount == 4)", [True, False, False]),
        ("1 < 2", [True, True, True]),
    ],
)
def test_comparisons_are_boolean(expression: str, wanted: list[bool]) -> None:
    value = evaluate(expression, COLUMNS, 3)
    assert value.dtype == bool
    assert value.tolist() == wanted


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("__import__('os').system('id')", "functions are|only numbers"),
        ("__import__", "is no field"),
        ("price.__class__", "Attribute is not allowed"),
        ("price.tofile(price)", "functions are"),
        ("().__class__.__bases__", "not allowed"),
        ("[x for x in price]", "ListComp is not allowed"),
        ("{1: price}", "Dict is not allowed"),
        ("lambda: price", "Lambda is not allowed"),
        ("price if price else 1", "IfExp is not allowed"),
        ("price and 1", "BoolOp is not allowed"),
        ("price[0]", "Subscript is not allowed"),
        ("f'{price}'", "not allowed"),
        ("(a := 1)", "NamedExpr is not allowed"),
        ("9 ** 9 ** 9 ** 9", "Pow is not allowed"),
        ("1 << 999999", "LShift is not allowed"),
        ("'a' * 9", "only numbers"),
        ("b'a'", "only numbers"),
        ("True", "only numbers"),
        ("None", "only numbers"),
        ("1j", "only numbers"),
        ("9" * 400, "at most 1e"),
        ("1e999", "at most 1e"),
        ("eval(price)", "functions are"),
        ("min", "is no field"),
        ("min(price)", "min takes 2 values"),
        ("sqrt(price, discount)", "sqrt takes 1 values"),
        ("round(price, 1, discount)", "round takes 1 or 2 values"),
        ("min(price, 1, out=discount)", "min takes 2 values"),
        ("max(*price)", "max takes 2 values"),
        ("max(*price, *price)", "Starred is not allowed"),
        ("1 < price < 3", "two things at a time"),
        ("prize", "prize is no field; there are price, discount"),
        ("price; 1", "is no expression"),
        ("price = 1", "is no expression"),
        ("", "is no expression"),
        ("\0", "is no expression"),
        ("\ud800", "is no expression"),
        ("-" * 400 + "1", "nested at most"),
        ("(" * 240 + "1" + ")" * 240, "no expression|nested"),
        ("1" + " + 1" * 200, "at most 500 characters"),
    ],
)
def test_anything_else_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        evaluate(expression, COLUMNS, 3)


def test_columns_are_never_written_to() -> None:
    """numpy's functions write into a third argument; only the number of arguments stands in between."""
    before = {name: values.copy() for name, values in COLUMNS.items()}
    for name in FUNCTIONS:
        for arguments in ("price, discount", "price, price, discount", "price, price, price, discount"):
            try:
                evaluate(f"{name}({arguments})", COLUMNS, 3)
            except ExpressionError:
                continue
    for name, values in before.items():
        np.testing.assert_array_equal(COLUMNS[name], values)


def test_result_is_not_the_column_itself() -> None:
    value = evaluate("price", COLUMNS, 3)
    value[0] = -1
    assert COLUMNS["price"][0] == 10


def test_names() -> None:
    assert names_in("max(price, 0) * share + price - min") == ("min", "price", "share")
    assert names_in("3") == ()


def test_length_is_limited() -> None:
    assert names_in("1" + " " * (MAX_LENGTH - 1)) == ()
    with pytest.raises(ExpressionError, match="at most 500"):
        names_in("1" + " " * MAX_LENGTH)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = evaluate(text, COLUMNS, 3)
    except ExpressionError:
        return
    assert value.shape == (3,)


@settings(deadline=None)
@given(st.text("price()+-*/%<>=&|~0123456789., whermin", max_size=40))
def test_any_formula_is_read_or_refused(text: str) -> None:
    try:
        value = evaluate(text, COLUMNS, 3)
    except ExpressionError:
        return
    assert value.dtype in (np.float64, bool)
