"""Every kind of bad input that concerns reading: a clear error or a row with a problem, and nothing lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_project.domain.core.errors import SourceStillGrowing, SourceUnreadable
from pipeline_project.domain.core.schema import ARRIVALS
from pipeline_project.settings import Settings
from resources.sources import add_repair, case_source
from resources.sources import arrivals as arrivals_module
from resources.sources.unpacking import Unpacked
from tests.resources.sources.claim_specs import HEADER, NIGHT, WINDOW, claims, row, write


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def read(folder: Path, settings: Settings, environ: dict[str, str] | None = None, **changes: Any) -> pa.Table:
    return case_source(claims(folder, **changes), settings, environ or {}).read(WINDOW).rows


def cells(table: pa.Table) -> list[dict[str, str]]:
    return [json.loads(raw) for raw in table["raw"].to_pylist()]


def test_rows_arrive_untouched_with_file_line_and_hash(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1), "  C2 ,nonsense,-,lamp,,")
    table = read(tmp_path, settings)
    assert table.schema == ARRIVALS
    assert table["line"].to_pylist() == [2, 3]
    assert table["file"].to_pylist() == [f"{NIGHT}/a.csv"] * 2
    assert cells(table)[1] == {
        "claim_id": "  C2 ", "claimed_at": "nonsense", "price": "-", "category": "lamp", "message": "", "photos": ""
    }  # fmt: skip
    assert table["problem"].null_count == 2
    assert len(set(table["row_sha256"].to_pylist())) == 2


@pytest.mark.parametrize("content", [b"", (HEADER + "\n").encode(), b"\n\n"])
def test_an_empty_file_is_an_empty_night(tmp_path: Path, settings: Settings, content: bytes) -> None:
    write(tmp_path).write_bytes(content)
    table = read(tmp_path, settings)
    assert table.num_rows == 0
    assert table.schema == ARRIVALS


def test_a_night_without_files_is_empty_but_a_missing_folder_is_an_error(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(SourceUnreadable, match="create or mount it"):
        read(tmp_path, settings)
    (tmp_path / "in").mkdir()
    assert read(tmp_path, settings).num_rows == 0


def test_content_hash_does_not_depend_on_file_line_or_order_of_columns(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(0), row(1))
    names = HEADER.split(",")[::-1]
    write(tmp_path, ",".join(row(1).split(",")[::-1]), name=f"{NIGHT}/b.csv", header=",".join(names))
    hashes = read(tmp_path, settings)["row_sha256"].to_pylist()
    assert hashes[1] == hashes[2] != hashes[0]


def test_too_few_and_too_many_cells_are_kept_with_a_problem(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, "C1,2025-03-01", row(2) + ",more,and more", row(3))
    table = read(tmp_path, settings)
    assert table["problem"].to_pylist() == [
        "has 2 cells where the header has 6", "has 8 cells where the header has 6", None
    ]  # fmt: skip
    assert cells(table)[0] == {"claim_id": "C1", "claimed_at": "2025-03-01"}
    assert cells(table)[1]["column 7"] == "more"
    assert cells(table)[1]["column 8"] == "and more"


def test_line_numbers_count_lines_in_quotes(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1, message='"one\ntwo\r\nthree"'), "", row(2))
    table = read(tmp_path, settings)
    assert cells(table)[0]["message"] == "one\ntwo\r\nthree"
    assert table["line"].to_pylist() == [2, 6]


def test_a_half_written_quote_costs_its_own_line_only(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1), row(2, message='"never closed'), row(3), row(4))
    table = read(tmp_path, settings)
    assert [cell["claim_id"] for cell in cells(table)] == ["C1", "C2", "C3", "C4"]
    problems = table["problem"].to_pylist()
    assert "quote that is never closed" in problems[1]
    assert problems[0] is problems[2] is problems[3] is None
    assert "never closed" in cells(table)[1]["message"]


def test_a_file_cut_in_its_last_row_keeps_that_row_with_a_problem(tmp_path: Path, settings: Settings) -> None:
    path = write(tmp_path, row(1), row(2, message='"a torn seam"'))
    path.write_bytes(path.read_bytes()[:-20])
    problem = read(tmp_path, settings)["problem"].to_pylist()
    assert problem[0] is None
    assert "half-written" in problem[1]


def test_other_encoding_keeps_the_row_and_its_bytes(tmp_path: Path, settings: Settings) -> None:
    path = write(tmp_path, row(1, message="schön"), row(2))
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    table = read(tmp_path, settings)
    assert cells(table)[0]["message"] == "sch\\xf6n"
    assert "set `encoding`" in table["problem"].to_pylist()[0]
    assert table["problem"].to_pylist()[1] is None
    source = {"kind": "files", "folder": "in", "pattern": "{night}/*.csv", "encoding": "latin-1"}
    assert cells(read(tmp_path, settings, source=source))[0]["message"] == "schön"


def test_utf16_is_named_and_read_when_declared(tmp_path: Path, settings: Settings) -> None:
    path = write(tmp_path, row(1, message="schön"))
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    with pytest.raises(SourceUnreadable, match="set `encoding: utf-16`"):
        read(tmp_path, settings)
    source = {"kind": "files", "folder": "in", "pattern": "{night}/*.csv", "encoding": "utf-16"}
    assert cells(read(tmp_path, settings, source=source))[0]["message"] == "schön"
    path.write_bytes(path.read_bytes()[:-1])
    assert "encoding" in read(tmp_path, settings, source=source)["problem"].to_pylist()[0]


def test_byte_order_mark_nul_and_a_cell_of_one_megabyte(tmp_path: Path, settings: Settings) -> None:
    path = write(tmp_path, row(1, message="a\0b\x07"), row(2, message="x" * 1_000_000))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = cells(read(tmp_path, settings))
    assert found[0]["claim_id"] == "C1"
    assert found[0]["message"] == "a\0b\x07"
    assert len(found[1]["message"]) == 1_000_000


def test_wrong_delimiter_loses_nothing(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1, message="x").replace(",", "|"), header=HEADER.replace(",", "|"))
    assert cells(read(tmp_path, settings)) == [{HEADER.replace(",", "|"): row(1, message="x").replace(",", "|")}]


def test_repeated_and_nameless_columns_lose_nothing(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, "1,2,3", header="a,a,")
    assert cells(read(tmp_path, settings)) == [{"a": "1", "a (2)": "2", "column 3": "3"}]


def test_truncated_gzip_is_an_error_and_whole_gzip_is_read(tmp_path: Path, settings: Settings) -> None:
    plain = write(tmp_path, *(row(n) for n in range(500)))
    packed = plain.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert read(tmp_path, settings).num_rows == 500
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(SourceUnreadable, match=r"a\.csv\.gz: no whole gzip file.*deliver it again"):
        read(tmp_path, settings)


def test_a_gzip_bomb_is_refused(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals_module, "MAX_BYTES", 2 * 1024**2)
    path = write(tmp_path).with_suffix(".csv.gz")
    path.write_bytes(gzip.compress(b"x" * (4 * 1024**2)))
    with pytest.raises(SourceUnreadable, match="unpacked"):
        read(tmp_path, settings)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    path = write(tmp_path, row(1))
    if packed:
        # Half a packed file cannot be read at all, but what is right is to wait, not to deliver it again.
        content = gzip.compress(path.read_bytes())[:-9]
        path.unlink()
        path = path.with_suffix(".csv.gz")
        path.write_bytes(content)
    unpacked = arrivals_module._unpacked

    def slow(*arguments: Any) -> Unpacked:
        with path.open("a") as file:
            file.write("more")
        return unpacked(*arguments)

    monkeypatch.setattr(arrivals_module, "_unpacked", slow)
    with pytest.raises(SourceStillGrowing, match="run the night again"):
        read(tmp_path, settings)


def test_a_half_written_row_is_not_the_same_content_as_the_whole_one(tmp_path: Path, settings: Settings) -> None:
    half = write(tmp_path, 'C1,2025-03-01,1,shoes,m,"a.jpg')
    half.write_bytes(half.read_bytes().rstrip())
    write(tmp_path, 'C1,2025-03-01,1,shoes,m,"a.jpg"', name=f"{NIGHT}/b.csv")
    table = read(tmp_path, settings)
    assert cells(table)[0] == cells(table)[1]
    assert len(set(table["row_sha256"].to_pylist())) == 2


def test_json_lines(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "in" / NIGHT / "a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(
        '{"claim_id": "C1", "price": 1.50, "x": null, "l": ["a.jpg"]}\nno json\n\n{"claim_id": NaN, "u": "\\ud800"}\n'
        "[1]\n"
    )
    source = {"kind": "files", "folder": "in", "pattern": "{night}/*.jsonl", "format": "jsonl"}
    table = read(tmp_path, settings, source=source)
    assert cells(table) == [
        {"claim_id": "C1", "price": "1.50", "x": "", "l": '["a.jpg"]'},
        {"line": "no json"},
        {"claim_id": "NaN", "u": "\\ud800"},
        {"line": "[1]"},
    ]
    assert table["line"].to_pylist() == [1, 2, 4, 5]
    assert table["problem"].to_pylist()[1] == "is no JSON object"
    assert table["problem"].to_pylist()[0] is None


def test_parquet_in_batches_and_truncated(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "in" / NIGHT / "a.parquet"
    path.parent.mkdir(parents=True)
    rows = pa.table({"claim_id": [f"C{n}" for n in range(1000)], "price": [1.5] * 999 + [None], "p": [["a"]] * 1000})
    pq.write_table(rows, path)
    source = {"kind": "files", "folder": "in", "pattern": "{night}/*.parquet", "format": "parquet"}
    table = read(tmp_path, settings, source=source)
    assert table["line"].to_pylist() == list(range(1, 1001))
    assert cells(table)[999] == {"claim_id": "C999", "price": "", "p": '["a"]'}
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(SourceUnreadable, match=r"a\.parquet: no whole Parquet file"):
        read(tmp_path, settings, source=source)


def test_variables_with_nested_defaults_and_one_that_is_not_set(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1))
    folder = "${PIPELINE_SOURCE_WHERE:-${PIPELINE_HOME}/sample}/in"
    source = {"kind": "files", "folder": folder, "pattern": "{night}/*.csv"}
    assert read(tmp_path, settings, {"PIPELINE_SOURCE_WHERE": str(tmp_path)}, source=source).num_rows == 1
    with pytest.raises(SourceUnreadable, match=str(tmp_path / "home/sample/in")):
        read(tmp_path, settings, source=source)
    source["folder"] = "${PIPELINE_SOURCE_NOWHERE}/in"
    with pytest.raises(SourceUnreadable, match="NOWHERE, which is not set; set it"):
        read(tmp_path, settings, source=source)


def test_nights_landed_and_fingerprint(tmp_path: Path, settings: Settings) -> None:
    source = case_source(claims(tmp_path), settings, {})
    assert source.nights_landed() == []
    before = source.fingerprint(WINDOW)
    path = write(tmp_path, row(1))
    write(tmp_path, row(1), name="2025-02-27/z.csv")
    write(tmp_path, row(1), name="2025-02-31/z.csv")
    write(tmp_path, row(1), name="2025-02-26/.half.csv")
    assert source.nights_landed() == ["2025-02-27", NIGHT]
    landed = source.fingerprint(WINDOW)
    assert landed != before
    assert source.fingerprint(WINDOW) == landed
    path.write_text(path.read_text() + row(2))
    assert source.fingerprint(WINDOW) != landed


# -- repairs --------------------------------------------------------------------------------------------------


def test_a_repair_comes_in_addition_and_the_same_one_once(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1, price="ten"))
    spec = claims(tmp_path)
    source = case_source(spec, settings, {})
    before = source.fingerprint(WINDOW)
    mended = tmp_path / "mended.csv"
    mended.write_text(HEADER + "\n" + row(1) + "\n")
    kept = add_repair(settings, spec, NIGHT, mended)
    assert (tmp_path / "home/repairs/claims" / NIGHT / kept).is_file()
    assert add_repair(settings, spec, NIGHT, mended) == kept
    table = source.read(WINDOW).rows
    assert table["file"].to_pylist() == [f"{NIGHT}/a.csv", f"repair:{kept}"]
    assert source.fingerprint(WINDOW) != before
    add_repair(settings, spec, "2025-02-20", mended)
    assert source.nights_landed() == ["2025-02-20", NIGHT]


@pytest.mark.parametrize(("name", "content", "why"), [("a.txt", "x", "ends in"), ("a.csv", HEADER, "no row below")])
def test_a_repair_that_cannot_be_one_is_refused(
    tmp_path: Path, settings: Settings, name: str, content: str, why: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceUnreadable, match=why):
        add_repair(settings, claims(tmp_path), NIGHT, tmp_path / name)
    with pytest.raises(SourceUnreadable, match="is no night"):
        add_repair(settings, claims(tmp_path), "../../etc", tmp_path / name)
    assert not (tmp_path / "home").exists()
