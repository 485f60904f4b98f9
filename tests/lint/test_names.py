"""The check of names finds what CONTEXT.md rules out, and nothing where there is no table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.names import misnamed, read_avoided

CONTEXT = """# Words

## In names

| say | and not |
|---|---|
| port | `door`, `doors` |
| *what it holds* | `found` |
"""
MODULE = '''"""The door, said in words."""
from dataclasses import dataclass


@dataclass
class OpenDoors:
    found: int


def rows(indoors: int, found: int) -> int:
    door_of = [found for found in (indoors,)]
    return door_of[0]


def _found() -> None: ...
'''


def test_names_are_held_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "CONTEXT.md").write_text(CONTEXT, encoding="utf-8")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "front_door.py").write_text(MODULE, encoding="utf-8")
    assert sorted(misnamed(tmp_path)) == [
        "assets/front_door.py:10: found does not say what it holds",
        "assets/front_door.py:11: door_of says door, which CONTEXT.md calls port",
        "assets/front_door.py:11: found does not say what it holds",
        "assets/front_door.py:15: _found does not say what it holds",
        "assets/front_door.py:1: front_door says door, which CONTEXT.md calls port",
        "assets/front_door.py:6: OpenDoors says doors, which CONTEXT.md calls port",
    ]


def test_without_a_table_nothing_passes() -> None:
    with pytest.raises(ValueError, match="no table under '## In names'"):
        read_avoided("# Words\n\n| say | and not |\n|---|---|\n| port | `door` |\n")
