"""Times that are written as numbers, and offsets that are written as names."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

#: Counts since the beginning of 1970, UTC: form -> microseconds of one.
EPOCHS: Final[dict[str, float]] = {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0, "epoch_ns": 1e-3}
#: Days as Excel counts them, in local time: form -> the day that is 0.
_SERIALS: Final[dict[str, str]] = {"excel": "1899-12-30", "excel_1904": "1904-01-01"}
#: Every form that may stand among the patterns of times.
FORMS: Final[tuple[str, ...]] = (*EPOCHS, *_SERIALS)

# Where one column holds several units, the number of digits tells which: seconds have eleven at most until 5138.
_SIZES: dict[str, tuple[float, float]] = {
    "epoch_s": (0, 1e11), "epoch_ms": (1e11, 1e14), "epoch_us": (1e14, 1e17), "epoch_ns": (1e17, np.inf),
}  # fmt: skip
# Before March 1900 Excel counts a day that there never was; what is left then is no date of a case anyway.
_FIRST_SERIAL = 61
_MICROSECONDS_OF_DAY = 86_400_000_000
_OFFSET_AT_END = re.compile(r"(?<![A-Za-z])(?P<name>[A-Za-z]{1,5})(?P<comment> ?\([A-Za-z ]*\))?$")
_UTC_NAMES = ("UTC", "GMT", "UT", "Z")
_HINTS: tuple[tuple[str, str], ...] = (
    (r"-?[0-9]{9,10}(\.[0-9]+)?", "epoch_s"),
    (r"-?[0-9]{12,13}(\.[0-9]+)?", "epoch_ms"),
    (r"-?[0-9]{15,16}", "epoch_us"),
    (r"-?[0-9]{18,19}", "epoch_ns"),
    (r"[2-6][0-9]{4}([.,][0-9]+)?", "excel"),
    (r"(19|20)[0-9]{6}", "%Y%m%d"),
    (r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}", "%d.%m.%Y"),
    (r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4} [0-9]{1,2}:[0-9]{2}", "%d.%m.%Y %H:%M"),
    (r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4} [0-9]{1,2}:[0-9]{2}:[0-9]{2}", "%d.%m.%Y %H:%M:%S"),
    (r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}", "%d/%m/%Y` or `%m/%d/%Y"),
    (r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4} [0-9]{1,2}:[0-9]{2}", "%d/%m/%Y %H:%M` or `%m/%d/%Y %H:%M"),
    (r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [A-Z+-].*", "%a, %d %b %Y %H:%M:%S %z"),
    (r"[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [A-Z+-].*", "%d %b %Y %H:%M:%S %z"),
)


def from_form(text: pd.Series, form: str, decimal: str = ".", by_size: bool = False) -> pd.Series:
    """Times out of numbers, null where a cell is no number or, as such, no time.

    Args:
        text: trimmed strings or null.
        form: one of FORMS.
        by_size: several units stand in one column, so that only numbers of the size of this one are taken.

    Returns:
        datetime64[us] without a zone: UTC for counts since 1970, local time for days of Excel.
    """
    mark = re.escape(decimal) if decimal == "." else rf"[.{re.escape(decimal)}]"
    numeric = text.where(text.str.fullmatch(rf"-?[0-9]{{1,19}}(?:{mark}[0-9]+)?", na=False))
    cells = [cell.replace(decimal, ".").partition(".") if isinstance(cell, str) else ("0", "", "") for cell in numeric]
    # Whole numbers and the rest apart: 19 digits are more than a float keeps.
    whole = np.array([int(before) for before, _, _ in cells], dtype="object")
    rest = np.array([float(f"{'-' * before.startswith('-')}0.{behind or 0}") for before, _, behind in cells])
    size = np.abs(whole.astype("float64"))
    usable = numeric.notna().to_numpy(bool, copy=True)
    if form in _SERIALS:
        usable &= (size >= _FIRST_SERIAL) & (size < 1e8) & (whole > 0)
        # To the millisecond: a cell's digits end there, and 09:14 must not become 09:13:59.999999.
        days = np.where(usable, whole, 0).astype("int64")
        counted = days * _MICROSECONDS_OF_DAY + np.round(rest * _MICROSECONDS_OF_DAY / 1000).astype("int64") * 1000
        counted += pd.Timestamp(_SERIALS[form]).value // 1000
    else:
        scale = EPOCHS[form]
        least, most = _SIZES[form] if by_size else (0.0, np.inf)
        usable &= (size >= least) & (size < most) & (size * scale < 2**62)
        exact = np.where(usable, whole, 0).astype("int64")
        counted = exact // 1000 if scale < 1 else exact * int(scale)
        counted = counted + np.round(np.where(usable, rest, 0) * scale).astype("int64")
    return pd.Series(counted.astype("datetime64[us]"), index=text.index).where(usable)


def offsets_written_out(text: pd.Series, zone: str) -> pd.Series:
    """Texts whose time zone stands at their end as a name get the offset instead: UTC, GMT and what the zone itself is
    called in summer and winter. Any other name could mean several offsets and stays, so that nothing reads it."""
    names = _offsets(zone)

    def written(cell: object) -> object:
        if not isinstance(cell, str):
            return cell
        bare = re.sub(r" \([A-Za-z ]*\)$", "", cell)
        match = _OFFSET_AT_END.search(bare)
        offset = names.get(match["name"].upper()) if match else None
        return bare[: match.start()] + offset if match and offset else bare

    return text.map(written, na_action="ignore")


def time_advice(cell: str) -> str:
    """What could stand in `time_formats` for a cell to be a time; empty where nothing comes to mind."""
    form = next((form for pattern, form in _HINTS if re.fullmatch(pattern, cell)), None)
    return f"; if it is one, add `{form}` to `time_formats`" if form else ""


@lru_cache(maxsize=32)
def _offsets(zone: str) -> dict[str, str]:
    offsets = dict.fromkeys(_UTC_NAMES, "+0000")
    for month in (1, 7):
        moment = datetime(2024, month, 1, 12, tzinfo=ZoneInfo(zone))
        name = moment.tzname() or ""
        if name.isalpha():
            offsets.setdefault(name.upper(), moment.strftime("%z"))
    return offsets
