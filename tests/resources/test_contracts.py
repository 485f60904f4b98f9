"""Great Expectations as contracts: which rows break which rule, and what no row can mend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from claim_specs import HEADER, WINDOW, claims, fields, row, write

from pipeline_project.domain.admission import Admission, admit, read_rows
from pipeline_project.domain.ports import Expectation
from pipeline_project.domain.vectors import pack
from pipeline_project.settings import Settings
from pipeline_project.spec.contract import rules
from resources.contracts import cases_contract, decisions_contract, embeddings_contract, scores_contract
from resources.sources import case_source


def validated(
    folder: Path, *lines: str, header: str = HEADER, **changes: Any
) -> tuple[dict[str, Expectation], Admission]:
    write(folder, *lines, header=header)
    spec = claims(folder, **changes)
    table = case_source(spec, Settings(home=folder / "home"), {}).read(WINDOW)
    typed = read_rows(table, spec.case_schema)
    verdicts = cases_contract(spec).validate(typed.frame)
    assert [verdict.name for verdict in verdicts] == [rule.name for rule in rules(spec)]
    return {verdict.name: verdict for verdict in verdicts}, admit(typed, verdicts, None, WINDOW)


def broken(verdicts: dict[str, Expectation]) -> dict[str, tuple[int, ...]]:
    return {name: verdict.failed for name, verdict in verdicts.items() if not verdict.passed}


def test_good_rows_meet_every_rule(tmp_path: Path) -> None:
    verdicts, admission = validated(tmp_path, *(row(n) for n in range(5)))
    assert broken(verdicts) == {}
    assert {verdict.evaluated for verdict in verdicts.values()} == {5}
    assert admission.cases.num_rows == 5


def test_each_rule_names_its_rows_and_they_are_refused(tmp_path: Path) -> None:
    lines = [
        row(0), row(1, price="-1"), row(2, price="1e30"), row(3, price=""), row(4).replace("shoes", "boat"),
        row(5, price="abc"), "C6,2025-03-01", row(7).replace("C7", "../x"), row(8), row(9, message="x" * 30),
        row(10).replace("shoes", ""),
    ]  # fmt: skip
    changed = fields(message={"max_length": 20})
    verdicts, admission = validated(tmp_path, *lines, fields=changed)
    found = broken(verdicts)
    assert found["price_within_bounds"] == (1, 2)
    assert found["price_has_value"] == (3, 5, 6)
    assert found["category_allowed"] == (4,)
    assert found["category_has_value"] == (6, 10)
    assert found["rows_whole"] == (6,)
    assert found["id_usable"] == (7,)
    assert found["message_length"] == (9,)
    assert set(found) == {
        "price_within_bounds", "price_has_value", "category_allowed", "category_has_value", "rows_whole", "id_usable",
        "message_length",
    }  # fmt: skip
    assert admission.cases["case_id"].to_pylist() == ["C0", "C8"]
    told = dict(zip(admission.quarantine["line"].to_pylist(), admission.quarantine["reasons"].to_pylist(), strict=True))
    assert told[3] == ["price: broke the rule `is at least 0.0 and at most 1000.0`"]
    assert told[7] == ["price: 'abc' is not a number (decimal mark `.`)"]
    assert told[8] == ["has 2 cells where the header has 6"]


def test_an_empty_night_meets_every_rule(tmp_path: Path) -> None:
    verdicts, admission = validated(tmp_path)
    assert broken(verdicts) == {}
    assert admission.systemic == ()


def test_a_missing_required_column_is_systemic_and_names_the_way_out(tmp_path: Path) -> None:
    lines = [row(n).replace(",10,", ",") for n in range(3)]
    verdicts, admission = validated(tmp_path, *lines, header=HEADER.replace("price,", ""))
    assert verdicts["columns_present"].systemic
    assert "no column is called 'price'" in verdicts["columns_present"].detail
    assert not verdicts["price_has_value"].passed
    assert verdicts["price_has_value"].detail.startswith("not looked at")
    assert verdicts["category_has_value"].passed
    assert admission.systemic == (verdicts["columns_present"].detail,)
    assert admission.quarantine.num_rows == 3


def test_a_missing_optional_column_and_one_too_many_stop_nothing(tmp_path: Path) -> None:
    header = HEADER.replace("message", "more")
    verdicts, admission = validated(tmp_path, row(1), header=header)
    assert set(broken(verdicts)) == {"optional_columns_present", "message_length"}
    assert not any(verdict.systemic for verdict in verdicts.values())
    assert admission.cases["message"].to_pylist() == [None]


def test_wrong_delimiter_is_systemic_with_a_hint(tmp_path: Path) -> None:
    lines = [row(1).replace(",", "|"), row(2).replace(",", "|")]
    verdicts, admission = validated(tmp_path, *lines, header=HEADER.replace(",", "|"))
    assert verdicts["columns_present"].systemic
    assert "is `delimiter: '|'` right?" in admission.systemic[0]
    assert admission.quarantine.num_rows == 2


def test_comparisons_hold_where_their_values_are_there(tmp_path: Path) -> None:
    contract = {"compare": ["price * 2 <= 50"]}
    verdicts, _ = validated(tmp_path, row(1), row(2, price="30"), row(3, price=""), contract=contract)
    assert broken(verdicts) == {"compare_1": (1,), "price_has_value": (2,)}


def test_unique_groups_forgive_exact_duplicates_and_rows_refused_for_something_else(tmp_path: Path) -> None:
    contract = {"unique": [["category", "message"]]}
    lines = [row(1, price="abc", message="m"), row(2, message="m"), row(2, message="m"), row(3, message="m"), row(4)]
    verdicts, admission = validated(tmp_path, *lines, contract=contract)
    assert broken(verdicts)["unique_1"] == (3,)
    assert admission.cases["case_id"].to_pylist() == ["C2", "C4"]
    assert admission.duplicates == 1


def test_bounds_of_times_count_whole_days_in_the_workflows_zone(tmp_path: Path) -> None:
    at = {"minimum": "2025-02-28", "maximum": "2025-03-01"}
    times = ["2025-02-27T23:59:59", "2025-02-28", "2025-03-01T23:59:59", "2025-03-02"]
    lines = [row(n).replace("2025-03-01T10:00:00", time) for n, time in enumerate(times)]
    verdicts, _ = validated(tmp_path, *lines, fields=fields(claimed_at=at))
    assert broken(verdicts) == {"claimed_at_within_bounds": (0, 3)}


def test_nothing_of_a_row_stands_in_a_verdict(tmp_path: Path) -> None:
    verdicts, admission = validated(
        tmp_path, row(1, message="anna@example.org"), fields=fields(message={"max_length": 3})
    )
    assert broken(verdicts) == {"message_length": (0,)}
    assert "anna" not in str(verdicts) + str(admission.quarantine["reasons"].to_pylist()) + str(admission.reasons)


def test_rules_are_known_without_great_expectations_and_named_as_checks_are(tmp_path: Path) -> None:
    program = (
        "import sys; import resources.contracts, resources.sources, pipeline_project.spec.contract;"
        "print([m for m in ('great_expectations', 'torch', 'sqlalchemy', 'mlflow') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    names = [rule.name for rule in rules(claims(tmp_path))]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.isidentifier() for name in names)


def test_telemetry_is_off() -> None:
    """In a process of its own: a context is made once, and other tests restore the environment."""
    program = (
        "import os; from resources.expectations import context; made = context(); "
        "assert os.environ['GX_ANALYTICS_ENABLED'] == 'false'; "
        "assert made.config.analytics_enabled is False; "
        "assert made.variables.progress_bars.globally is False"
    )
    environ = {name: value for name, value in os.environ.items() if name != "GX_ANALYTICS_ENABLED"}
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], env=environ, cwd=root, check=True, timeout=120)


# -- over what the pipeline writes ----------------------------------------------------------------------------


def failed(verdicts: list[Expectation]) -> dict[str, tuple[int, ...]]:
    return {verdict.name: verdict.failed for verdict in verdicts if not verdict.passed}


def test_scores(tmp_path: Path) -> None:
    rows: list[tuple[str, list[float] | None, str | None]] = [
        ("a", [0.4, 0.6], None), ("b", None, "no_model"), ("c", [0.4, 0.7], None), ("d", [1.5, -0.5], None),
        ("e", None, None), ("f", [1.0], None), ("g", [0.5, 0.5], "no_model"), ("h", [np.nan, 1.0], None),
        ("a", [0.5, 0.5 + 1e-9], None),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["case_id", "probabilities", "problem"])
    assert failed(scores_contract(claims(tmp_path)).validate(frame)) == {
        "case_id_once": (0, 8),
        "probabilities_complete": (3, 4, 5, 6, 7),
        "probabilities_sum_to_one": (2, 4, 6, 7),
    }
    assert failed(scores_contract(claims(tmp_path)).validate(frame.iloc[:2])) == {}
    assert failed(scores_contract(claims(tmp_path)).validate(frame.iloc[:0])) == {}


def test_decisions(tmp_path: Path) -> None:
    frame = pd.DataFrame({"case_id": ["a", "b"], "would_be": ["refund", "ask_person"]})
    spec = claims(tmp_path)
    assert failed(decisions_contract(spec, ["a", "b"]).validate(frame)) == {}
    assert failed(decisions_contract(spec, ["a", "b", "c"]).validate(frame)) == {"row_count": ()}
    wrong = pd.DataFrame({"case_id": ["a", "a", "z"], "would_be": ["refund", "burn", None]})
    assert failed(decisions_contract(spec, ["a", "b", "c"]).validate(wrong)) == {
        "case_id_once": (0, 1), "option_known": (1, 2), "case_admitted": (2,)
    }  # fmt: skip
    assert failed(decisions_contract(spec, []).validate(frame.iloc[:0])) == {}


def test_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(5, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1], vectors[2] = 0, 2 * vectors[2]
    packed = pack(vectors).to_pylist()
    packed[3] = packed[3][:-2] + np.float16(np.nan).tobytes()
    table = pa.table(
        {"case_id": list("abcde"), "text_vector": pa.array(packed, pa.binary()), "image_vector": [None] * 5}
    )
    assert failed(embeddings_contract(claims(tmp_path)).validate(table.to_pandas())) == {
        "text_vector_unit_length": (2, 3)
    }


@pytest.mark.parametrize("cut", [1, 2])
def test_vectors_of_another_length_come_from_another_encoder(tmp_path: Path, cut: int) -> None:
    packed = [np.array([1, 0, 0, 0], "<f2").tobytes()] * 2
    frame = pd.DataFrame({"case_id": ["a", "b"], "text_vector": [packed[0], packed[1][:-cut]], "image_vector": None})
    assert failed(embeddings_contract(claims(tmp_path)).validate(frame)) == {"text_vector_unit_length": (0, 1)}
