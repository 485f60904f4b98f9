"""Somebody with docs/workflows.md and a CSV file: the page's own example, from nothing to decisions."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from pipeline_project.domain.core.nights import nights_between
from tests.integration.conftest import NewHouse
from tests.integration.house import ROOT, House

#: Their outcomes are known twenty days later, before the first decided night.
WARM_UP = ("2025-01-30", "2025-02-03")
DECIDED = ("2025-03-01", "2025-03-02")


def _blocks() -> tuple[str, str]:
    """The example's table and its workflow, as the page prints them."""
    page = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    workflow = re.search(r"```yaml\n(workflow:.*?)```", page, re.DOTALL)
    assert workflow is not None
    return table, workflow[1]


def _table(header: str) -> str:
    """A table with the example's columns: fifty claims on each of five nights, and ten on two nights a month later."""
    assert header == "claim_no,received,amount,kind,verdict"
    days = [*nights_between(*WARM_UP), *DECIDED]
    lines, number = [header], 0
    for day in days:
        for minute in range(10 if day in DECIDED else 50):
            number += 1
            # a few large thefts are honest: a field that tells everything by itself would be taken for a leak
            suspicious = number % 4 == 0
            fraud = suspicious and number % 12 != 0
            amount, kind = (3000 + number, "theft") if suspicious else (100 + number, "glass")
            verdict = "" if day in DECIDED else "fraud" if fraud else "honest"
            lines.append(f"C-{number},{day} 09:{minute:02},{amount}.00,{kind},{verdict}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    house = new_house("doc")
    table, workflow = _blocks()
    for file in house.folder.glob("*.yaml"):
        file.unlink()
    (house.folder / "claims.csv").write_text(_table(table.splitlines()[0]))
    house.name = f"claims_{uuid.uuid4().hex[:8]}"
    # only the name is another: the server of the tests is shared
    (house.folder / "claims.yaml").write_text(workflow.replace("workflow: claims\n", f"workflow: {house.name}\n"))
    return house


def test_the_check_finds_nothing_to_mend(house: House) -> None:
    done = house.command("check", str(house.folder / "claims.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_known_later_is_refused_as_a_feature(house: House, tmp_path: Path) -> None:
    mistaken = (
        (house.folder / "claims.yaml")
        .read_text()
        .replace("labels:", "  paid: {type: number, known_later: true, role: feature}\n\nlabels:")
    )
    (tmp_path / "mistaken.yaml").write_text(mistaken)
    done = house.command("check", str(tmp_path / "mistaken.yaml"))
    assert done.returncode == 3
    assert "fields.paid" in done.stdout + done.stderr
    assert "known_later" in done.stdout + done.stderr


def test_its_nights_are_decided_without_any_python(house: House) -> None:
    for first, last in (WARM_UP, DECIDED):
        done = house.process("nights", house.name, "--from", first, "--to", last, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
    for night in DECIDED:
        decided = house.decisions(night)
        assert len(decided) == 10
        assert {row["model_version"] for row in decided} == {"1"}
        assert "pay" in {row["option"] for row in decided}
        assert night in house.page(night)


def test_one_decision_is_explained(house: House) -> None:
    paid = next(row for row in house.decisions() if row["option"] == "pay")
    why = house.command("why", house.name, paid["case_id"])
    assert why.returncode == 0, why.stderr
    assert "Pay the claim" in why.stdout
    assert "honest" in why.stdout
