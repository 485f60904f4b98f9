"""The night report in numbers and sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.measures.maturity import Immature
from pipeline_project.domain.privacy.masking import mask
from pipeline_project.domain.reporting.calibration import calibration
from pipeline_project.domain.reporting.facts import Alert
from pipeline_project.domain.reporting.index import WorkflowIndex, index_row
from pipeline_project.domain.reporting.money import Comparison, ConstantLine, comparison_sentence
from pipeline_project.domain.reporting.sentences import money, percent, seconds
from pipeline_project.domain.reporting.states import ReportState
from pipeline_project.domain.reporting.summary import summarize
from tests.domain.reporting.report_nights import (
    LABELS,
    PLAN,
    TERMS,
    cases_table,
    decisions_table,
    facts,
    matured,
    matured_of,
    quarantine_table,
)


def test_the_counts_of_the_headline_add_up() -> None:
    report = summarize(TERMS, facts())
    assert (report.arrivals, report.admitted, report.refused, report.repeats) == (14, 11, 2, 1)
    assert report.arrivals == report.admitted + report.refused + report.repeats
    assert report.by_policy + report.to_people == report.admitted == len(PLAN)
    assert sum(line.cases for line in report.options) == report.by_policy == 7
    assert sum(line.cases for line in report.people) == report.to_people == 4
    assert report.headline == (
        "14 cases came in; 11 admitted, 2 refused, 1 was a repeat. 7 decided by the policy, 4 go to people."
    )


def test_rows_that_vanished_are_called_out() -> None:
    report = summarize(TERMS, facts(arrivals=16))
    assert [(b.kind, b.title) for b in report.banners] == [("stop", "The counts do not add up")]
    assert report.banners[0].text.startswith("2 rows too few")


def test_expected_cost_counts_the_review_and_leaves_out_what_is_unknown() -> None:
    compared = summarize(TERMS, facts()).comparison
    assert compared is not None
    assert compared.cases == 10
    # 4 x 0, 2 x 1.2, 3 people at 4, 0.3 * 30
    assert compared.policy_cost == pytest.approx(2 * 1.2 + 3 * 4 + 9)
    costs = {line.option: line.cost for line in compared.constants}
    assert costs["restock"] == pytest.approx(30 * (1.8 + 0.9 + 0.1))
    assert costs["notify"] == pytest.approx(12 * (10 - 2.8))
    assert costs["reject"] == pytest.approx(600)
    assert compared.best.option == "restock"
    assert compared.random_cost == pytest.approx(4 - 3)
    assert compared.differ == 5
    assert compared.acted == 7


def test_a_denying_option_is_no_constant_policy_open_to_the_machine() -> None:
    cheap_denial = decisions_table(expected_costs=[5.0, 6.0, 0.0])
    compared = summarize(TERMS, facts(decisions=cheap_denial)).comparison
    assert compared is not None
    assert compared.best.option == "restock"
    assert [line.open for line in compared.constants] == [True, True, False]


@pytest.mark.parametrize(
    ("policy", "best", "words"),
    [
        (1233.90, 1234.50, "would cost 1,234.50 EUR; this policy 1,233.90 EUR: the model changes next to nothing"),
        (1000.0, 1250.0, "250.00 EUR (20.0 %) less."),
        (1300.0, 1250.0, "50.00 EUR (4.0 %) more."),
        (2.0, 0.0, "2.00 EUR more."),
        (0.0, 0.0, "next to nothing"),
    ],
)
def test_the_comparison_is_honest_in_words(policy: float, best: float, words: str) -> None:
    line = ConstantLine("do_nothing", "Never warn", best, True)
    sentence = comparison_sentence(Comparison(900, policy, (line,), line, 3, 3), "EUR")
    assert words in sentence
    assert sentence.startswith("Always “Never warn” would cost")


def test_a_model_that_changes_nothing_says_so_above_everything() -> None:
    all_restocked = decisions_table(
        option="restock", would_be="restock", reason="cheapest", expected_costs=[7.0, 9.0, 60]
    )
    report = summarize(TERMS, facts(decisions=all_restocked))
    assert report.comparison is not None and report.comparison.negligible
    assert report.banners[0].title == "The model changes next to nothing tonight"
    assert "0 of 11 cases are treated otherwise" in report.banners[0].text


def test_realised_cost_takes_the_true_label() -> None:
    decisions = pd.DataFrame(
        {
            "case_id": ["a", "b", "c", "d", "e"],
            "night": "2025-03-02",
            "label": ["defective", "resellable", "defective", "unheard_of", "defective"],
            "option": ["restock", "notify", "ask_person", "restock", "ask_person"],
            "answer": [None, None, "reject", None, None],
            "probabilities": [[0.5, 0.5]] * 5,
        }
    )
    costs = np.broadcast_to(np.array([[0.0, 30], [12, 0], [60, 60]]), (5, 3, 2))
    found = summarize(TERMS, facts(matured=matured(decisions, costs))).realised
    assert found is not None and found.cases == 3
    # the person was asked for 4 and chose what costs 60; the one nobody answered is in no sum
    assert found.policy_cost == pytest.approx(30 + 12 + (60 + 4))
    assert found.unanswered == 1
    assert {line.option: line.cost for line in found.constants} == {"restock": 60, "notify": 12, "reject": 180}
    assert found.interval is not None and found.interval.low < found.saving < found.interval.high


def test_calibration_finds_an_honest_model_honest_and_a_boastful_one_boastful() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(4000)
    frame = pd.DataFrame(
        {
            "night": "2025-03-02",
            "label": np.where(rng.random(4000) < p, *reversed(LABELS)),
            "probabilities": [[1 - x, x] for x in p],
        }
    )
    honest = calibration(frame, LABELS)
    assert honest is not None and honest.error < 0.03 and honest.event == "“defective”"
    assert len(honest.bins) == 10 and sum(b.cases for b in honest.bins) == honest.cases == 4000
    assert "within what chance allows" in honest.sentence
    boast = frame.assign(probabilities=pd.Series([[(1 - x) / 3, 1 - (1 - x) / 3] for x in p]))
    boastful = calibration(boast, LABELS)
    assert boastful is not None and boastful.error > 0.2
    assert "too high by" in boastful.sentence


def test_too_few_outcomes_give_no_calibration() -> None:
    frame = pd.DataFrame({"night": "n", "label": ["defective"] * 19, "probabilities": [[0.1, 0.9]] * 19})
    assert calibration(frame, LABELS) is None


def test_bins_of_fewer_than_twenty_cases_are_not_drawn() -> None:
    frame = pd.DataFrame({"night": "n", "label": ["defective"] * 25, "probabilities": [[0.5, 0.5]] * 25})
    found = calibration(frame, LABELS)
    assert found is not None and len(found.bins) == 1
    (only,) = found.bins
    assert (only.cases, only.came_true, only.high) == (25, 1.0, 1.0) and 0.8 < only.low < 0.9


@pytest.mark.parametrize(
    ("changes", "state", "title"),
    [
        ({"blocked": "more than 20 % refused", "decisions": None}, ReportState.BLOCKED, "This night is blocked"),
        (
            {"arrivals": 0, "cases": cases_table(0), "quarantine": quarantine_table().slice(0, 0), "duplicates": 0,
             "decisions": None, "scores": None, "clusters": None},
            ReportState.EMPTY,
            "An empty night",
        ),
        ({"night": "2025-02-11", "decisions": None, "scores": None}, ReportState.WARM_UP, "Warm-up night"),
        ({"decisions": None}, ReportState.NOT_DECIDED, "This night is not decided yet"),
        (
            {"decisions": decisions_table(option="ask_person", would_be="ask_person", reason="no_model",
                                          expected_costs=None, benefit=None)},
            ReportState.NO_MODEL,
            "There is no model yet",
        ),
        (
            {"decisions": decisions_table(option="ask_person", would_be="ask_person", reason="model_unavailable")},
            ReportState.MODEL_UNAVAILABLE,
            "The model is unavailable",
        ),
        ({}, ReportState.DECIDED, None),
    ],
)  # fmt: skip
def test_each_state_has_its_banner(changes: dict, state: ReportState, title: str | None) -> None:
    report = summarize(TERMS, facts(**changes))
    assert report.state == state
    if title is None:
        assert report.banners == ()
    else:
        assert report.banners[0].title == title


def test_a_night_decided_before_says_what_would_change() -> None:
    report = summarize(TERMS, facts(decisions=decisions_table(would_be="notify")))
    banner = next(b for b in report.banners if b.title == "Decided before")
    assert "9 cases otherwise" in banner.text


def test_alerts_become_banners_without_addresses() -> None:
    report = summarize(TERMS, facts(alerts=(Alert("error", "Late file from anna@shop.example"),)))
    assert [(b.kind, b.text) for b in report.banners] == [("stop", "Late file from •••")]


def test_equal_refusals_count_as_one_and_name_the_first_line() -> None:
    report = summarize(TERMS, facts())
    assert [(r.reason, r.rows, r.line) for r in report.refusals] == [
        ("price: “…” is not a number", 2, 7),
        ("cust: ••• is <i>odd</i>", 1, 7),
    ]


def test_people_lines_and_reviewers() -> None:
    report = summarize(TERMS, facts())
    assert [(line.reason, line.cases) for line in report.people] == [
        ("doubt", 2), ("failed_photo", 1), ("random_share", 1)
    ]  # fmt: skip
    assert report.waiting[0].case_id == "C-006"
    assert report.waiting[-1].benefit is None
    assert report.reviewers_sentence == (
        "4 cases to people, 3 places planned. 1 more case was wanted but found no place. "
        "One more place would save 1.50 EUR tonight."
    )


def test_clusters_tell_size_birth_and_words() -> None:
    found = summarize(TERMS, facts()).groups
    assert found is not None
    assert (found.clusters, found.clustered, found.alone, found.shared_photos, found.twins) == (2, 9, 2, 2, 1)
    first, second = found.lines
    assert (first.cluster, first.tonight, first.size, first.is_new, first.by_policy) == ("g1", 6, 12, False, 6)
    assert (second.cluster, second.is_new, second.to_people) == ("g<2>", True, 3)
    assert len(first.photos) == 4 and first.growth == 0.5


def test_keywords_are_shared_by_people_and_name_none() -> None:
    cases = cases_table().to_pylist()
    for i, row in enumerate(cases):
        row["message"] = "zipper broke says Zanarius" if i < 6 else "wrong colour says nobody"
        if i in (6, 7):
            row["message"] += " Petronella"
    table = pa.Table.from_pylist(cases, schema=cases_table().schema)
    found = summarize(TERMS, facts(cases=table)).groups
    assert found is not None
    assert found.lines[0].keywords == ("broke", "zipper")
    assert found.lines[1].keywords == ("colour", "nobody", "wrong")


def test_an_id_that_is_personal_is_not_shown() -> None:
    fields = tuple(replace(f, pii=True) if f.name == "claim_id" else f for f in TERMS.schema.fields)
    terms = replace(TERMS, schema=replace(TERMS.schema, fields=fields))
    report = summarize(terms, facts())
    assert {case.case_id for case in report.waiting} == {"•••"}
    assert report.commands[0][0] == "pipeline why returns CASE"
    assert report.groups is not None and report.groups.lines[0].examples == ("•••", "•••")


def test_a_case_id_in_a_command_is_quoted_for_the_shell() -> None:
    rows = decisions_table().to_pylist()
    rows[6] |= {"case_id": "a; rm -rf ~", "benefit": 99.0}
    report = summarize(TERMS, facts(decisions=pa.Table.from_pylist(rows, schema=decisions_table().schema)))
    assert report.commands[0][0] == "pipeline why returns 'a; rm -rf ~'"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to a.b@c.example now", "write to ••• now"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN •••."),
        ("card 4111 1111 1111 1111", "card •••"),
        ("call +49 (171) 555-0123", "call •••"),
        ("call 0171 5550123", "call •••"),
        ("price 1234.50 on 2025-04-17, 120 days", "price 1234.50 on 2025-04-17, 120 days"),
        ("customer K1 not K12", "customer ••• not K12"),
    ],
)
def test_personal_values_are_masked(text: str, masked: str) -> None:
    assert mask(text, ["K1"]) == masked


def test_numbers_in_words() -> None:
    assert money(1234.5, "EUR") == "1,234.50 EUR" and money(-3, "EUR") == "−3.00 EUR"
    assert money(1_234_567, "EUR") == "1,234,567 EUR" and money(None, "EUR") == "unknown"
    assert money(-0.001, "EUR") == "0.00 EUR"
    assert percent(0.004) == "under 1 %" and percent(0.0) == "0 %" and percent(0.0512, 1) == "5.1 %"
    assert seconds(0.84) == "0.8 s" and seconds(42) == "42 s" and seconds(125) == "2 min 05 s"


def test_an_index_row_is_the_report_in_small() -> None:
    report = summarize(TERMS, facts())
    row = index_row(report, "night.html")
    assert row.calm and row.share_to_people == pytest.approx(4 / 11)
    assert row.policy_cost == pytest.approx(23.4) and row.constant_cost == pytest.approx(84.0)
    blocked = index_row(summarize(TERMS, facts(blocked="x", decisions=None)), "b.html")
    assert not blocked.calm and blocked.alerts == 1
    rows = (replace(row, night="2025-04-18", to_people=0, by_policy=11), row, replace(blocked, night="2025-04-16"))
    flow = WorkflowIndex("returns", "Return claims", "EUR", rows)
    assert [r.night for r in flow.newest_first] == ["2025-04-18", "2025-04-17", "2025-04-16"]
    assert flow.curve("2025-04-17") == (None, pytest.approx(4 / 11))


def test_figures_of_immature_nights_are_called_so() -> None:
    young = Immature(cases=120, known=400, nights=5, mature_share=0.9)

    def sentence(immature: Immature) -> str:
        return summarize(TERMS, facts(matured=replace(matured_of(), immature=immature))).immature

    assert sentence(young).startswith("Of 400 decisions with a known outcome 120 lie")
    assert sentence(replace(young, cases=0)) == summarize(TERMS, facts()).immature == ""
