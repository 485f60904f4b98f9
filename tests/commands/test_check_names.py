"""`pipeline check` says which variables of the environment a spec names and may not, at their lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline_project.commands.check import run_check
from tests.commands.test_check_data import SPEC

ACTIONS = """\
actions:
  destinations:
    shop:
      kind: http
      url: ${SHOP_PLACE}/actions
      secret: AWS_SECRET_ACCESS_KEY
      lookup: ${PIPELINE_SOURCE_SHOP:-${DEEPER}}/actions/{key}
    books: {kind: sql, url: PIPELINE_POSTGRES_URL, table: effects}
    drop: {kind: files, folder: "${PIPELINE_HOME}/${HOME}"}
    fine: {kind: http, url: "${PIPELINE_SHOP_URL}/actions", secret: PIPELINE_SHOP_SECRET}
    own: {kind: sql, url: PIPELINE_SECRET_BOOKS, table: effects}
  kinds:
    pay: {destination: shop}
"""
ASKED = "source: {kind: sql, url_variable: CLAIMS_URL, query: 'SELECT 1 WHERE :start < :end'}"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PIPELINE_SPEC_VARIABLES", raising=False)
    path = tmp_path / "claims.yaml"
    source = next(line for line in SPEC.splitlines() if line.startswith("source:"))
    path.write_text(SPEC.replace(source, ASKED) + ACTIONS, encoding="utf-8")
    return path


def told(spec: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    code = run_check([spec], as_json=True)
    return code, json.loads(capsys.readouterr().out)


def test_every_name_that_is_not_allowed_is_told_at_its_line(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, mistakes = told(spec, capsys)
    lines = spec.read_text(encoding="utf-8").splitlines()
    found = {each["where"]: (each["sentence"].partition(";")[0].split()[-1], each["line"]) for each in mistakes}
    shop = "actions.destinations.shop"
    named = {
        "source.url_variable": "CLAIMS_URL", f"{shop}.url": "SHOP_PLACE", f"{shop}.secret": "AWS_SECRET_ACCESS_KEY",
        f"{shop}.lookup": "DEEPER", "actions.destinations.books.url": "PIPELINE_POSTGRES_URL",
        "actions.destinations.drop.folder": "HOME",
    }  # fmt: skip
    assert (code, {where: name for where, (name, _) in found.items()}) == (3, named)
    assert [name for where, (name, line) in found.items() if name not in lines[line - 1]] == []
    assert all("PIPELINE_SPEC_VARIABLES" in each["sentence"] for each in mistakes)
    monkeypatch.setenv("PIPELINE_SPEC_VARIABLES", ",".join(named.values()))
    assert told(spec, capsys) == (0, [])
