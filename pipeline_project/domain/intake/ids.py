"""Ids as sources write them: the one form in which they are compared, and the forms that are no id any more."""

from __future__ import annotations

import re

import pandas as pd

# Up to here a double holds every integer; beyond, an integer that was one on its way has lost digits.
_EXACT = 2**53
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,17}))[.,]0*")
# 1.23457E+15, 1,2E15, 123E+4 and 1E15. What is left alone: 781e4521, which may well be a name.
_EXPONENT = r"[+-]?(?:[0-9]+[.,][0-9]*[eE][+-]?[0-9]{1,4}|[0-9]+[eE][+-][0-9]{1,4}|[0-9][eE][0-9]{1,3})"
# #N/A, #NV, #REF!, #NAME?, #¡VALOR!, and the #### of a column that is too narrow.
_SHEET_ERROR = r"#(?:N/?[A-Z]|[¡¿]?[^\W\d_][\w/ ]*[!?]|DIV/0!?|GETTING_DATA|#+)"
_NO_VALUE = r"(?i)[+-]?(?:nan|inf|infinity|1\.#\w+)|nat|null|none|true|false|<na>"

#: Why a text is no id -> the pattern of all such texts.
DAMAGED: dict[str, str] = {
    "is in exponent notation, so digits of it are lost; export the column as text": _EXPONENT,
    "is a spreadsheet's error; export the column again from where it was right": _SHEET_ERROR,
    "is a word for a value that is missing, true or false; deliver the id itself": _NO_VALUE,
    "came as a fraction too large to hold all of its digits; export the column as text": r"-?[0-9]{16,}[.,]0*",
}


def canonical(text: str) -> str:
    """An integer that came as a fraction, as the integer it is: 1001.0 and `1001,` are 1001. Anything else as it is.

    A column of integers becomes one of fractions as soon as one value is missing.
    """
    match = _WHOLE.fullmatch(text)
    return match[1] if match and abs(int(match[1])) < _EXACT else text


def canonical_ids(text: pd.Series) -> pd.Series:
    """`canonical` over a column; a missing value stays missing."""
    whole = text.str.fullmatch(_WHOLE.pattern, na=False).to_numpy(bool)
    if not whole.any():
        return text
    return text.mask(whole, text.where(whole, "").map(lambda cell: canonical(str(cell))))


def damaged(text: pd.Series) -> dict[str, pd.Series]:
    """Why -> which values of a column are no id any more."""
    wrong = {why: text.str.fullmatch(pattern, na=False) for why, pattern in DAMAGED.items()}
    exact = text.where(text.str.fullmatch(_WHOLE.pattern, na=False)).map(_is_exact, na_action="ignore")
    last = list(wrong)[-1]
    return {**wrong, last: wrong[last] & ~exact.eq(True)}


def _is_exact(text: str) -> bool:
    return canonical(text) != text
