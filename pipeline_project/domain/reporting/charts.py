"""Charts as inline SVG, drawn by hand so that a page needs nothing but itself.

Colours come from the page's style sheet through classes, so light, dark and print agree. Bars beside a table's
numbers are decoration and hidden from screen readers; a chart that stands alone says in words what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from pipeline_project.domain.reporting.calibration import CalibrationReport
from pipeline_project.domain.reporting.sentences import count, percent
from pipeline_project.domain.reporting.summary import Confidence

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 24, 38


def bar(parts: Sequence[tuple[str, float]]) -> Markup:
    """A horizontal bar for a table's cell: (class, share of the whole width) from left to right."""
    rects, at = [], 0.0
    for kind, share in parts:
        width = 0.0 if share <= 0 else max(0.6, min(share, 1.0) * 100)
        rects.append(Markup('<rect class="{}" x="{:.2f}" y="0" width="{:.2f}" height="10"/>').format(kind, at, width))
        at += width
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">{}</svg>'
    ).format(Markup("").join(rects))


def flow(parts: Sequence[tuple[str, str, int]]) -> Markup:
    """One bar for the whole night, from left to right: (class, words, rows)."""
    total = sum(rows for _, _, rows in parts)
    if not total:
        return Markup("")
    rects, at = [], 0.0
    for kind, _, rows in parts:
        width = rows / total * 100
        if rows:
            shape = '<rect class="{}" x="{:.3f}" y="0" width="{:.3f}" height="10"/>'
            rects.append(Markup(shape).format(kind, at, max(0.15, width - 0.25)))
        at += width
    description = ", ".join(f"{rows:,} {what}" for _, what, rows in parts)
    return Markup(
        '<svg class="flow" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(description, Markup("").join(rects))


def confidence_chart(confidence: Confidence) -> Markup:
    """How sure the model was: cases per twentieth, those sent to people stacked on those it decided."""
    bins = list(zip(confidence.by_policy, confidence.to_people, strict=True))
    highest = max(policy + people for policy, people in bins)
    width = (WIDTH - LEFT - RIGHT) / len(bins)
    shapes = [_frame(_ticks(highest), highest, "confidence of the likeliest label", "cases")]
    for i, (policy, people) in enumerate(bins):
        x = LEFT + i * width
        for kind, low, high in (("policy", 0, policy), ("people", policy, policy + people)):
            if high > low:
                shapes.append(_rect(kind, x + 0.7, _y(high / highest), width - 1.4, _y(low / highest)))
    sure = sum(confidence.by_policy), sum(confidence.to_people)
    upper = sum(policy + people for policy, people in bins[len(bins) * 9 // 10 :])
    description = (
        f"Histogram of the model's confidence: {count(sure[0], 'case')} decided by the policy, "
        f"{count(sure[1], 'case')} sent to people; {percent(upper / sum(sure))} have a confidence of 0.9 or more."
    )
    return _chart(description, shapes)


def reliability_chart(report: CalibrationReport) -> Markup:
    """What was said against what came true, with 95 % intervals; the diagonal would be perfect."""
    shapes = [_frame([0.0, 0.25, 0.5, 0.75, 1.0], 1.0, f"probability given to {report.event}", "came true", share=True)]
    diagonal = '<line class="ideal" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
    shapes.append(Markup(diagonal).format(_x(0), _y(0), _x(1), _y(1)))
    points = " ".join(f"{_x(b.said):.1f},{_y(b.came_true):.1f}" for b in report.bins)
    shapes.append(Markup('<polyline class="curve" points="{}"/>').format(points))
    for b in report.bins:
        x = _x(b.said)
        line = '<line class="interval" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
        shapes.append(Markup(line).format(x, _y(b.low), x, _y(b.high)))
        dot = '<circle class="point" cx="{:.1f}" cy="{:.1f}" r="3.4"><title>{}</title></circle>'
        text = f"said {percent(b.said, 1)}, came true {percent(b.came_true, 1)} of {count(b.cases, 'case')}"
        shapes.append(Markup(dot).format(x, _y(b.came_true), text))
    outside = sum(not b.low <= b.said <= b.high for b in report.bins)
    description = (
        f"Reliability plot of {count(len(report.bins), 'group')} of cases: "
        f"{count(outside, 'group lies', 'groups lie')} further from the diagonal than chance allows."
    )
    return _chart(description, shapes)


def sparkline(values: Sequence[float | None], description: str, width: int = 96, height: int = 22) -> Markup:
    """A small curve of shares between 0 and 1 with its last point marked; nights without a value are gaps."""
    step = (width - 8) / max(1, len(values) - 1)

    def at(i: int, value: float) -> str:
        return f"{4 + i * step:.1f},{height - 3 - value * (height - 6):.1f}"

    runs: list[list[str]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(at(i, value))
    lines = [Markup('<polyline class="curve" points="{}"/>').format(" ".join(run)) for run in runs if len(run) > 1]
    if values and values[-1] is not None:
        x, y = at(len(values) - 1, values[-1]).split(",")
        lines.append(Markup('<circle class="people" cx="{}" cy="{}" r="2.4"/>').format(x, y))
    return Markup('<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, description, Markup("").join(lines)
    )


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _rect(kind: str, x: float, top: float, width: float, bottom: float) -> Markup:
    shape = '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
    return Markup(shape).format(kind, x, top, width, max(0.8, bottom - top))


def _ticks(highest: int) -> list[float]:
    """About four round numbers from 0 to at most `highest`."""
    rough = highest / 4
    power = 10 ** max(0, len(str(int(rough))) - 1)
    step = next((power * k for k in (1, 2, 5, 10) if power * k >= rough), power * 10)
    return [float(n) for n in range(0, highest + 1, int(step))]


def _frame(ticks: Sequence[float], highest: float, below: str, beside: str, share: bool = False) -> Markup:
    """Axes, grid and names: x always runs from 0 to 1."""
    parts = []
    for tick in ticks:
        y, text = _y(tick / highest), f"{tick:.2f}".rstrip("0").rstrip(".") if share else f"{tick:,.0f}"
        line = (
            '<line class="grid" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/><text x="{}" y="{:.1f}" class="end">{}</text>'
        )
        parts.append(Markup(line).format(LEFT, y, WIDTH - RIGHT, y, LEFT - 5, y + 3.5, text))
    for tick in (0, 0.25, 0.5, 0.75, 1):
        label = '<text x="{:.1f}" y="{}" class="middle">{:g}</text>'
        parts.append(Markup(label).format(_x(tick), HEIGHT - BOTTOM + 14, tick))
    names = '<text x="{:.1f}" y="{}" class="middle name">{}</text><text x="{}" y="{}" class="name">{}</text>'
    parts.append(Markup(names).format(_x(0.5), HEIGHT - 6, below, 2, 9, beside))
    return Markup("").join(parts)


def _chart(description: str, shapes: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, escape(description), Markup("").join(shapes)
    )
