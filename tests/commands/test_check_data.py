"""`pipeline check --data` says what the first data do not bear out, at the line of the spec; without it, that it has
not looked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline_project.commands.check import run_check

SPEC = """\
workflow: claims
title: Claims
owners: [team:desk]
nights: {time_zone: Europe/Berlin, first: 2025-01-02, decide_from: 2025-01-02}
source: {kind: files, folder: in, pattern: "{night}/claims.csv"}
fields:
  claim_no: {type: identifier, role: id}
  received: {type: time, role: time}
  amount: {type: number, role: amount, minimum: 0, maximum: 100000}
  kind: {type: category}
labels: [honest, fraud]
outcome: {kind: column, column: verdict, known_at: [{field: received, plus_days: 20}]}
options:
  pay: {title: Pay, costs: {honest: 0, fraud: amount}}
  investigate: {title: Look, costs: {honest: 80, fraud: 80}}
review: {cost: 15, capacity: 50%}
"""
HEADER = "claim_no,received,amount,kind,verdict"
ROWS = [f"C-{number},2025-01-02 09:{number:02},{100 + number},glass,{'fraud' if number % 4 == 0 else 'honest'}"
        for number in range(10)]  # fmt: skip


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    path = tmp_path / "claims.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def deliver(
    spec: Path, header: str = HEADER, rows: list[str] | None = None, name: str = "2025-01-02/claims.csv"
) -> None:
    path = spec.parent / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(ROWS if rows is None else rows)]) + "\n", encoding="utf-8")


def seen(spec: Path, capsys: pytest.CaptureFixture[str], kind: str = "mistake") -> list[str]:
    code = run_check([spec], as_json=True, data=True)
    told: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert code == (3 if any(each["kind"] == "mistake" for each in told) else 0)
    return [f"{each['line']} {each['where']}: {each['sentence']}" for each in told if each["kind"] == kind]


def test_without_it_check_says_that_it_has_not_looked(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check([spec], as_json=False) == 0
    said = capsys.readouterr().out
    assert "no mistakes" in said and "The data were not looked at" in said


def test_sound_data_give_no_mistake(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(spec)
    assert seen(spec, capsys) == []
    assert run_check([spec], as_json=False, data=True) == 0
    said = capsys.readouterr().out
    assert "looked at 10 rows of 2025-01-02" in said and "no mistakes" in said and "not looked" not in said


@pytest.mark.parametrize(
    ("header", "rows", "mistake"),
    [
        (HEADER.replace("amount", "amounts"), None, "9 fields.amount: no column is called 'amount', but one is called"),
        (HEADER.replace("kind", "sort"), None, "10 fields.kind: no column is called 'kind'"),
        (HEADER.replace("verdict", "result"), None, "12 outcome.column: no column is called 'verdict'"),
        (HEADER, [row.replace(",1", ",EUR 1") for row in ROWS], "9 fields.amount: none of 10 values can be read"),
        (HEADER, [row.replace("2025-01-02 ", "2.1.25 ") for row in ROWS], "8 fields.received: none of 10 values"),
        (HEADER, [row.replace("glass", "") for row in ROWS[:4]] + ROWS[4:],
         "10 fields.kind: 4 of 10 required cells (40.0%) are empty"),
        (HEADER, [row.replace("honest", "fine").replace("fraud", "bad") for row in ROWS],
         "12 outcome: none of 10 outcomes can be used; the labels are honest, fraud"),
        (HEADER, [*ROWS, ROWS[0].replace("100", "777")], "7 fields.claim_no: 1 of 10 ids (10.0%) stand in several"),
        (HEADER, [row.replace(",10", ",-10") for row in ROWS], "9 fields.amount: 10 of 10 rows (100.0%) break the"),
        (HEADER, [], "5 source: not one row lies there"),
        ("<!DOCTYPE html><html><body>Session expired</body></html>", [], "5 source: 2025-01-02/claims.csv: no column"),
    ],
)  # fmt: skip
def test_what_the_data_do_not_bear_out_is_a_mistake_at_its_line(
    spec: Path, capsys: pytest.CaptureFixture[str], header: str, rows: list[str] | None, mistake: str
) -> None:
    deliver(spec, header, rows)
    told = seen(spec, capsys)
    assert any(each.startswith(mistake) for each in told), told
    assert "no mistakes" not in capsys.readouterr().out


def test_missing_files_and_folders_are_told_with_what_lies_beside_them(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no folder" in seen(spec, capsys)[0]
    deliver(spec, name="20250102/claims.csv")
    assert "nothing lies there for any night" in seen(spec, capsys)[0]
    assert "it writes the night as 20250102" in seen(spec, capsys, "note")[0]


def test_what_is_only_worth_knowing_is_a_note(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(spec, rows=[*ROWS, ROWS[0], *(row.replace("C-", "D-").replace("honest", "?") for row in ROWS[:2])])
    assert seen(spec, capsys) == []
    notes = seen(spec, capsys, "note")
    assert any("1 of 13 rows (7.7%) repeat another one exactly" in note for note in notes)
    assert any("'?' is no label" in note for note in notes)


def test_photos_and_encoders_are_looked_for(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = "  kind: {type: category}\n  words: {type: text}\n  photo: {type: image, required: false}\n"
    text = SPEC.replace("  kind: {type: category}\n", fields)
    spec.write_text(text + "text: {encoder: ./weights}\n", encoding="utf-8")
    deliver(spec, HEADER + ",words,photo", [f"{row},torn,a.jpg" for row in ROWS])
    told = seen(spec, capsys)
    assert any("text.encoder: cannot be loaded" in each for each in told), told
    looked_for = f"photos are looked for below {spec.parent / 'in'}; 10 of the first 10 cannot be opened there"
    assert any(each.startswith("12 fields.photo") and looked_for in each for each in told), told
    (spec.parent / "in" / "a.jpg").write_bytes(b"a photo")
    assert not any("fields.photo" in each for each in seen(spec, capsys))


def test_costs_by_which_nobody_is_ever_asked_are_worth_knowing(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By these costs an answer saves most at the odds at which paying and looking cost the same: 80 - 80 * 80 / 109."""
    deliver(spec)
    spec.write_text(SPEC.replace("cost: 15", "cost: 21"), encoding="utf-8")
    assert not any("can by `options`" in note for note in seen(spec, capsys, "note"))
    spec.write_text(SPEC.replace("cost: 15", "cost: 22"), encoding="utf-8")
    (note,) = [note for note in seen(spec, capsys, "note") if "can by `options`" in note]
    assert note.startswith("16 review.cost: an answer costs 22 and can by `options` never save more than 21.28:")
    assert seen(spec, capsys) == []


def test_places_that_chance_alone_takes_are_worth_knowing(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(spec)
    spec.write_text(SPEC.replace("capacity: 50%", "capacity: 2, exploration: 0.2"), encoding="utf-8")
    (note,) = [note for note in seen(spec, capsys, "note") if "review.capacity" in note]
    assert "of 10 cases in a night 2 are sent to people at random and there are 2 places" in note
    spec.write_text(SPEC.replace("capacity: 50%", "capacity: 3, exploration: 0.2"), encoding="utf-8")
    assert not any("review.capacity" in note for note in seen(spec, capsys, "note"))


LOOKUP = """\
lookups:
  kinds: {kind: file, path: kinds.csv, key: {kind: code}, valid_from: since}
"""


def looking_up(spec: Path, table: str | None) -> None:
    field = "  limit: {type: number, lookup: kinds, column: most}\n"
    spec.write_text(SPEC.replace("labels: [", f"{field}labels: [") + LOOKUP, encoding="utf-8")
    if table is not None:
        (spec.parent / "kinds.csv").write_text(table, encoding="utf-8")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (None, "there is no file"),
        ("code,since,limit\nglass,2020-01-01,9\n", "no column is called 'most'"),
        ("code,since,most\n", "has no row"),
        ("code,since,most\nglass,2020-01-01,9\nglass,2020-01-01,8\n", "1 keys stand in several rows that differ"),
        ("code,since,most\nglass,2999-01-01,9\n", "1 of 1 rows (100.0%) begin to count later than now"),
        ("code,since,most\nglass,whenever,9\n", "1 of 1 values of since cannot be read as a time"),
        ("code,since,most\n,2020-01-01,9\n", "1 of 1 rows (100.0%) have no code"),
    ],
)
def test_a_lookup_is_resolved(spec: Path, capsys: pytest.CaptureFixture[str], table: str | None, sentence: str) -> None:
    deliver(spec)
    looking_up(spec, table)
    told = seen(spec, capsys)
    assert any("lookups.kinds" in line and sentence in line for line in told), told


def test_a_lookup_that_finds_every_row_has_no_mistake(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(spec)
    looking_up(spec, "code,since,most\nglass,2020-01-01,9\n")
    assert seen(spec, capsys) == []


def test_rows_that_would_find_nothing_are_counted(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(spec)
    looking_up(spec, "code,since,most\ntheft,2020-01-01,9\n")
    assert any("10 of 10 rows (100.0%) would be refused" in line for line in seen(spec, capsys))
