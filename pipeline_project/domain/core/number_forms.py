"""Numbers as people and spreadsheets write them: marks between thousands, a currency's sign, a minus behind."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Literal, get_args

#: What may stand in a number beside digits, a decimal mark and a minus before it.
NumberForm = Literal["currency", "minus_behind", "brackets"]
#: A mark between thousands. The blank stands for every kind of blank, the apostrophe for its several shapes.
ThousandsMark = Literal[".", ",", "'", " ", "_"]

_BLANKS = " \u00a0\u202f\u2009\u2007"
_SAME = {" ": _BLANKS, "'": "'\u2019\u02bc`"}
_MINUS = "-\u2212"
_SIGNS: dict[str, tuple[str, ...]] = {
    "EUR": ("€",), "USD": ("$", "US$"), "GBP": ("£",), "JPY": ("¥", "円"), "CNY": ("¥", "元"), "INR": ("₹", "Rs."),
    "CHF": ("Fr.", "SFr.", "Fr"), "RUB": ("₽",), "TRY": ("₺",), "KRW": ("₩",), "ILS": ("₪",), "UAH": ("₴",),
    "PLN": ("zł",), "CZK": ("Kč",), "SEK": ("kr", "kr."), "NOK": ("kr", "kr."), "DKK": ("kr", "kr."), "HUF": ("Ft",),
    "BRL": ("R$",), "CAD": ("$", "C$", "CA$"), "AUD": ("$", "A$", "AU$"), "MXN": ("$", "MX$"), "NZD": ("$", "NZ$"),
    "THB": ("฿",), "NGN": ("₦",), "PHP": ("₱",), "VND": ("₫",), "ZAR": ("R",),
}  # fmt: skip
_LONGEST_HINTED = 60


@dataclass(frozen=True)
class NumberStyle:
    """How a source writes its numbers.

    Attributes:
        decimal: the decimal mark, "." or ",".
        thousands: marks that may stand between groups of digits; within one number always the same.
        forms: what else may stand in a number.
        currency: ISO 4217; with the form `currency` its code or sign may stand before or behind, and no other one.
    """

    decimal: str = "."
    thousands: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    currency: str = ""


def plainly(text: str, style: NumberStyle) -> str | None:
    """A number as Python writes it, `-1234.50` for `1.234,50-`; None where the text is none in this style.

    Args:
        text: trimmed.
    """
    rest, peeled = text, set[str]()
    while (outermost := _peel(rest, style, peeled)) is not None:
        rest, what = outermost
        peeled.add(what)
    core = _core(style.decimal, style.thousands).fullmatch(rest)
    # Two signs, as in (-5) or -5-, say nothing that one could rely on.
    if core is None or len(peeled & {"plus", "minus", "brackets", "minus_behind"}) > 1:
        return None
    whole = "".join(character for character in core["whole"] or "" if character.isdigit())
    part = (core["part"] or "").replace(style.decimal, ".")
    sign = "-" if peeled & {"minus", "brackets", "minus_behind"} else ""
    return f"{sign}{whole}{part}{core['power'] or ''}"


def advice(text: str, style: NumberStyle) -> str:
    """What would have to stand in the spec for a text to be a number; empty where nothing would help.

    Args:
        text: trimmed, and no number in this style.
    """
    if len(text) > _LONGEST_HINTED:
        return ""
    everything = get_args(NumberForm)
    marks = [style.thousands, *((mark,) for mark in get_args(ThousandsMark) if mark not in style.thousands)]
    for decimal, thousands in product((style.decimal, "," if style.decimal == "." else "."), marks):
        wider = replace(style, decimal=decimal, thousands=thousands, forms=everything)
        if decimal not in thousands and plainly(text, wider) is not None:
            return _keys_to_set(text, style, wider)
    foreign = style.currency and any(
        plainly(text, replace(style, thousands=thousands, forms=everything, currency=other)) is not None
        for other in _SIGNS
        for thousands in marks
    )
    return f"no other currency's sign than that of {style.currency} may stand there" if foreign else ""


def _keys_to_set(text: str, style: NumberStyle, wider: NumberStyle) -> str:
    """The keys in which the wider style must differ for the text to be read."""
    needed = wider
    for form in wider.forms:
        fewer = replace(needed, forms=tuple(other for other in needed.forms if other != form))
        needed = fewer if plainly(text, fewer) is not None else needed
    keys = []
    if wider.decimal != style.decimal:
        keys.append(f"`decimal: '{wider.decimal}'`")
    if wider.thousands != style.thousands:
        mark = wider.thousands[0]
        keys.append(f'`thousands: "{mark}"`' if mark == "'" else f"`thousands: '{mark}'`")
    if set(needed.forms) - set(style.forms):
        keys.append(f"`number_forms: [{', '.join(dict.fromkeys((*style.forms, *needed.forms)))}]`")
    # That there is another decimal mark alone is said already, by naming the declared one.
    only_decimal = len(keys) == 1 and wider.decimal != style.decimal
    return "" if only_decimal else f"where such is a number, set {' and '.join(keys)} in the spec"


def _peel(text: str, style: NumberStyle, peeled: set[str]) -> tuple[str, str] | None:
    """The text without the outermost thing that is no digit, and what that was; None when nothing may be taken off."""
    if text[:1] in tuple(_MINUS) and "minus" not in peeled:
        return text[1:], "minus"
    if text[:1] == "+" and "plus" not in peeled:
        return text[1:], "plus"
    if "brackets" in style.forms and "brackets" not in peeled and text[:1] == "(" and text[-1:] == ")":
        return text[1:-1].strip(_BLANKS), "brackets"
    if "minus_behind" in style.forms and "minus_behind" not in peeled and text[-1:] in tuple(_MINUS) and text[:-1]:
        return text[:-1].rstrip(_BLANKS), "minus_behind"
    if "currency" in style.forms and "currency" not in peeled and style.currency:
        for sign in sorted((style.currency, *_SIGNS.get(style.currency, ())), key=len, reverse=True):
            if text.startswith(sign):
                return text[len(sign) :].lstrip(_BLANKS), "currency"
            if text.endswith(sign):
                return text[: -len(sign)].rstrip(_BLANKS), "currency"
    return None


@lru_cache(maxsize=64)
def _core(decimal: str, thousands: tuple[str, ...]) -> re.Pattern[str]:
    """Digits, grouped or not, with a decimal part and a power of ten."""
    grouped = ""
    for mark in thousands:
        one = f"[{re.escape(_SAME.get(mark, mark))}]"
        # Groups of three, as in India also of two before the last; 0.123 is no thousand.
        name = f"mark{len(grouped)}"
        grouped += rf"|[1-9][0-9]{{0,2}}(?P<{name}>{one})(?:[0-9]{{2,3}}(?P={name}))*[0-9]{{3}}"
    part = rf"{re.escape(decimal)}[0-9]*"
    return re.compile(rf"(?=.?[0-9])(?P<whole>[0-9]+{grouped})?(?P<part>{part})?(?P<power>[eE][+-]?[0-9]{{1,4}})?")
