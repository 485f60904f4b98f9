"""Writes docs/workflows.md: prose from the template beside this file, and every key from the models themselves.

python -m pipeline_project.spec.docs > docs/workflows.md
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from pipeline_project.domain.core.expressions import FUNCTIONS
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.core.schema import FieldType
from pipeline_project.domain.features.aggregations import Figure
from pipeline_project.domain.features.series import SeriesFigure
from pipeline_project.domain.lifecycle.drift.signals import DRIFT_KINDS
from pipeline_project.domain.lifecycle.gates import GATES
from pipeline_project.spec.base import is_part, keys_of
from pipeline_project.spec.words import WantedValue, in_words, wanted
from pipeline_project.spec.workflow import WorkflowSpec

TEMPLATE = Path(__file__).with_name("workflows.template.txt")


def workflows_page() -> str:
    """The text of docs/workflows.md."""
    prose = TEMPLATE.read_text(encoding="utf-8")
    lists = {
        "FUNCTIONS": ", ".join(f"`{name}`" for name in FUNCTIONS),
        "FIGURES": "\n".join(f"- {figure.about}" for figure in Figure),
        "SERIES_FIGURES": _list({figure.value: figure.about for figure in SeriesFigure}),
        "FIELD_TYPES": _list({kind.value: kind.about for kind in FieldType}),
        "REASONS": _list({reason.value: reason.words.desk for reason in Reason}),
        "GATES": _list({name: gate.asks for name, gate in GATES.items()}),
        "SIGNALS": _list({kind.check: kind.means for kind in DRIFT_KINDS.values()}),
        "KEYS": _all_keys(),
    }
    for name, text in lists.items():
        prose = prose.replace(f"%{name}%", text)
    return prose


def example(page: str, kind: str) -> str:
    """The first code block of a kind (`csv` or `yaml`) in a page."""
    block = re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)
    if block is None:
        raise ValueError(f"the page has no code block of the kind {kind}")
    return block.group(1)


def _list(meanings: Mapping[str, str]) -> str:
    """The members of a registry, each with its line."""
    return "\n".join(f"- `{name}`: {line}" for name, line in meanings.items())


def _all_keys() -> str:
    return "\n\n".join(_table(title, part) for title, part in _parts("", WantedValue(WorkflowSpec)))


def _parts(prefix: str, want: WantedValue) -> Iterator[tuple[str, WantedValue]]:
    """Every part of the spec with the path of keys that leads to it, each where it is first needed."""
    yield prefix, want
    for name, field in keys_of(want.kind).items():
        path = f"{prefix}.{name}" if prefix else name
        value = wanted(field)
        yield from _tagged(path, value) if value.tagged else _nested(path, value)


def _tagged(path: str, value: WantedValue) -> Iterator[tuple[str, WantedValue]]:
    """One part for each tag."""
    for tag, branch in value.tagged.items():
        if branch.is_part:
            first, *nested = _parts(path, branch)
            kind = "kind" in keys_of(branch.kind)
            yield f"{path}` with `kind: {tag}" if kind else f"{path}` one per `label", first[1]
            yield from nested
        elif branch.entry is not None:
            yield from _parts(f"{path}.NAME", branch.entry)


def _nested(path: str, value: WantedValue) -> Iterator[tuple[str, WantedValue]]:
    only = value.branches[0]
    entry = only.entry
    if only.is_part:
        yield from _parts(path, only)
    elif entry is not None:
        below = f"{path}[]" if in_words(only).startswith("a list") else f"{path}.NAME"
        yield from _tagged(below, entry) if entry.tagged else _parts(below, entry) if entry.is_part else ()


def _table(title: str, part: WantedValue) -> str:
    heading = f"### `{title}`"
    lines = [heading if title else "### At the top", "", inspect.getdoc(part.kind) or "", ""]
    lines += ["| key | what it takes | default | meaning |", "|---|---|---|---|"]
    for name, field in keys_of(part.kind).items():
        takes = in_words(wanted(field)).replace("|", "\\|")
        described = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{name}` | {takes} | {_default(field)} | {described} |")
    return "\n".join(lines)


def _default(field: Any) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value in ((), {}, ""):
        return "–"
    if is_part(type(value)):
        return "see below"
    plain = value.value if isinstance(value, Enum) else value
    return f"`{plain if isinstance(plain, str) else json.dumps(plain)}`"


if __name__ == "__main__":
    sys.stdout.write(workflows_page())
