"""vulture over production code: a name counts as used where the house, its templates or a framework uses it.

Tests do not count: what only they call is dead all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vulture import Vulture

HOUSE = Path(__file__).parents[2]
PRODUCTION = ("pipeline_project", "assets", "resources")
#: Searched with it: what measures and pictures the house may use what nothing else does.
BESIDE = ("benchmarks", "docs")
WHITELIST = Path(__file__).with_name("called_by_name.py")
#: What is registered by being decorated.
DECORATORS = (
    "@app.*", "@router.*", "@*.command", "@*.callback", "@field_validator", "@model_validator", "@field_serializer",
    "@declared_as", "@drift_kind", "@gate",
)  # fmt: skip
#: Percent; a name that nobody uses is reported with 60.
LEAST_CONFIDENCE = 60
_TEMPLATES = (".html", ".j2")
_ATTRIBUTE = re.compile(r"\.([a-z_][a-z0-9_]*)\b(?!\.(?:html|css|js|j2))", re.IGNORECASE)
_CODE = re.compile(r"{[{%](.*?)[%}]}", re.DOTALL)


def unused(house: Path = HOUSE) -> Iterator[str]:
    """Each unused name of a house as `path:line: unused function 'name' …`."""
    found = Vulture(ignore_decorators=DECORATORS)
    found.scavenge([str(house / folder) for folder in (*PRODUCTION, *BESIDE) if (house / folder).exists()])
    found.scan(WHITELIST.read_text(), filename=WHITELIST)
    found.scan("\n".join(f"_.{name}" for name in sorted(_named_in_templates(house))), filename="templates.py")
    for item in found.get_unused_code(min_confidence=LEAST_CONFIDENCE):
        yield item.get_report().replace(f"{house}/", "")


def _named_in_templates(house: Path) -> set[str]:
    paths = [path for folder in PRODUCTION for path in (house / folder).rglob("*") if path.suffix in _TEMPLATES]
    code = (match for path in paths for match in _CODE.findall(path.read_text()))
    return {name for piece in code for name in _ATTRIBUTE.findall(piece)}
