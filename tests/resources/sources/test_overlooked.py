"""What lies at a source and is read for no night is found; what is read, or belongs elsewhere, is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from resources.sources import case_source, outcome_source
from resources.sources.overlooked import overlooked
from tests.resources.sources.claim_specs import HEADER, NIGHT, WINDOW, claims, row, write

PAGE = "<!DOCTYPE html><html><body>Session expired, please log in</body></html>"
OUTCOMES = "claim_id,finding,seen_at"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def told(spec: WorkflowSpec, settings: Settings, night: str | None = None) -> list[str]:
    return [each.sentence for each in overlooked(spec, settings, {}, night)]


def test_near_misses_of_cases_and_outcomes_are_told_for_their_night(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1))
    write(tmp_path, name=f"outcomes/{NIGHT}.csv", header=OUTCOMES)
    for name in (f"{NIGHT}/b.CSV", "2025-03-02/late/a.csv", f"outcomes/{NIGHT.replace('-', '')}.csv", "photos/a.jpg"):
        write(tmp_path, name=name)
    of_night = told(claims(tmp_path), settings, NIGHT)
    assert [sentence.split(" ")[0] for sentence in of_night] == [f"{NIGHT}/b.CSV", "outcomes/20250301.csv"]
    assert len(told(claims(tmp_path), settings)) == 3


def test_the_files_of_the_one_are_no_near_misses_of_the_other(tmp_path: Path, settings: Settings) -> None:
    source = {"kind": "files", "folder": "in", "pattern": "claims_{night}.csv"}
    outcome = claims(tmp_path).outcome.model_dump() | {"pattern": "claims_{night}_true.csv", "folder": "in/later"}
    spec = claims(tmp_path, source=source, outcome=outcome)
    write(tmp_path, row(1), name=f"claims_{NIGHT}.csv")
    write(tmp_path, name=f"later/claims_{NIGHT}_true.csv", header=OUTCOMES)
    assert told(spec, settings) == []


def test_empty_files_and_files_of_no_night_are_told(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1), name="2024-12-31/a.csv")
    write(tmp_path, row(1), name="2025-01-01/a.csv")
    (tmp_path / "in" / NIGHT).mkdir()
    (tmp_path / "in" / NIGHT / "a.csv").touch()
    assert told(claims(tmp_path), settings, NIGHT) == [
        f"{NIGHT}/a.csv has no bytes, not even a header; deliver it again"
    ]
    assert told(claims(tmp_path), settings)[-1] == (
        "files for 2 nights from 2024-12-31 to 2025-01-01 are read for no night: nights begin with 2025-02-01, "
        "nights.first"
    )


def test_rows_of_no_night_in_a_table_are_counted(tmp_path: Path, settings: Settings) -> None:
    source = {"kind": "table", "files": [{"path": "in/all.csv"}]}
    nights: dict[str, Any] = {
        "time_zone": "Europe/Berlin", "first": "2025-02-01", "decide_from": "2025-02-01", "last": "2025-03-31"
    }  # fmt: skip
    spec = claims(tmp_path, source=source, nights=nights)
    write(tmp_path, row(1), row(2).replace("2025-03-01", "2024-03-01"), row(3).replace("2025-03-01", "2025-04-01"),
          name="all.csv")  # fmt: skip
    assert told(spec, settings) == [
        "2 rows of 2 nights from 2024-03-01 to 2025-04-01 belong to no night: nights begin with 2025-02-01, "
        "nights.first and end with 2025-03-31, nights.last"
    ]
    assert told(spec, settings, NIGHT) == []


@pytest.mark.parametrize("content", [PAGE, PAGE + "\n", PAGE.replace("><", ">\n<"), f"<html>\n{HEADER}\n"])
def test_a_page_instead_of_the_file_stops_the_night(tmp_path: Path, settings: Settings, content: str) -> None:
    path = write(tmp_path)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SourceUnreadable, match=r"no column is called 'claim_id'.* HTML page") as stopped:
        case_source(claims(tmp_path), settings, {}).read(WINDOW)
    assert "Session" not in str(stopped.value)


def test_a_page_beside_a_good_file_stops_the_night_too(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, row(1))
    write(tmp_path, name=f"{NIGHT}/b.csv", header=PAGE)
    with pytest.raises(SourceUnreadable, match=r"b\.csv"):
        case_source(claims(tmp_path), settings, {}).read(WINDOW)


@pytest.mark.parametrize("header", [PAGE, "id,found,at", "claim_id,finding"])
@pytest.mark.parametrize("lines", [(), ("C1,K,2025-03-01",)])
def test_outcomes_without_their_columns_stop_the_night(
    tmp_path: Path, settings: Settings, header: str, lines: tuple[str, ...]
) -> None:
    write(tmp_path, *lines, name=f"outcomes/{NIGHT}.csv", header=header)
    with pytest.raises(SourceUnreadable, match=r"no column is called .*outcome"):
        outcome_source(claims(tmp_path), settings, {}).read(WINDOW)


def test_a_header_without_rows_is_an_empty_night_and_a_renamed_one_is_not(tmp_path: Path, settings: Settings) -> None:
    path = write(tmp_path)
    assert case_source(claims(tmp_path), settings, {}).read(WINDOW).rows.num_rows == 0
    path.write_text(HEADER.replace("claim_id", "ClaimID") + "\n", encoding="utf-8")
    with pytest.raises(SourceUnreadable, match="no column is called 'claim_id', but one is called 'ClaimID'"):
        case_source(claims(tmp_path), settings, {}).read(WINDOW)


def test_a_page_where_a_parquet_file_should_be_is_named(tmp_path: Path, settings: Settings) -> None:
    source = {"kind": "files", "folder": "in", "pattern": "{night}/*", "format": "parquet"}
    write(tmp_path, header=PAGE)
    with pytest.raises(SourceUnreadable, match="HTML page"):
        case_source(claims(tmp_path, source=source), settings, {}).read(WINDOW)


def test_brackets_in_a_pattern_are_part_of_the_name(tmp_path: Path, settings: Settings) -> None:
    source = {"kind": "files", "folder": "in", "pattern": "claims[DE]_{night}.csv"}
    spec = claims(tmp_path, source=source)
    write(tmp_path, row(1), name=f"claims[DE]_{NIGHT}.csv")
    assert case_source(spec, settings, {}).read(WINDOW).rows.num_rows == 1
    assert case_source(spec, settings, {}).nights_landed() == [NIGHT]
