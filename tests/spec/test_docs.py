"""docs/workflows.md says what the models say, and its example works."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from pipeline_project.spec import check_file, load_spec
from pipeline_project.spec.docs import example, workflows_page
from pipeline_project.spec.words import WantedValue, in_words, wanted

PAGE = Path(__file__).parents[2] / "docs" / "workflows.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == workflows_page(), (
        "run: python -m pipeline_project.spec.docs > docs/workflows.md"
    )


def test_example_is_sound_and_short(tmp_path: Path) -> None:
    text = example(workflows_page(), "yaml")
    assert len(text.splitlines()) < 40
    path = tmp_path / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    assert check_file(path) == []


def test_example_reads_its_table(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(example(workflows_page(), "yaml"), encoding="utf-8")
    spec = load_spec(path)
    rows = list(csv.DictReader(io.StringIO(example(workflows_page(), "csv"))))
    assert spec.outcome.kind == "column"
    columns = {field.column for field in spec.case_schema.fields} | {spec.outcome.column}
    assert columns == set(rows[0])
    assert {row["verdict"] for row in rows} - {""} == set(spec.labels)


@pytest.mark.parametrize(
    "heading",
    [
        "### At the top",
        "### `nights`",
        "### `source` with `kind: sql`",
        "### `source.files[].spread`",
        "### `fields.NAME`",
        "### `outcome.known_at[]`",
        "### `model.retrain`",
        "### `options.NAME`",
        "### `options` one per `label`",
        "### `review`",
    ],
)
def test_every_part_has_its_table(heading: str) -> None:
    assert f"{heading}\n" in workflows_page()


def test_every_key_is_described() -> None:
    rows = [line for line in workflows_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert [row for row in rows if row.rstrip(" |").endswith("|") or row.count(" | ") < 3] == []


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | None, "a whole number"),
        (float | str, "a number, or text"),
        (tuple[str, ...], "a list of texts"),
        (dict[str, str], "a group of names, each with text"),
        (bool, "true or false"),
    ],
)
def test_types_in_words(annotation: object, words: str) -> None:
    assert in_words(wanted(annotation)) == words
    assert isinstance(wanted(annotation), WantedValue)
