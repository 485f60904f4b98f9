"""Great Expectations as contracts: which rows break which rule, and what no row can mend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.intake.admission import Admission, admit, read_rows
from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.domain.vectors.stored import pack
from pipeline_project.settings import Settings
from pipeline_project.spec.contract import RuleKind, rules
from resources.contracts.arrivals import (
    GxContract,
    cases_contract,
    decisions_contract,
    embeddings_contract,
    scores_contract,
)
from resources.contracts.expectations import run, true
from resources.sources import case_source
from tests.admitted import balanced
from tests.resources.sources.claim_specs import HEADER, WINDOW, claims, fields, row, write


def validated(
    folder: Path, *lines: str, header: str = HEADER, **changes: Any
) -> tuple[dict[str, Expectation], Admission]:
    write(folder, *lines, header=header)
    spec = claims(folder, **changes)
    arrived = case_source(spec, Settings(home=folder / "home"), {}).read(WINDOW)
    typed = read_rows(arrived.rows, spec.case_schema)
    verdicts = cases_contract(spec).validate(typed)
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


_TIMED = {
    "sent_at": {"type": "time"},
    "back_at": {"type": "time", "required": False},
    "happened_at": {"type": "time", "parts": {"year": "y", "month": "m", "day": "d"}, "required": False},
}


@pytest.mark.parametrize(
    ("rule", "rows", "broken_rows"),
    [
        ("back_at >= sent_at", ["2025-03-01,2025-03-02", "2025-03-02,2025-03-01", "2025-03-02,"], (1,)),
        ("back_at - sent_at <= 30", ["2025-01-01,2025-01-31", "2025-01-01,2025-01-31T00:00:01"], (1,)),
        ("back_at > sent_at", ["2025-03-01T10:00:00.000001,2025-03-01T10:00:00.000002", "2025-03-01,2025-03-01"], (1,)),
        # One of them with an offset: the moments count, not how they are written.
        ("back_at >= sent_at", ["2025-03-01T10:00:00+05:00,2025-03-01T07:00:00", "2025-03-01T10:00Z,2025-03-01"], (1,)),
        # Before and after the clocks change a day has 23 hours.
        ("back_at - sent_at < 1", ["2025-03-30T00:00,2025-03-31T00:00", "2025-03-29T00:00,2025-03-30T00:00"], (1,)),
        ("(back_at >= sent_at) | (price > 20)", ["2025-03-02,2025-03-01", "2025-03-01,2025-03-02"], (0,)),
    ],
)  # fmt: skip
def test_comparisons_over_times_are_evaluated(
    tmp_path: Path, rule: str, rows: list[str], broken_rows: tuple[int, ...]
) -> None:
    lines = [f"{row(number)},{times}" for number, times in enumerate(rows)]
    timed = {name: _TIMED[name] for name in ("sent_at", "back_at")}
    verdicts, admission = validated(
        tmp_path, *lines, header=f"{HEADER},sent_at,back_at", fields=fields(**timed), contract={"compare": [rule]}
    )
    assert broken(verdicts) == {"compare_1": broken_rows}
    assert verdicts["compare_1"].evaluated == len(rows)
    assert admission.quarantine.num_rows == len(broken_rows)


def test_a_comparison_with_a_date_in_parts_is_evaluated(tmp_path: Path) -> None:
    lines = [f"{row(1)},2025,March,1", f"{row(2)},2025,3,2", f"{row(3)},,,"]
    changed = fields(happened_at=_TIMED["happened_at"])
    contract = {"compare": ["claimed_at >= happened_at"]}
    verdicts, _ = validated(tmp_path, *lines, header=f"{HEADER},y,m,d", fields=changed, contract=contract)
    assert broken(verdicts) == {"compare_1": (1,)}


#: Of every kind of rule: what is declared, rows of which the second breaks it, and the name of the rule.
_EACH_KIND: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "whole": ({}, [row(0), "C1,2025-03-01"], "rows_whole"),
    "id": ({}, [row(0), row(1).replace("C1", "../x")], "id_usable"),
    "value": ({}, [row(0), row(1, price="")], "price_has_value"),
    "readable": (
        {"fields": fields(price={"required": False, "role": "feature"})}, [row(0), row(1, price="x")], "price_readable"
    ),
    "bounds": ({}, [row(0), row(1, price="-1")], "price_within_bounds"),
    "allowed": ({}, [row(0), row(1).replace("shoes", "boat")], "category_allowed"),
    "length": ({"fields": fields(message={"max_length": 6})}, [row(0), row(1, message="longer!")], "message_length"),
    "compare": ({"contract": {"compare": ["price <= 20"]}}, [row(0), row(1, price="21")], "compare_1"),
    "unique": (
        {"contract": {"unique": [["category", "photos", "claimed_at"]]}}, [row(0), row(1, price="11")], "unique_1"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", get_args(RuleKind))
def test_every_kind_of_rule_finds_the_row_that_breaks_it(tmp_path: Path, kind: str) -> None:
    if kind in ("columns", "optional_columns"):  # of a table, not of a row
        column = "price" if kind == "columns" else "message"
        verdicts, _ = validated(tmp_path, row(1), header=HEADER.replace(column, "other"))
        assert {"columns_present", "optional_columns_present"} & set(broken(verdicts)) == {
            "columns_present" if kind == "columns" else "optional_columns_present"
        }
        return
    changes, lines, name = _EACH_KIND[kind]
    assert [rule.kind for rule in rules(claims(tmp_path, **changes)) if rule.name == name] == [kind]
    verdicts, admission = validated(tmp_path, *lines, **changes)
    assert broken(verdicts)[name] == (1,)
    assert verdicts[name].evaluated == len(lines)
    assert admission.cases["case_id"].to_pylist() == ["C0"]


@pytest.mark.parametrize("kind", ["bounds", "value", "allowed", "compare"])
def test_a_rule_that_cannot_be_evaluated_admits_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a rule raised stands beside its verdict; then nobody knows which rows would have failed."""
    write(tmp_path, row(1), row(2))
    spec = claims(tmp_path, contract={"compare": ["price <= 20"]})
    arrived = case_source(spec, Settings(home=tmp_path / "home"), {}).read(WINDOW)
    typed = read_rows(arrived.rows, spec.case_schema)
    contract = GxContract(spec)
    right = contract._expectation
    monkeypatch.setattr(
        contract, "_expectation", lambda rule: true("no_such_column") if rule.kind == kind else right(rule)
    )
    raised = [verdict for verdict in contract.validate(typed) if not verdict.passed]
    assert {rule.name for rule in rules(spec) if rule.kind == kind} == {verdict.name for verdict in raised}
    assert all(verdict.systemic and not verdict.evaluated for verdict in raised)
    admission = admit(typed, raised, None, WINDOW)
    assert admission.cases.num_rows == 0
    assert admission.quarantine.num_rows == 2
    assert balanced(admission)
    assert all("could not be evaluated" in why[0] for why in admission.quarantine["reasons"].to_pylist())


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
        "import sys; import resources.contracts.arrivals, resources.sources, pipeline_project.spec.contract;"
        "print([m for m in ('great_expectations', 'torch', 'sqlalchemy', 'mlflow') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    names = [rule.name for rule in rules(claims(tmp_path))]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.isidentifier() for name in names)


def test_telemetry_is_off() -> None:
    """In a process of its own: a context is made once, and other tests restore the environment."""
    program = (
        "import os; from resources.contracts.expectations import context; made = context(); "
        "assert os.environ['GX_ANALYTICS_ENABLED'] == 'false'; "
        "assert made.config.analytics_enabled is False; "
        "assert made.variables.progress_bars.globally is False"
    )
    environ = {name: value for name, value in os.environ.items() if name != "GX_ANALYTICS_ENABLED"}
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", program], env=environ, cwd=root, check=True, timeout=600)


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


def test_verdicts_are_those_of_the_whole_table_in_one_run(tmp_path: Path) -> None:
    """Texts are looked at apart, and no rule sees more of the table than what it reads."""
    lines = [
        row(0), row(1, price="-1"), row(2, price=""), row(3).replace("shoes", "boat"), row(4, message="x" * 30),
        row(5, message=""), "C6,2025-03-01", row(8), row(8), row(9, price="abc"),
    ]  # fmt: skip
    changes: dict[str, Any] = {"contract": {"compare": ["price <= 1000"], "unique": [["category", "price"]]}}
    verdicts, _ = validated(tmp_path, *lines, fields=fields(message={"max_length": 20}), **changes)
    spec = claims(tmp_path, fields=fields(message={"max_length": 20}), **changes)
    typed = read_rows(case_source(spec, Settings(home=tmp_path / "home"), {}).read(WINDOW).rows, spec.case_schema)
    contract = GxContract(spec)
    first = [rule for rule in contract.rules if rule.kind != "unique"]
    whole = run(
        contract._prepared(typed.frame),
        {rule.name: contract._expectation(rule) for rule in first},
        {rule.name: (rule.column, rule.rule) for rule in first},
    )
    assert {name: (verdict.passed, verdict.failed) for name, verdict in whole.items()} == {
        rule.name: (verdicts[rule.name].passed, verdicts[rule.name].failed) for rule in first
    }
    assert sum(len(verdict.failed) for verdict in whole.values()) > 5
