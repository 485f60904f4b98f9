"""What the documents say of commands, settings and files is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from pipeline_project.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_readme_lists_every_command() -> None:
    from pipeline_project.cli import app

    named = re.findall(r"^\| `pipeline (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    commands = typer.main.get_group(app).commands
    assert sorted(named) == sorted(commands)


def test_the_readme_lists_every_setting(tmp_path: Path) -> None:
    listed = re.findall(r"^\| `(PIPELINE_\w+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    every = Settings(
        tmp_path, "postgresql://x", workflow_folders=(tmp_path,), real_data=tmp_path, hosts=("a",),
        spec_variables=("B",), require_sign_in=False, tenants=tmp_path, tenant="acme",
    ).to_environ()  # fmt: skip
    assert sorted(listed) == sorted(every)


def test_every_decision_is_in_the_index_under_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for page in folder.glob("[0-9]*.md"):
        title = re.match(r"# \d+\. (.+)", page.read_text(encoding="utf-8"))
        assert title and f"[{title[1]}]({page.name})" in index
