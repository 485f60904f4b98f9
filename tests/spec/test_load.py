"""Workflow files become specs, and one broken file takes nothing else down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.spec import WorkflowSpec, check_file, load_all, load_spec
from pipeline_project.spec.load import SHIPPED
from pipeline_project.spec.workflow import read_schema

SHIPPED_NAMES = {"order_returns", "returns", "support_tickets", "vehicle_claims"}
MINIMAL = """\
workflow: minimal
title: Minimal
owners: [desk@example.com]
nights: {time_zone: UTC, first: 2025-01-01, decide_from: 2025-01-02}
source: {kind: files, folder: in, pattern: "{night}.csv"}
id_from: [text]
fields: {text: {type: text}}
labels: [yes, no]
outcome: {kind: column, column: answer, values: {1: yes, 0: no, on: yes}, known_at: [{field: night}]}
options: {right: 0, wrong: 5}
review: {cost: 1, capacity: 10}
"""


def write(folder: Path, name: str, text: str = MINIMAL) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_workflows_are_sound() -> None:
    files = sorted(SHIPPED.glob("*.yaml"))
    assert [check_file(path) for path in files] == [[] for _ in files]
    loaded = load_all()
    assert set(loaded.specs) == {path.stem for path in files} == SHIPPED_NAMES
    assert loaded.broken == []


def test_spec_starts_at_its_folder(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, "a.yaml"))
    assert spec.folder == tmp_path
    assert spec.name == "minimal"


def test_words_mean_what_is_written(tmp_path: Path) -> None:
    """YAML 1.1 would read yes, no and on as true and false, and the keys 1 and 0 as numbers."""
    spec = load_spec(write(tmp_path, "a.yaml"))
    assert spec.labels == ("yes", "no")
    assert spec.outcome.kind == "column"
    assert spec.outcome.values == {"1": "yes", "0": "no", "on": "yes"}
    assert spec.nights.first == date(2025, 1, 1)


def test_switches_accept_yes_and_no(tmp_path: Path) -> None:
    text = MINIMAL.replace("{type: text}", "{type: text, required: no, pii: yes}")
    field = load_spec(write(tmp_path, "a.yaml", text)).fields["text"]
    assert (field.required, field.pii) == (False, True)


@pytest.mark.parametrize("text", ["12:30", "2025-01-31", "007", "0x1F", "1_000", "12345678901234567890"])
def test_what_only_looks_like_a_value_stays_text(tmp_path: Path, text: str) -> None:
    spec = load_spec(write(tmp_path, "a.yaml", MINIMAL + f"missing: [{text}]\n"))
    assert spec.missing == (text,)


def test_anchors_and_merges(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "{text: {type: text}}", "{text: &t {type: text, max_length: 9}, more: *t, last: {<<: *t, required: no}}"
    )
    fields = load_spec(write(tmp_path, "a.yaml", text)).fields
    assert fields["more"] == fields["text"]
    assert (fields["last"].max_length, fields["last"].required) == (9, False)


def test_sections_a_text_or_photo_needs_have_defaults(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, "a.yaml", MINIMAL.replace("type: text}", "type: text}, photo: {type: image}")))
    assert spec.encoders.keys() == {"text", "image"}
    ignored = load_spec(write(tmp_path, "b.yaml", MINIMAL.replace("type: text}", "type: text, role: ignore}")))
    assert "text" not in ignored.encoders
    assert not ignored.encodes


def test_costs_of_all_other_labels(tmp_path: Path) -> None:
    options = "options: {act: {title: Act, costs: {a: 1, others: 7}}, b: {title: B, costs: {right: 0, wrong: 2}}}"
    text = MINIMAL.replace("[yes, no]", "[a, b, c]").replace("values: {1: yes, 0: no, on: yes}, ", "")
    spec = load_spec(write(tmp_path, "a.yaml", text.replace("options: {right: 0, wrong: 5}", options)))
    assert spec.cost_matrix.cells == ((1, 7, 7), (2, 0, 2))


def test_warm_up_ends_with_the_first_decided_night(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, "a.yaml"))
    assert spec.warms_up("2025-01-01")
    assert not spec.warms_up("2025-01-02")


def test_one_broken_file_leaves_the_others(tmp_path: Path) -> None:
    write(tmp_path, "good.yaml")
    broken = write(tmp_path, "broken.yml", "title: x: y")
    loaded = load_all([tmp_path, tmp_path / "nowhere", tmp_path])
    assert set(loaded.specs) == {"minimal", *SHIPPED_NAMES}
    assert [error.file for error in loaded.broken] == [broken, tmp_path / "nowhere"]
    assert "no such folder" in str(loaded.broken[1])


def test_two_files_with_one_name(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "one.yaml")
    second = write(tmp_path / "b", "two.yaml", "# again\n" + MINIMAL)
    loaded = load_all([tmp_path / "a", tmp_path / "b"])
    assert loaded.specs["minimal"].folder == tmp_path / "a"
    (clash,) = loaded.broken
    assert str(clash).startswith(f"{second}:2:1: workflow: {first} is called minimal as well")


@pytest.mark.parametrize("name", sorted(SHIPPED_NAMES))
def test_hash_survives_being_written_and_read(name: str, tmp_path: Path) -> None:
    spec = load_all().specs[name]
    path = write(tmp_path, "again.yaml", yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True)))
    assert load_spec(path).spec_hash == spec.spec_hash


def test_hash_is_that_of_the_release_before_where_a_spec_says_nothing_new(tmp_path: Path) -> None:
    """Written down once: what decided under it is found by it."""
    before = "ca4046f85233559480d596a88a522f03a47d73f7b87d099f396fcb8c79904cbc"
    assert load_spec(write(tmp_path, "minimal.yaml")).spec_hash == before
    headless = MINIMAL.replace('pattern: "{night}.csv"', 'pattern: "{night}.csv", header: [text, answer]')
    assert load_spec(write(tmp_path, "headless.yaml", headless)).spec_hash != before


@given(order=st.permutations(MINIMAL.splitlines()))
def test_hash_does_not_depend_on_the_order_of_keys(order: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    shuffled = load_spec(write(folder, "shuffled.yaml", "# words\n" + "\n".join(order)))
    assert shuffled.spec_hash == load_spec(write(folder, "plain.yaml")).spec_hash


def test_hash_depends_on_the_content(tmp_path: Path) -> None:
    changed = load_spec(write(tmp_path, "b.yaml", MINIMAL.replace("wrong: 5", "wrong: 6")))
    assert changed.spec_hash != load_spec(write(tmp_path, "a.yaml")).spec_hash


def test_spec_built_in_code_is_judged_by_the_same_rules() -> None:
    data = yaml.safe_load(
        MINIMAL.replace("[yes, no]", '["yes", "ask_person"]').replace("values: {1: yes, 0: no, on: yes}, ", "")
    )
    with pytest.raises(ValueError, match="`ask_person` has a meaning of its own"):
        WorkflowSpec.model_validate(data)


def test_reading_specs_loads_nothing_heavy() -> None:
    """Every step and every sensor process pays for it."""
    code = (
        "import sys; from pipeline_project.spec import load_all; assert load_all().specs; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'dagster', 'torch', 'mlflow', 'sklearn', "
        "'great_expectations', 'deltalake', 'sqlalchemy', 'xgboost', 'ruamel'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"


def test_what_the_ledger_kept_of_a_spec_is_read_as_it_was() -> None:
    spec = load_spec(SHIPPED / "returns.yaml")
    kept = json.loads(json.dumps(spec.model_dump(mode="json"), sort_keys=True))
    again = read_schema({name: part for name, part in reversed(kept.items()) if name not in ("decimal", "twins")})
    assert again is not None
    assert set(again.fields) == set(spec.case_schema.fields)
    assert read_schema({}) is None
    assert read_schema(kept | {"fields": {"a": {"type": "no longer known"}}}) is None


def test_earlier_names_may_be_one_or_several() -> None:
    spec = load_spec(SHIPPED / "returns.yaml").model_dump(mode="json")
    assert WorkflowSpec.model_validate(spec | {"renamed_from": "old"}).renamed_from == ("old",)
    assert WorkflowSpec.model_validate(spec | {"renamed_from": ["a", "b"]}).renamed_from == ("a", "b")
