"""What was posted is part of the declared source: the same rows by either way are the same cases and outcomes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.core.schema import ARRIVALS
from pipeline_project.domain.intake.admission import admit
from pipeline_project.domain.intake.inbound.events import EventKind, PostedEvent
from pipeline_project.domain.intake.inbound.reading import read_event
from pipeline_project.domain.intake.outcomes import ArrivedOutcomes
from pipeline_project.domain.intake.typed_rows import read_rows
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from resources.contracts.arrivals import cases_contract
from resources.sources import case_source, outcome_source
from resources.sources.outcomes import CONTRADICTION
from resources.sources.posted import CONTRADICTED, FORGOTTEN, InboundCases, InboundOutcomes
from tests.admitted import balanced
from tests.resources.sources.claim_specs import HEADER, NIGHT, WINDOW, claims, row, write

RECEIVED = datetime(2025, 3, 1, 20, tzinfo=UTC)


@dataclass
class Posted:
    """Events in memory, in the order in which they were kept."""

    kept: dict[tuple[str, str], list[PostedEvent]] = field(default_factory=dict)
    asked: int = 0

    def post(self, data: Any, kind: str = "arrival", night: str = NIGHT, event_id: str = "") -> None:
        number = sum(map(len, self.kept.values())) + 1
        told = {"type": kind, "workflow": "claims", "data": data}
        name = event_id or f"evt_{number}"
        event = read_event(json.dumps(told).encode(), EventKind(kind), "claims", name)
        self.kept.setdefault((night, kind), []).append(PostedEvent(number, name, "d" * 64, RECEIVED, event.rows))

    def events(self, workflow: str, night: str, kind: EventKind) -> Sequence[PostedEvent]:
        assert workflow == "claims"
        return self.kept.get((night, kind), [])

    def prints(self, workflow: str, night: str | None = None) -> dict[str, str]:
        self.asked += 1
        counts: dict[str, int] = {}
        for (of, _), events in self.kept.items():
            counts[of] = counts.get(of, 0) + len(events)
        return {of: str(count) for of, count in counts.items() if night in (None, of)}


@pytest.fixture
def posted() -> Posted:
    return Posted()


def as_columns(line: str) -> dict[str, str]:
    return dict(zip(HEADER.split(","), line.split(","), strict=True))


def source(folder: Path, posted: Posted, **changes: Any) -> InboundCases:
    (folder / "in").mkdir(exist_ok=True)
    spec = claims(folder, **changes)
    return InboundCases(spec, case_source(spec, Settings(home=folder / "home"), {}), posted)


def night_of(source: InboundCases) -> Any:
    table = source.read(WINDOW).rows
    typed = read_rows(table, source.spec.case_schema)
    return admit(typed, cases_contract(source.spec).validate(typed), None, WINDOW)


def test_an_event_that_was_changed_is_a_refused_row_and_stops_no_other(tmp_path: Path, posted: Posted) -> None:
    write(tmp_path, row(1))
    posted.post([as_columns(row(2))])
    posted.post([as_columns(row(3)), as_columns(row(4))])
    bad = posted.kept[(NIGHT, "arrival")]
    bad[1] = replace(bad[1], rows=(), wrong="this posted event is not what was kept")
    admission = night_of(source(tmp_path, posted))
    assert len(admission.cases) == 2
    (refused,) = admission.quarantine.to_pylist()
    assert "not what was kept" in " ".join(refused["reasons"]) and "evt_2" in refused["file"]


def test_a_posted_row_is_the_row_that_a_file_would_hold(tmp_path: Path, posted: Posted) -> None:
    write(tmp_path, row(1), row(2))
    posted.post([as_columns(row(1)), as_columns(row(3))])
    table = source(tmp_path, posted).read(WINDOW).rows
    assert table.schema == ARRIVALS
    assert table["file"].to_pylist()[2:] == ["webhook:000000000001:evt_1"] * 2
    assert table["line"].to_pylist() == [2, 3, 1, 2]
    hashes = table["row_sha256"].to_pylist()
    assert hashes[2] == hashes[0]
    assert len(set(hashes)) == 3
    admission = night_of(source(tmp_path, posted))
    assert admission.cases["case_id"].to_pylist() == ["C1", "C2", "C3"]
    assert (admission.arrivals, admission.duplicates, admission.quarantine.num_rows) == (4, 1, 0)


def test_numbers_and_truth_values_mean_what_a_json_lines_file_means(tmp_path: Path, posted: Posted) -> None:
    lines = {"kind": "files", "folder": "in", "pattern": "{night}/*.jsonl", "format": "jsonl"}
    told = '{"claim_id": "C1", "price": 12.50, "n": true, "x": null, "l": ["a.jpg"], "u": "\\ud800", "z": "\\u0000"}'
    write(tmp_path, name=f"{NIGHT}/a.jsonl").write_text(told)
    event = read_event(
        b'{"type": "arrival", "workflow": "claims", "data": ' + told.encode() + b"}", EventKind.ARRIVAL, "claims", "e"
    )
    posted.kept[(NIGHT, "arrival")] = [PostedEvent(1, "e", "d", RECEIVED, event.rows)]
    table = source(tmp_path, posted, source=lines).read(WINDOW).rows
    assert table["raw"][0] == table["raw"][1]
    assert table["problem"][0] == table["problem"][1]
    assert table["row_sha256"][0] == table["row_sha256"][1]


def test_a_row_with_a_column_of_another_name_goes_to_quarantine(tmp_path: Path, posted: Posted) -> None:
    write(tmp_path, row(1))
    posted.post([as_columns(row(2)), {"claim": "C3", "claimed_at": "2025-03-01T10:00:00", "price": "10"}])
    admission = night_of(source(tmp_path, posted))
    assert admission.cases["case_id"].to_pylist() == ["C1", "C2"]
    (refused,) = admission.quarantine.to_pylist()
    assert (refused["file"], refused["line"]) == ("webhook:000000000001:evt_1", 2)
    assert any("claim_id" in reason or "case_id" in reason for reason in refused["reasons"])
    assert balanced(admission)


def test_of_two_posts_with_one_id_the_one_kept_first_stays(tmp_path: Path, posted: Posted) -> None:
    posted.post(as_columns(row(1, price="10")), event_id="z")
    posted.post(as_columns(row(1, price="99")), event_id="a")
    admission = night_of(source(tmp_path, posted))
    assert admission.cases["price"].to_pylist() == [10.0]
    assert "other content" in admission.quarantine["reasons"][0].as_py()[0]


def test_fingerprints_and_nights_are_those_of_both(tmp_path: Path, posted: Posted) -> None:
    plain = case_source(claims(tmp_path), Settings(home=tmp_path / "home"), {})
    write(tmp_path, row(1))
    assert source(tmp_path, posted).fingerprint(WINDOW) == plain.fingerprint(WINDOW), "done nights stay done"
    assert source(tmp_path, posted).nights_landed() == [NIGHT]
    seen = {plain.fingerprint(WINDOW)}
    for kind, data in (("arrival", as_columns(row(2))), ("arrival", as_columns(row(3))), ("outcome", OUTCOME)):
        posted.post(data, kind)
        seen.add(source(tmp_path, posted).fingerprint(WINDOW))
    assert len(seen) == 4, "an outcome that comes after its night was run brings the night back"
    posted.post(as_columns(row(9)), night="2025-02-27")
    assert source(tmp_path, posted).nights_landed() == ["2025-02-27", NIGHT]
    assert source(tmp_path, posted).fingerprint(WINDOW) in seen


def test_a_sensor_asks_once_for_all_nights(tmp_path: Path, posted: Posted) -> None:
    posted.post(as_columns(row(1)))
    both = source(tmp_path, posted)
    both.nights_landed()
    ours = both.fingerprint(WINDOW)
    assert posted.asked == 1
    assert source(tmp_path, posted).fingerprint(WINDOW) == ours


def test_a_forgotten_row_does_not_vanish(tmp_path: Path, posted: Posted) -> None:
    write(tmp_path, row(1))
    posted.kept[(NIGHT, "arrival")] = [PostedEvent(7, "evt", "d", RECEIVED, (None, None))]
    admission = night_of(source(tmp_path, posted))
    assert admission.arrivals == 3
    assert admission.quarantine["reasons"].to_pylist() == [[FORGOTTEN]] * 2


@pytest.mark.parametrize("kind", ["table", "sql"])
def test_any_kind_of_source_takes_posts(tmp_path: Path, posted: Posted, kind: str) -> None:
    path = write(tmp_path, row(1), name="all.csv")
    table = {"kind": "table", "files": [{"path": str(path)}]}
    sql = {
        "kind": "sql",
        "url_variable": "PIPELINE_SOURCE_SHOP",
        "query": "SELECT 'C1' AS claim_id WHERE :start < :end",
    }
    (tmp_path / "shop.db").touch()
    posted.post(as_columns(row(2)))
    spec = claims(tmp_path, source=table if kind == "table" else sql)
    declared = case_source(
        spec, Settings(home=tmp_path / "home"), {"PIPELINE_SOURCE_SHOP": f"sqlite:///{tmp_path}/shop.db"}
    )
    both = InboundCases(spec, declared, posted)
    assert [json.loads(raw)["claim_id"] for raw in both.read(WINDOW).rows["raw"].to_pylist()] == ["C1", "C2"]
    assert NIGHT in both.nights_landed()


# -- outcomes ----------------------------------------------------------------------------------------------------

OUTCOME = {"case_id": "C1", "label": "worn", "known_at": "2025-03-01T09:00:00Z"}


def truths(folder: Path, posted: Posted, spec: WorkflowSpec | None = None) -> ArrivedOutcomes:
    (folder / "in").mkdir(exist_ok=True)
    spec = spec or claims(folder)
    settings = Settings(home=folder / "home")
    cases = InboundCases(spec, case_source(spec, settings, {}), posted)
    return InboundOutcomes(spec, outcome_source(spec, settings, {}, cases), posted).read(WINDOW)


def told(table: ArrivedOutcomes) -> list[tuple[str, str, str, str]]:
    return [(r["case_id"], r["label"], r["known_at"].isoformat(), r["source"]) for r in table.rows.to_pylist()]


def problems(table: ArrivedOutcomes) -> dict[tuple[str, int], str]:
    return {(problem.file, problem.line): problem.reason for problem in table.problems}


def test_posted_outcomes_are_read_as_the_feed_reads_its_own(tmp_path: Path, posted: Posted) -> None:
    posted.post(
        [
            OUTCOME,
            {"case_id": "C2", "label": "K", "known_at": "2025-03-01 09:00", "true_at": "2025-02-20"},
            {"case_id": "C3", "label": "eaten"},
            {"case_id": "C4", "label": "worn", "known_at": "soon"},
            {"case_id": "C5", "label": "worn"},
            {"case_id": "C6", "label": "worn", "known_at": "2025-03-01", "true_at": "2025-03-02"},
            {"case_id": "nobody knows it", "label": "kept", "known_at": "2025-03-01T00:00:00Z"},
            {"case_id": "C7", "label": "worn", "true_at": "31.31.2025"},
            {"case_id": "C8", "label": "worn", "known_at": "2031-01-01T00:00:00Z"},
        ],
        "outcome",
    )
    table = truths(tmp_path, posted)
    assert told(table) == [
        ("C1", "worn", "2025-03-01T09:00:00+00:00", "webhook"),
        ("C2", "kept", "2025-03-01T08:00:00+00:00", "webhook"),
        ("C5", "worn", RECEIVED.isoformat(), "webhook"),
        ("nobody knows it", "kept", "2025-03-01T00:00:00+00:00", "webhook"),
    ]
    assert table.rows["true_at"].to_pylist()[1].isoformat() == "2025-02-19T23:00:00+00:00"
    why = {line: reason for (_, line), reason in problems(table).items()}
    assert sorted(why) == [3, 4, 6, 8, 9]
    assert "'eaten' is no label" in why[3]
    assert "is not a time" in why[4]
    assert "lies after known_at" in why[6], "the ledger would refuse it, and the night with it"
    assert "is not a time" in why[8]
    assert "cannot be known yet" in why[9]


def test_an_outcome_that_contradicts_one_of_its_night_is_told_about(tmp_path: Path, posted: Posted) -> None:
    lines = ["C1,worn,2025-03-01T09:00:00Z", "C2,worn,2025-03-01T09:00:00Z"]
    write(tmp_path, *lines, name=f"outcomes/{NIGHT}.csv", header="claim_id,finding,seen_at")
    posted.post(OUTCOME, "outcome")
    posted.post([{**OUTCOME, "case_id": "C2", "label": "kept"}, {**OUTCOME, "case_id": "C3"}], "outcome")
    posted.post({**OUTCOME, "case_id": "C3", "label": "kept"}, "outcome")
    table = truths(tmp_path, posted)
    assert [(case, label, source) for case, label, _, source in told(table)] == [
        ("C1", "worn", "files"), ("C2", "worn", "files"),
    ]  # fmt: skip
    assert problems(table) == {
        ("webhook:000000000002:evt_2", 1): CONTRADICTED,
        ("webhook:000000000002:evt_2", 2): CONTRADICTION,
        ("webhook:000000000003:evt_3", 1): CONTRADICTION,
    }


def test_a_posted_correction_of_what_a_file_said_is_kept_beside_it(tmp_path: Path, posted: Posted) -> None:
    write(tmp_path, "C1,worn,2025-03-01T09:00:00Z", name=f"outcomes/{NIGHT}.csv", header="claim_id,finding,seen_at")
    posted.post({**OUTCOME, "label": "kept", "known_at": "2025-03-01T15:00:00Z"}, "outcome")
    table = truths(tmp_path, posted)
    assert [(label, source) for _, label, _, source in told(table)] == [("worn", "files"), ("kept", "webhook")]
    assert problems(table) == {}


def test_an_outcome_posted_long_after_its_night_was_known_when_it_came(tmp_path: Path, posted: Posted) -> None:
    posted.post({"case_id": "C5", "label": "worn"}, "outcome", night="2025-01-01")
    spec = claims(tmp_path)
    declared = outcome_source(spec, Settings(home=tmp_path / "home"), {})
    table = InboundOutcomes(spec, declared, posted).read(window_of("2025-01-01", "Europe/Berlin"))
    assert told(table) == [("C5", "worn", RECEIVED.isoformat(), "webhook")]


def test_without_posts_the_feed_is_given_on_as_it_is(tmp_path: Path, posted: Posted) -> None:
    write(tmp_path, "C1,eaten,2025-03-01", name=f"outcomes/{NIGHT}.csv", header="claim_id,finding,seen_at")
    table = truths(tmp_path, posted)
    assert table.rows.num_rows == 0
    assert len(problems(table)) == 1


def test_a_column_of_posted_arrivals_tells_the_truth_and_changes_no_case(tmp_path: Path, posted: Posted) -> None:
    column = {"kind": "column", "column": "back", "values": {"1": "worn"}, "known_at": [{"field": "night"}]}
    spec = claims(tmp_path, outcome=column)
    write(tmp_path, row(1) + ",", header=HEADER + ",back")
    posted.post([{**as_columns(row(1)), "back": "1"}, {**as_columns(row(2)), "back": "1"}])
    posted.post({"case_id": "C3", "label": "1"}, "outcome")
    assert sorted(case for case, *_ in told(truths(tmp_path, posted, spec))) == ["C1", "C2", "C3"]
    both = InboundCases(spec, case_source(spec, Settings(home=tmp_path / "home"), {}), posted)
    hashes = both.read(WINDOW).rows["row_sha256"].to_pylist()
    assert hashes[0] == hashes[1], "with its truth the case is the same case"
