"""How a night stands in the names of files: `{night}`, or `{night:%Y%m%d}` where it is written otherwise."""

from __future__ import annotations

import re
from datetime import date

_ISO = "%Y-%m-%d"
_NIGHT = re.compile(r"\{night(?::(?P<format>[^{}]*))?\}")
#: What may stand in the pattern of a night -> how many digits it takes.
DIRECTIVES = {"Y": 4, "m": 2, "d": 2, "j": 3, "y": 2}


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern does not say a night; None where it does."""
    formats = [match["format"] or _ISO for match in _NIGHT.finditer(pattern)]
    if not formats or "{" in _NIGHT.sub("", pattern):
        return (
            "must contain {night}, for instance claims/{night}/*.csv, or {night:%Y%m%d} where it is written otherwise"
        )
    if ".." in pattern.split("/"):
        return "stays below its folder; take out .. and name the folder above in `folder`"
    if any(match["format"] == "" for match in _NIGHT.finditer(pattern)):
        return "says nothing after {night:; write for instance {night:%Y%m%d}"
    used = "".join(formats)
    unknown = [directive for directive in re.findall("%(.?)", used) if directive not in DIRECTIVES]
    if unknown or re.search(r"[*?\[\]]", used):
        return "may write a night with %Y, %m, %d, %j and %y, as in {night:%Y%m%d}"
    year, day = "%Y" in used or "%y" in used, "%j" in used or ("%m" in used and "%d" in used)
    return None if year and day else "must say year, month and day of a night, as in {night:%Y%m%d}"


def night_glob(pattern: str, night: date | None = None) -> str:
    """The pattern as `Path.glob` takes it, for a night or for all of them. Brackets are signs of a name like others."""

    def written(match: re.Match[str]) -> str:
        form = match["format"] or _ISO
        if night is not None:
            # Years before 1000 too have four digits; strftime leaves that to the platform.
            return night.strftime(form.replace("%Y", f"{night.year:04d}"))
        return re.sub("%(.)", lambda directive: "?" * DIRECTIVES[directive[1]], form)

    return _NIGHT.sub(written, pattern.replace("[", "[[]"))


def night_in(name: str, pattern: str) -> str | None:
    """The night that a file's name says, None where it does not follow the pattern or says no day that there is."""
    match = re.fullmatch(_expression(pattern), name)
    if match is None:
        return None
    numbers = {key: int(value) for key, value in match.groupdict().items()}
    year = numbers["Y"] if "Y" in numbers else 2000 + numbers["y"]
    try:
        if "m" in numbers and "d" in numbers:
            night = date(year, numbers["m"], numbers["d"])
        else:
            night = date.fromordinal(date(year, 1, 1).toordinal() + numbers["j"] - 1)
    except ValueError:
        return None
    # Where a part is said twice in different ways, as %y beside %Y, both must say the same.
    said_again = all(int(night.strftime(f"%{key}")) == value for key, value in numbers.items() if key != "Y")
    return night.isoformat() if said_again and night.year == year else None


def _expression(pattern: str) -> str:
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
        pieces = re.split("%(.)", match["format"] or _ISO)
        parts += [digits(piece) if odd % 2 else re.escape(piece) for odd, piece in enumerate(pieces)]
        at = match.end()
    return "".join([*parts, *(wildcards.get(character, re.escape(character)) for character in pattern[at:])])
