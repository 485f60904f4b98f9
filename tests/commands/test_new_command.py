"""`pipeline new`: a table, five questions, and a file in which `pipeline check` finds no mistake."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline_project.spec import check_file, load_spec
from pipeline_project.spec.source import TableSource
from tests.commands.conftest import Call

CSV = "claim;came;paid;kind;fraud\n" + "".join(
    f"C-{n};{1 + n % 28}.{1 + n // 28}.2025;1.{n:03},50;{'glass' if n % 3 else 'theft'};{int(n % 5 == 0)}\n"
    for n in range(84)
)


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    file = tmp_path / "claims.csv"
    file.write_text(CSV, encoding="utf-8")
    return file


def test_a_table_becomes_a_workflow_without_a_mistake(claims: Path, call: Call) -> None:
    target = claims.with_suffix(".yaml")
    said = call("new", str(claims), "--to", str(target), "--yes")
    assert said.code == 0, said.err
    spec = load_spec(target)
    assert (spec.name, spec.labels) == ("claims", ("not_fraud", "fraud"))
    assert {name: field.type.value for name, field in spec.fields.items()} == {
        "claim": "identifier", "came": "time", "paid": "number", "kind": "category",
    }  # fmt: skip
    assert (spec.decimal, spec.thousands, spec.time_formats) == (",", (".",), ("%d.%m.%Y",))
    assert [str(day) for day in (spec.nights.first, spec.nights.decide_from, spec.nights.last)] == [
        "2025-01-01", "2025-03-01", "2025-03-28",
    ]  # fmt: skip
    assert call("check", str(target), "--data").code == 0


def test_the_questions_are_asked_and_their_answers_kept(
    claims: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = claims.with_name("asked.yaml")
    answers = "\n".join(["claim", "none", "nonsense", "kind", "25", "2.5"]) + "\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
    said = call("new", str(claims), "--to", str(target), "--first", "2025-01-01")
    assert said.code == 0, said.err
    assert "no column is called that; there are claim, came, paid, kind, fraud" in said.err
    spec = load_spec(target)
    assert spec.labels == ("glass", "theft")
    assert spec.review.cost == 2.5
    assert spec.cost_matrix.cells == ((0, 25), (25, 0))
    assert isinstance(spec.source, TableSource)
    assert spec.source.files[0].spread is not None


def test_whoever_does_not_answer_gets_no_file(claims: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    said = call("new", str(claims), "--to", str(claims.with_suffix(".yaml")))
    assert (said.code, claims.with_suffix(".yaml").exists()) == (2, False)
    assert "--yes" in said.err


def test_a_file_that_is_there_stays(claims: Path, call: Call) -> None:
    target = claims.with_suffix(".yaml")
    target.write_text("mine", encoding="utf-8")
    said = call("new", str(claims), "--to", str(target), "--yes")
    assert (said.code, target.read_text("utf-8")) == (2, "mine")
    assert "--to" in said.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--truth", "nothing"], "no column is called 'nothing'"),
        (["--truth", "none"], "without a column of what turned out to be true nothing can be learned"),
        (["--truth", "claim"], "84 different values in 84 rows; labels are 2 to"),
        (["--time", "kind"], "kind holds no times that could be read"),
    ],
)
def test_what_cannot_be_is_said(claims: Path, call: Call, options: list[str], sentence: str) -> None:
    said = call("new", str(claims), "--to", str(claims.with_suffix(".yaml")), "--yes", *options)
    assert said.code == 2
    assert sentence in " ".join(said.err.replace("│", " ").split())
    assert not claims.with_suffix(".yaml").exists()


def test_an_empty_table_is_refused(tmp_path: Path, call: Call) -> None:
    file = tmp_path / "empty.csv"
    file.write_text("a,b\n", encoding="utf-8")
    said = call("new", str(file), "--to", str(tmp_path / "empty.yaml"), "--yes")
    assert said.code != 0
    assert "not one whole row" in said.err


def test_other_formats_and_encodings_are_told_by_their_content(tmp_path: Path, call: Call) -> None:
    rows = [
        {"id": f"r{n}", "day": "2025-01-02", "größe": "groß" if n % 2 else "klein", "fraud": n % 2} for n in range(30)
    ]
    (tmp_path / "lines.dat").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "array.json").write_text(json.dumps(rows), encoding="utf-8")
    plain = "id,day,größe,fraud\n" + "".join(f"{r['id']},{r['day']},{r['größe']},{r['fraud']}\n" for r in rows)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(plain.encode("cp1252")))
    (tmp_path / "wide.csv").write_bytes(plain.encode("utf-16"))
    for name in ("lines.dat", "array.json", "packed.csv.gz", "wide.csv"):
        target = tmp_path / f"{name}.yaml"
        said = call("new", str(tmp_path / name), "--to", str(target), "--yes", "--json")
        assert said.code == 0, said.err
        assert json.loads(said.out)["rows"] == 30
        assert [field.column for field in load_spec(target).fields.values()][2] == "größe"


def test_rows_without_a_header_get_names(tmp_path: Path, call: Call) -> None:
    file = tmp_path / "bare.csv"
    file.write_text("".join(f"{n},{n % 2},glass\n" for n in range(30)), encoding="utf-8")
    target = tmp_path / "bare.yaml"
    assert call("new", str(file), "--to", str(target), "--yes", "--truth", "column_2").code == 0
    assert load_spec(target).labels == ("not_column_2", "column_2")


TABLES = {
    "order_returns/orders.csv.gz": "return",
    "vehicle_claims/claims.csv.gz": "FraudFound_P",
    "support_tickets/train.csv": "category",
    "loan_applications/german_credit.csv.gz": "creditability",
    "recommendations/men_random.csv.gz": "click",
    "recommendations/men_bts.csv.gz": "click",
    "electricity_drift/elec.csv.gz": "class",
    "clothing_reviews/reviews.csv.zip": "Recommended IND",
    "retail_invoices/lines.csv.gz": None,
}


@pytest.mark.real_data
@pytest.mark.parametrize("table", TABLES)
def test_tables_of_others_pass_the_check(table: str, tmp_path: Path, call: Call) -> None:
    source, truth = Path(os.environ["PIPELINE_REAL_DATA"]) / table, TABLES[table]
    if source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            source = Path(archive.extract(archive.namelist()[0], tmp_path))
    target = tmp_path / "new.yaml"
    given = ["--truth", truth] if truth else ["--truth", "Country"]
    said = call("new", str(source), "--to", str(target), "--name", "tried", "--yes", *given, "--first", "2025-01-01")
    assert said.code == 0, said.err
    assert check_file(target) == []
    checked = call("check", str(target), "--data")
    assert checked.code == 0, checked.err
