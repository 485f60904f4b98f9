"""What one line of `features:` asks for: `count by customer over 30 days`, and what it is called in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_DAY = 86_400_000_000
#: Microseconds of what a span may be counted in.
UNITS: Mapping[str, int] = {"hour": _DAY // 24, "day": _DAY, "week": 7 * _DAY}
#: The longest span: what a night reads is bounded by it.
LONGEST_DAYS = 1_100

_NAME = r"[a-z][a-z0-9_]{0,47}"
_NAMES = rf"{_NAME}(?: ?, ?{_NAME}){{0,7}}"
_LINE = re.compile(
    rf"(?P<what>.{{1,200}}?) (?:by (?P<by>{_NAMES})|linked through (?P<through>{_NAMES}))"
    r" over (?P<number>[0-9]{1,5}) (?P<unit>hour|day|week)s?\Z"
)
FORM = (
    "write what, of whom and how far back, as in `count by customer over 30 days`, `share of fraud by article over 12 "
    "weeks` or `distinct customer linked through address, device over 90 days`"
)


class Figure(StrEnum):
    """What is made of the rows that a case looks back on.

    Attributes:
        form: how it is written, as a regular expression; `of` is a field, of a share of outcomes a label.
        about: a line of docs/workflows.md.
        phrase: what a reason calls it.
    """

    form: str
    about: str
    phrase: str

    def __new__(cls, name: str, form: str, about: str, phrase: str) -> Figure:
        figure = str.__new__(cls, name)
        figure._value_, figure.form, figure.about, figure.phrase = name, form, about, phrase
        return figure

    COUNT = "count", "count", "`count`: how many cases", "cases"
    SUM = "sum", rf"sum of (?P<of>{_NAME})", "`sum of F`: of a number, those that are missing left out", "sum of {of}"
    MEAN = "mean", rf"mean of (?P<of>{_NAME})", "`mean of F`", "mean {of}"
    LARGEST = "max", rf"max of (?P<of>{_NAME})", "`max of F`", "largest {of}"
    SMALLEST = "min", rf"min of (?P<of>{_NAME})", "`min of F`", "smallest {of}"
    QUANTILE = (
        "quantile",
        rf"quantile (?P<part>0?\.[0-9]{{1,6}}) of (?P<of>{_NAME})",
        "`quantile 0.9 of F`",
        "{part} quantile of {of}",
    )
    TREND = "trend", rf"trend of (?P<of>{_NAME})", "`trend of F`: the slope of a straight line, a day", "trend of {of}"
    RATIO = (
        "ratio",
        rf"ratio of (?P<of>{_NAME})",
        "`ratio of F`: the case's own value over the mean, which is what is usual for the entity",
        "{of} against the mean",
    )
    DISTINCT = (
        "distinct",
        rf"distinct (?P<of>{_NAME})",
        "`distinct F`: how many different values, for instance customers of one address",
        "different {of}",
    )
    SINCE = "since", "days since last", "`days since last`: days since the latest case", "days since the last case"
    OUTCOMES = (
        "outcomes",
        rf"share of (?P<of>{_NAME})",
        "`share of LABEL`: of the cases whose outcome was known before the night began",
        "share of {of}",
    )
    VALUES = (
        "values",
        rf"share of (?P<of>{_NAME}) = (?P<equals>\S.{{0,79}}?)",
        "`share of F = V`: of the cases, those with that value",
        "share of {of} {equals}",
    )


#: Figures of a number, by the field that has it.
NUMERIC = frozenset(
    {Figure.SUM, Figure.MEAN, Figure.LARGEST, Figure.SMALLEST, Figure.QUANTILE, Figure.TREND, Figure.RATIO}
)
#: Figures that show a value of a single case where there is one alone.
TELLING = NUMERIC | {Figure.VALUES}


@dataclass(frozen=True)
class Aggregation:
    """One feature made of the rows that a case looks back on.

    Attributes:
        name: of the feature.
        line: as the spec has it, blanks taken out that say nothing.
        figure: what is made of them.
        of: the field it is made of; of `Figure.OUTCOMES` the label; None where it is made of the rows alone.
        equals: the value that is counted, of `Figure.VALUES`.
        part: of `Figure.QUANTILE`.
        entity: the fields whose values a row must have in common with the case.
        linked: whether one of these values in common is enough, also by way of other rows.
        span: how far back, in microseconds.
    """

    name: str
    line: str
    figure: Figure
    of: str | None
    equals: str | None
    part: float
    entity: tuple[str, ...]
    linked: bool
    span: int

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields of earlier cases that it reads."""
        return (*self.entity, *([self.of] if self.of and self.figure is not Figure.OUTCOMES else []))

    @property
    def days(self) -> int:
        """Whole days that hold its span."""
        return -(-self.span // _DAY)

    @property
    def phrase(self) -> str:
        """What it says, for a reason: `cases of the customer in 30 days`."""
        what = self.figure.phrase.format(of=self.of, equals=self.equals, part=f"{self.part:g}")
        names = " and ".join(self.entity)
        whom = f"among cases linked through {names}" if self.linked else f"of the {names}"
        return f"{what} {whom} in {self.line.rpartition(' over ')[2]}".replace("_", " ")


def aggregation(name: str, line: str) -> Aggregation:
    """What a line asks for.

    Raises:
        ValueError: it cannot be read; the message says what to write.
    """
    text = " ".join(line.split())
    match = _LINE.match(text)
    if match is None:
        raise ValueError(f"cannot be read; {FORM}")
    span = int(match["number"]) * UNITS[match["unit"]]
    if not 0 < span <= LONGEST_DAYS * _DAY:
        raise ValueError(f"looks back for {match['number']} {match['unit']}s; write from 1 hour to {LONGEST_DAYS} days")
    tried = ((figure, re.fullmatch(figure.form, match["what"])) for figure in Figure)
    figure, parts = next(((figure, what.groupdict()) for figure, what in tried if what), (None, {}))
    if figure is None:
        there_are = ", ".join(figure.about.split("`")[1] for figure in Figure)
        raise ValueError(f"`{match['what'][:60]}` is no figure; there are {there_are}")
    part = float(parts.get("part") or 0)
    if figure is Figure.QUANTILE and not 0 < part < 1:
        raise ValueError("a quantile lies between 0 and 1; write for instance `quantile 0.9 of price`")
    entity = tuple(name.strip() for name in (match["by"] or match["through"]).split(","))
    if len(set(entity)) < len(entity):
        raise ValueError("names a field twice; write each once")
    return Aggregation(
        name, text, figure, parts.get("of"), parts.get("equals"), part, entity, match["through"] is not None, span
    )
