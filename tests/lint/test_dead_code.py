from __future__ import annotations

from pathlib import Path

from tests.lint.dead_code import unused

MODULE = """
from dataclasses import dataclass


@dataclass
class Shown:
    amount: float
    forgotten: str


@router.get("/")
def page():
    return Shown(1.0, "")


def nobody_calls_this():
    return page()
"""


def test_what_nobody_uses_is_found_and_a_template_or_a_route_is_a_use(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/shown.py").write_text(MODULE)
    (tmp_path / "assets/page.html").write_text("no.forgotten <p>{{ shown.amount|money }}</p>")
    found = [line.partition(": ")[2] for line in unused(tmp_path)]
    assert found == [
        "unused variable 'forgotten' (60% confidence)",
        "unused function 'nobody_calls_this' (60% confidence)",
    ]


def test_a_use_in_tests_does_not_count(tmp_path: Path) -> None:
    for folder, text in (("assets", "def f():\n    pass\n"), ("tests", "from assets.a import f\n\nf()\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text(text)
    assert [line.partition(": ")[2] for line in unused(tmp_path)] == ["unused function 'f' (60% confidence)"]
