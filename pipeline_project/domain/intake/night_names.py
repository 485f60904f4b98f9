"""How a night stands in the names of files: `{night}` for its key, or `{night:%Y%m%d}` where it is written otherwise.

What is written is where the night begins: of an hour the day and the hour of UTC, of a week its ISO week or its Monday.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from functools import lru_cache

from pipeline_project.domain.core.nights import Cadence, cadence_of, day_of, is_night, window_of

_NIGHT = re.compile(r"\{night(?::(?P<format>[^{}]*))?\}")
#: What may stand in the pattern of a night -> how many digits it takes.
DIRECTIVES = {"Y": 4, "m": 2, "d": 2, "j": 3, "y": 2, "H": 2, "G": 4, "V": 2, "u": 1}
_OF = {Cadence.HOUR: "YmdjyH", Cadence.DAY: "Ymdjy", Cadence.WEEK: "YmdjyGVu"}
_EXAMPLES = {Cadence.HOUR: "{night:%Y%m%d%H}", Cadence.DAY: "{night:%Y%m%d}", Cadence.WEEK: "{night:%G%V}"}


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern does not say a night, of whatever cadence; None where it does."""
    formats = [match["format"] for match in _NIGHT.finditer(pattern)]
    if not formats or "{" in _NIGHT.sub("", pattern):
        return (
            "must contain {night}, for instance claims/{night}/*.csv, or {night:%Y%m%d} where it is written otherwise"
        )
    if ".." in pattern.split("/"):
        return "stays below its folder; take out .. and name the folder above in `folder`"
    if "" in formats:
        return "says nothing after {night:; write for instance {night:%Y%m%d}"
    used = "".join(form for form in formats if form)
    unknown = [directive for directive in re.findall("%(.?)", used) if directive not in DIRECTIVES]
    if unknown or re.search(r"[*?\[\]]", used):
        return (
            "may write a night with %Y, %m, %d, %j and %y, as in {night:%Y%m%d}; an hour with %H too, a week with %G, "
            "%V and %u"
        )
    return None


def pattern_misfit(pattern: str, cadence: Cadence) -> str | None:
    """Why a pattern does not say which night of a cadence; None where it does."""
    used = set(re.findall("%(.)", "".join(_forms(pattern, cadence))))
    example = _EXAMPLES[cadence]
    if extra := sorted(used - set(_OF[cadence])):
        return (
            f"%{extra[0]} says nothing of a night that is a{'n' * (cadence is Cadence.HOUR)} {cadence}; write {example}"
        )
    year, day = bool(used & {"Y", "y"}), "j" in used or {"m", "d"} <= used
    if cadence is Cadence.WEEK:
        return None if {"G", "V"} <= used or (year and day) else f"must say the year and the week, as in {example}"
    if not (year and day):
        return "must say year, month and day of a night, as in {night:%Y%m%d}"
    return None if cadence is Cadence.DAY or "H" in used else f"must say the hour too, in UTC, as in {example}"


def night_glob(pattern: str, cadence: Cadence, night: str | None = None) -> str:
    """The pattern as `Path.glob` takes it, for a night or for all of them. Brackets are signs of a name like others."""

    def written(match: re.Match[str]) -> str:
        form = match["format"] or cadence.key_format
        if night is not None:
            return _written(night, form)
        return re.sub("%(.)", lambda directive: "?" * DIRECTIVES[directive[1]], form)

    return _NIGHT.sub(written, pattern.replace("[", "[[]"))


def night_in(name: str, pattern: str, cadence: Cadence) -> str | None:
    """The night that a file's name says, None where it does not follow the pattern or says none that there is."""
    match = _expression(pattern, cadence).fullmatch(name)
    if match is None:
        return None
    numbers = {key: int(value) for key, value in match.groupdict().items()}
    try:
        night = _night(numbers, cadence)
    except ValueError:
        return None
    # Where a part is said twice in different ways, as %y beside %Y, both must say the same.
    said_again = is_night(night) and all(int(_written(night, f"%{key}")) == value for key, value in numbers.items())
    return night if said_again else None


def _night(numbers: dict[str, int], cadence: Cadence) -> str:
    if cadence is Cadence.WEEK and "G" in numbers and "V" in numbers:
        return f"{numbers['G']:04d}-W{numbers['V']:02d}-1"
    year = numbers["Y"] if "Y" in numbers else 2000 + numbers["y"]
    if "m" in numbers and "d" in numbers:
        day = date(year, numbers["m"], numbers["d"])
    else:
        day = date.fromordinal(date(year, 1, 1).toordinal() + numbers["j"] - 1)
    if cadence is Cadence.HOUR:
        return f"{day.isoformat()}T{numbers['H']:02d}Z"
    if cadence is Cadence.WEEK:
        week = day.isocalendar()
        return f"{week.year:04d}-W{week.week:02d}-{week.weekday}"
    return day.isoformat()


def _written(night: str, form: str) -> str:
    hour = window_of(night, "UTC").start.hour if cadence_of(night) is Cadence.HOUR else 0
    begins = datetime.combine(day_of(night), time(hour))
    # Years before 1000 too have four digits; strftime leaves that to the platform.
    return begins.strftime(form.replace("%Y", f"{begins.year:04d}"))


def _forms(pattern: str, cadence: Cadence) -> list[str]:
    return [match["format"] or cadence.key_format for match in _NIGHT.finditer(pattern)]


@lru_cache(maxsize=256)
def _expression(pattern: str, cadence: Cadence) -> re.Pattern[str]:
    wildcards = {"*": "[^/]*", "?": "[^/]"}
    seen: set[str] = set()

    def digits(key: str) -> str:
        if key in seen:
            return f"(?P={key})"
        seen.add(key)
        return rf"(?P<{key}>[0-9]{{{DIRECTIVES[key]}}})"

    parts, at = [], 0
    for match in _NIGHT.finditer(pattern):
        parts += [wildcards.get(character, re.escape(character)) for character in pattern[at : match.start()]]
        pieces = re.split("%(.)", match["format"] or cadence.key_format)
        parts += [digits(piece) if odd % 2 else re.escape(piece) for odd, piece in enumerate(pieces)]
        at = match.end()
    return re.compile("".join([*parts, *(wildcards.get(sign, re.escape(sign)) for sign in pattern[at:])]))
