"""One spelling of a fact, so that its hash is the same wherever and whenever it is computed.

The rules, in the order in which they apply:

* an object's keys are text, sorted by code point; no blanks; everything beyond ASCII is escaped (`\\u00e4`);
* None is `null`; a missing key is not the same as null;
* a whole number is its digits, and a float of a whole value below 2**53 the same digits: 40 and 40.0 are one number,
  as they are in JSON and in PostgreSQL; -0.0 is 0;
* any other float is the shortest text that reads back as the same float (Python's repr); NaN and the infinities are
  the texts "NaN", "Infinity" and "-Infinity";
* a Decimal is a text without exponent and without zeros at the end: "12.3";
* a time is a text in UTC with six digits of a second and a Z: "2026-01-31T23:00:00.000000Z"; a time without a zone is
  refused; a day is "2026-01-31";
* NUL in a text becomes U+FFFD, as in the ledger, which cannot hold it;
* a set is sorted by its members' spelling; other sequences keep their order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

#: Up to here a float and a whole number of the same value are told apart by nobody.
EXACT = 2**53

# made once: `json.dumps` makes another one at each call whose arguments are not its defaults
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: Any) -> str:
    """The one spelling of a value, as ASCII JSON.

    Raises:
        ValueError: a time has no zone, or something has no spelling.
    """
    return spelled(plain(value))


def spelled(value: Any) -> str:
    """The spelling of a value that `plain` made."""
    return _ENCODER.encode(value)


def plain(value: Any) -> Any:
    """The value in JSON's own types, such that equal facts are equal spellings."""
    kind = type(value)
    if kind is str:
        return value.replace("\x00", "\ufffd") if "\x00" in value else value
    if kind is float:
        return _number(value)
    if value is None or kind is int or kind is bool:
        return value
    if kind is dict:
        return {str(key): plain(part) for key, part in value.items()}
    if kind is list or kind is tuple:
        return [plain(part) for part in value]
    return _rarer(value)


def as_floats(value: Any) -> Any:
    """A value whose whole numbers beyond what floats tell apart are floats: jsonb keeps the float 1e+23 as 10**23."""
    if isinstance(value, dict):
        return {key: as_floats(part) for key, part in value.items()}
    if isinstance(value, list):
        return [as_floats(part) for part in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= EXACT:
        return float(value)
    return value


def _number(value: float) -> int | float | str:
    if abs(value) < EXACT:
        return int(value) if value.is_integer() else value
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _rarer(value: Any) -> Any:
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str | int | float):
        return plain(next(kind for kind in (str, int, float) if isinstance(value, kind))(value))
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Set):
        return sorted((plain(part) for part in value), key=spelled)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(part) for part in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    unpacked = getattr(value, "tolist", None)
    if unpacked is not None:  # numpy's arrays and numbers
        return plain(unpacked())
    raise ValueError(f"a fact may not hold a {type(value).__name__}: give it as text, number, time or None")


def moment(value: datetime) -> str:
    """A time as it stands in a fact.

    Raises:
        ValueError: it has no zone.
    """
    if value.tzinfo is None:
        raise ValueError("a fact's time needs a time zone; take the database's clock or datetime.now(UTC)")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def decimal_text(value: Decimal) -> str:
    """A Decimal without exponent and without zeros at the end."""
    if not value.is_finite():
        return "NaN" if value.is_nan() else "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
