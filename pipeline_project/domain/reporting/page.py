"""A report as a page: one HTML file that needs nothing but itself, and a summary for Dagster's metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline_project.domain.reporting import charts
from pipeline_project.domain.reporting import sentences as words
from pipeline_project.domain.reporting.index import WorkflowIndex
from pipeline_project.domain.reporting.money import comparison_sentence
from pipeline_project.domain.reporting.summary import NightReport
from pipeline_project.domain.reporting.thumbnails import thumbnail

MOST_PHOTOS = 24
#: Options in full on the page; a workflow with more shows the most frequent ones and sums up the rest.
MOST_OPTIONS = 12


def render_night(report: NightReport, photo: Callable[[str], bytes | None] | None = None) -> str:
    """The page of one night; the same report and photos give the same bytes.

    Args:
        photo: the content of a photo by its path, None if it cannot be had; asked at most 24 times.
    """
    pictures = _pictures(report, photo) if photo else {}
    options = sorted(
        (line for line in report.options if line.cases or len(report.options) <= MOST_OPTIONS),
        key=lambda line: (-line.cases, line.title),
    )
    return (
        _environment()
        .get_template("night.html.j2")
        .render(
            report=report,
            pictures=pictures,
            options=options[:MOST_OPTIONS],
            more_options=options[MOST_OPTIONS:],
            compared=_constants(report.comparison),
            realised=_constants(report.realised),
        )
    )


def render_index(workflows: Sequence[WorkflowIndex]) -> str:
    """The page over all nights: one row a night, newest first, a table per workflow."""
    return _environment().get_template("index.html.j2").render(workflows=workflows)


def night_markdown(report: NightReport) -> str:
    """A few lines in Markdown for the asset's metadata; no case and nothing personal in it."""
    lines = [f"**{_plain(report.title)}, night {report.night}** ({report.state})", "", report.headline]
    lines += ["", *(f"- **{_plain(banner.title)}**: {_plain(banner.text)}" for banner in report.banners)]
    if report.comparison:
        lines += ["", _plain(comparison_sentence(report.comparison, report.currency))]
    rows = [(line.title, line.cases, line.amount) for line in report.options if line.cases]
    rows.sort(key=lambda row: (-row[1], row[0]))
    rows = rows[:MOST_OPTIONS] + [(f"Person: {line.words}", line.cases, line.amount) for line in report.people]
    if rows:
        lines += ["", "| decided | cases | amount |", "|---|---:|---:|"]
        lines += [f"| {_plain(t)} | {n:,} | {words.money(a, report.currency)} |" for t, n, a in rows]
    if report.refusals:
        lines += ["", "| refused because | rows |", "|---|---:|"]
        lines += [f"| {_plain(r.reason)} | {r.rows:,} |" for r in report.refusals]
    if report.calibration:
        lines += ["", _plain(report.calibration.sentence)]
    if report.immature:
        lines += ["", _plain(report.immature)]
    return "\n".join(lines) + "\n"


def _pictures(report: NightReport, photo: Callable[[str], bytes | None]) -> Mapping[str, str | None]:
    """Thumbnails by path, None for a photo that cannot be shown."""
    paths = [path for line in (report.groups.lines if report.groups else ()) for _, path in line.photos]
    wanted = list(dict.fromkeys(paths))[:MOST_PHOTOS]
    contents = {path: photo(path) for path in wanted}
    return {path: thumbnail(content) if content else None for path, content in contents.items()}


def _constants(compared: Any) -> list[Any]:
    """The cheapest constant policies, at most five; the others could only be worse."""
    return sorted(compared.constants, key=lambda line: (line.cost, line.option))[:5] if compared else []


def _plain(text: str) -> str:
    """Text that Markdown cannot mistake for its own signs."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return "".join(f"\\{sign}" if sign in "\\`*_[]|#" else sign for sign in escaped)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline_project.domain.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        bar=charts.bar,
        flow=charts.flow,
        confidence_chart=charts.confidence_chart,
        reliability_chart=charts.reliability_chart,
        sparkline=charts.sparkline,
        sentence=comparison_sentence,
        count=words.count,
    )
    environment.filters.update(money=words.money, percent=words.percent, duration=words.seconds)
    return environment
