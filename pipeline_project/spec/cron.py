"""Whether a cron expression is one: five fields, as Dagster's schedules read them."""

from __future__ import annotations

import re

from pipeline_project.domain.core.nights import Cadence

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_ITEM = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?\Z")


def cron_problem(expression: str) -> str | None:
    """What is wrong with a cron expression, as a sentence, or None when it is one."""
    fields = expression.split(" ")
    if len(fields) != len(_FIELDS) or not all(fields):
        return f"`{expression}` is no cron expression: write five fields with one space between, such as 30 2 * * *"
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for item in text.split(","):
            if not _valid(item, low, high, names):
                return f"`{item}` is no {name}: write {low} to {high}, a range such as {low}-{high}, * or */2"
    if fields[3] in ("2", "feb") and fields[2] in ("30", "31"):
        return "February has no such day"
    return None


def misfit(expression: str, every: Cadence) -> str | None:
    """Why a cron expression does not run once for each night, or None where it may: a night that it passes over waits
    for the next, and of two that have ended only the last would run."""
    minute, hour, day, month, weekday = expression.split(" ")
    if every is Cadence.HOUR and (not minute.isdecimal() or {hour, day, month, weekday} != {"*"}):
        return f"`{expression}` does not run once in every hour, as `every: hour` asks; write for instance 10 * * * *"
    one_day = weekday.lower() in _DAYS or weekday.isdecimal()
    if every is Cadence.WEEK and not (one_day and (day, month) == ("*", "*")):
        return f"`{expression}` does not run on one day of every week, as `every: week` asks; write 30 2 * * mon"
    return None


def _valid(item: str, low: int, high: int, names: dict[str, int]) -> bool:
    match = _ITEM.match(item)
    if match is None:
        return False
    first, last, step = match["first"], match["last"], match["step"]
    if step is not None and not 1 <= int(step) <= high:
        return False
    numbers = [_number(text, names) for text in (first, last) if text is not None]
    if any(number is None or not low <= number <= high for number in numbers):
        return False
    return len(numbers) < 2 or (numbers[0] or 0) <= (numbers[1] or 0)


def _number(text: str, names: dict[str, int]) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() else names.get(text.lower())
