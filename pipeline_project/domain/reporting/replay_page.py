"""A replay as a page: one HTML file that needs nothing but itself, and a few lines in Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.domain.measures.intervals import Interval
from pipeline_project.domain.reporting import charts
from pipeline_project.domain.reporting import sentences as words

PERSON = "a person"


@dataclass(frozen=True)
class PageTerms:
    """How a workflow's replay is told.

    Attributes:
        titles: of the options, by name.
        desk: address of the review desk, where a case is explained; empty leaves the links out.
    """

    title: str
    currency: str
    titles: Mapping[str, str]
    desk: str = ""

    def named(self, option: str) -> str:
        return PERSON if option == ASK_PERSON else self.titles.get(option, option)


def render_replay(result: ReplayResult, candidate: str, number: int, terms: PageTerms) -> str:
    """The page; the same result gives the same bytes."""
    template = _environment().get_template("replay.html.j2")
    return template.render(
        result=result,
        candidate=candidate,
        number=number,
        terms=terms,
        headline=headline(result, terms.currency),
        flips=_matrix(result, terms),
    )


def headline(result: ReplayResult, currency: str) -> str:
    """What the replay says in one sentence."""
    flipped = f"{result.flipped:,} of {words.count(result.cases, 'case')} would be decided otherwise"
    if result.money is None:
        return f"{flipped}; what that would have cost is not known."
    value, low, high = result.money.value, result.money.low, result.money.high
    if not math.isfinite(value):
        return f"{flipped}; what that would have cost is not known."
    if value == low == high == 0:
        return f"{flipped}, at the same cost."
    direction = "less" if value < 0 else "more"
    sure = "beyond doubt" if high < 0 or low > 0 else "within what luck explains"
    return f"{flipped}, for {words.money(abs(value), currency)} a case {direction}, {sure}."


def spread(money: Interval, currency: str) -> str:
    """An interval as one reads it."""
    return f"{_signed(money.value, currency)} ({_signed(money.low, currency)} to {_signed(money.high, currency)})"


def replay_markdown(result: ReplayResult, terms: PageTerms) -> str:
    """A few lines for an asset's metadata; no case and nothing personal in it."""
    difference = spread(result.money, terms.currency) if result.money else f"unknown: {result.refused}"
    errors = [words.percent(side.error, 1) for side in (result.base, result.candidate)]
    lines = [
        headline(result, terms.currency),
        "",
        "| | base | candidate |",
        "|---|---:|---:|",
        f"| model version | {result.base.model_version or 'none'} | {result.candidate.model_version or 'none'} |",
        f"| asked of people | {result.base.asked:,} | {result.candidate.asked:,} |",
        f"| wrong without people | {errors[0]} | {errors[1]} |",
        "",
        f"Candidate minus base per case: {difference}.",
    ]
    return "\n".join(lines) + "\n"


def _matrix(result: ReplayResult, terms: PageTerms) -> list[tuple[str, str, int]]:
    """Before, after, cases; most first."""
    ways = [(way.split(" -> "), n) for way, n in result.flips.items()]
    return [(terms.named(before), terms.named(after), n) for (before, after), n in ways]


def _signed(value: float, currency: str) -> str:
    return ("+" if value > 0 else "") + words.money(value, currency)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline_project.domain.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(count=words.count, bar=charts.bar)
    environment.filters.update(
        money=words.money, percent=words.percent, duration=words.seconds, spread=spread, signed=_signed, known=_finite
    )
    return environment


def _finite(value: Any) -> bool:
    """Whether a number is one."""
    return isinstance(value, int | float) and math.isfinite(value)
