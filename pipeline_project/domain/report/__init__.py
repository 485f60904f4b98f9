"""The night report: pure functions from a night's tables to one page that explains the night."""

from __future__ import annotations

from pipeline_project.domain.report.facts import Alert, NightFacts, ReportTerms, Versions
from pipeline_project.domain.report.index import IndexRow, WorkflowIndex, index_row
from pipeline_project.domain.report.page import night_markdown, render_index, render_night
from pipeline_project.domain.report.states import NightState
from pipeline_project.domain.report.summary import NightReport, summarize

__all__ = [
    "Alert",
    "IndexRow",
    "NightFacts",
    "NightReport",
    "NightState",
    "ReportTerms",
    "Versions",
    "WorkflowIndex",
    "index_row",
    "night_markdown",
    "render_index",
    "render_night",
    "summarize",
]
