"""Quantities as people write them: `2%` is 0.02, and a span of time is a whole number of microseconds."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

_PERCENT = re.compile(r"\s*(?P<number>[0-9]{1,9}(?:\.[0-9]{1,15})?)\s*%\s*")
#: The longest span that a spec may hold.
_LONGEST = timedelta(days=36_525)


def _portion(value: Any) -> Any:
    """`2%` as 0.02; everything else as it stands."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    return float(Decimal(match["number"]) / 100) if match else value


def _share(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
        part = Decimal(str(value)) / 100
        raise ValueError(
            f"{value} could mean {value}% or several times the whole; write {value}%, or {part}, a number from 0 to 1"
        )
    return _portion(value)


def places(value: Any) -> Any:
    """How many answers: a whole number as it stands, a fraction as the share that it is.

    Raises:
        ValueError: it could mean two things, or nothing.
    """
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        return f"{match['number']}%"
    if not isinstance(value, float):
        return value
    if 0 < value < 1:
        return f"{(Decimal(str(value)) * 100).normalize():f}%"
    if value == 1:
        raise ValueError("1.0 could mean one answer or the whole night; write 1 or 100%")
    if value > 1 and not value.is_integer():
        raise ValueError(f"{value} is no number of answers; write a whole number, or a share such as {value}%")
    return int(value) if value.is_integer() else value


#: Marks a number that may also be written as a percentage.
PORTION = BeforeValidator(_portion)
#: The same where more than the whole makes no sense.
SHARE = BeforeValidator(_share)
#: Marks the number of answers people can give.
PLACES = BeforeValidator(places)

#: A part of something that may also be more than the whole.
Portion = Annotated[float, PORTION]
Share = Annotated[float, SHARE, Field(ge=0, le=1)]

PERCENT = r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$"
_Answers = Annotated[int, Field(ge=0)] | Annotated[str, StringConstraints(pattern=PERCENT)]
#: Answers per night: a number of them, or a share of the night.
Capacity = Annotated[_Answers, PLACES]
#: The same where none need be given.
OptionalCapacity = Annotated[_Answers | None, PLACES]


def _whole_microseconds(unit: timedelta) -> AfterValidator:
    def rounded(value: float) -> float:
        if abs(value) > _LONGEST / unit:
            raise ValueError("is longer than a century; write a shorter time")
        span = value * unit
        if value > 0 and not span:
            raise ValueError("is shorter than a microsecond; write 0, or a longer time")
        return span / unit

    return AfterValidator(rounded)


def _span(unit: timedelta) -> Any:
    return Annotated[float, _whole_microseconds(unit)]


# Every clock behind a spec counts microseconds, so what lies between two of them is rounded here, once.
Days = _span(timedelta(days=1))
Hours = _span(timedelta(hours=1))
Minutes = _span(timedelta(minutes=1))
Seconds = _span(timedelta(seconds=1))
