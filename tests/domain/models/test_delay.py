"""The delay curve sees through the truncation of young nights; a night is mature when what it will have is in."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline_project.domain.measures.label_delay import (
    DelayCurve,
    delay_curve,
    final_share,
    immature_nights,
    maturities,
    maturity,
    seen_from,
)

FIRST = date(2025, 1, 1)
LINEAR = DelayCurve(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), outcomes=100)


def seen(nights: int, per_night: int, longest: int, as_of: date) -> tuple[list[str], list[date], list[str]]:
    """Outcomes of equally large nights whose delays are spread evenly over 0 .. `longest` days, as far as known."""
    rows = []
    for n in range(nights):
        night = FIRST + timedelta(days=n)
        for i in range(per_night):
            known = night + timedelta(days=i % (longest + 1))
            if known <= as_of:
                rows.append((night.isoformat(), known, "late" if i % (longest + 1) > longest / 2 else "soon"))
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


def test_young_nights_do_not_make_outcomes_look_quick() -> None:
    today = FIRST + timedelta(days=29)
    nights, known_on, labels = seen(30, 40, 19, today)
    curve = delay_curve(nights, known_on, labels, today)
    delays = np.array([(k - date.fromisoformat(n)).days for n, k in zip(nights, known_on, strict=True)])
    assert (delays <= 9).mean() > 0.6, "counted as they stand, half of the delays are too quick"
    assert curve.within(9) == pytest.approx(0.5, abs=0.01)
    assert curve.within(4.9) == pytest.approx(0.25, abs=0.01)
    assert curve.within(400) == 1
    assert curve.within(-1) == 0


def test_labels_have_curves_of_their_own() -> None:
    today = FIRST + timedelta(days=29)
    curve = delay_curve(*seen(30, 40, 19, today), today)
    assert curve.by_label.keys() == {"late", "soon"}
    assert curve.outcomes == 820, "of 1,200 cases; what the last nights' late ones come to is not known yet"
    assert curve.within(9, "soon") == 1
    assert curve.within(9, "late") == 0
    assert curve.days_until(0.9, "soon") == 8
    assert curve.days_until(0.9) == 17
    assert math.isnan(curve.within(3, "never heard of"))
    assert curve.days_until(0.9, "never heard of") is None


def test_what_becomes_known_later_is_not_looked_at() -> None:
    known = [date(2025, 1, 3), date(2025, 1, 9)]
    curve = delay_curve(["2025-01-01", "2025-01-01"], known, ["a", "b"], date(2025, 1, 5))
    assert (curve.outcomes, curve.by_label.keys(), len(curve.share)) == (1, {"a"}, 3)


def test_what_was_known_before_its_night_counts_as_day_zero() -> None:
    curve = delay_curve(["2025-01-05"] * 20, [date(2025, 1, 3)] * 20, ["a"] * 20, date(2025, 1, 9))
    assert curve.share.tolist() == [1.0]


def test_without_outcomes_there_is_no_curve_and_no_mature_night() -> None:
    curve = delay_curve([], [], [], FIRST)
    assert math.isnan(curve.within(3))
    assert curve.days_until(0.5) is None
    assert curve.marks() == []
    found = maturities({"2025-01-01": 5, "2025-01-02": 0}, {}, curve, date(2025, 6, 1), 0.9)
    assert [(m.night, m.share, m.mature) for m in found] == [("2025-01-01", 0.0, False), ("2025-01-02", 1.0, True)]


def test_marks_are_close_where_much_happens_and_end_with_the_longest_delay() -> None:
    assert LINEAR.marks() == [0, 1, 2, 3, 4]
    assert DelayCurve(np.linspace(0, 1, 20), outcomes=1).marks() == [0, 1, 2, 3, 5, 7, 10, 14, 19]


def test_the_final_share_is_told_by_nights_whose_outcomes_are_in() -> None:
    cases = {"2025-01-01": 100, "2025-01-02": 100, "2025-01-10": 100}
    known = {"2025-01-01": 62, "2025-01-02": 58, "2025-01-10": 3}
    assert final_share(cases, known, LINEAR, date(2025, 1, 10)) == pytest.approx(0.6)
    assert final_share({"2025-01-10": 100}, {"2025-01-10": 15}, LINEAR, date(2025, 1, 11)) == pytest.approx(0.6)
    assert final_share(cases, {}, DelayCurve(np.empty(0)), date(2025, 1, 10)) == 0


@pytest.mark.parametrize(("age", "share"), [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0), (9, 1.0)])
def test_an_average_night_is_as_mature_as_the_curve(age: int, share: float) -> None:
    known = round(60 * LINEAR.within(age))
    night = maturity("2025-01-01", FIRST + timedelta(days=age), LINEAR, 100, known, 0.6, 0.9)
    assert night.expected == pytest.approx(60)
    assert night.expected_by_now == pytest.approx(known)
    assert night.share == pytest.approx(share)
    assert night.mature == (share >= 0.9)


def test_a_night_with_fewer_outcomes_than_usual_is_not_immature_for_ever() -> None:
    old = maturity("2025-01-01", date(2025, 2, 1), LINEAR, 100, 40, 0.6, 0.9)
    assert old.mature
    assert old.expected_by_now == pytest.approx(60), "that outcomes are missing is still to be seen"


def test_a_night_with_every_outcome_in_is_mature_at_once() -> None:
    assert maturity("2025-01-01", FIRST, LINEAR, 10, 10, 1.0, 0.9).mature


def test_the_immature_nights_of_a_record() -> None:
    today = FIRST + timedelta(days=29)
    nights, known_on, labels = seen(30, 40, 9, today)
    curve = delay_curve(nights, known_on, labels, today)
    cases = {(FIRST + timedelta(days=n)).isoformat(): 50 for n in range(30)}
    known = {night: nights.count(night) for night in set(nights)}
    found = maturities(cases, known, curve, today, 0.9)
    assert sorted(immature_nights(found)) == [(today - timedelta(days=back)).isoformat() for back in range(7, -1, -1)]
    assert immature_nights(maturities(cases, known, curve, today, 0.5)) < immature_nights(found)


def outcome(case: str, label: str, known_at: datetime) -> dict[str, object]:
    return {"case_id": case, "label": label, "known_at": known_at}


def test_days_are_those_of_the_workflows_own_clock_and_the_day_that_has_begun_does_not_count() -> None:
    cases = pd.DataFrame({"night": ["2025-03-01", "2025-03-01", "2025-03-02"], "case_id": ["a", "b", "c"]})
    late_evening = datetime(2025, 3, 1, 23, 30, tzinfo=UTC)
    told = pd.DataFrame([outcome("a", "kept", late_evening), outcome("stranger", "kept", late_evening)])
    before_midnight = datetime(2025, 3, 3, 22, 59, tzinfo=UTC)
    berlin, nights = seen_from(cases, told, before_midnight, 0.9, "Europe/Berlin")
    assert (berlin.outcomes, len(berlin.share)) == (1, 2), "in Berlin it is the second of March: a delay of one day"
    assert [(night.night, night.cases, night.known) for night in nights] == [("2025-03-01", 2, 1), ("2025-03-02", 1, 0)]
    assert len(seen_from(cases, told, before_midnight, 0.9, "UTC")[0].share) == 1
    # an hour later a new day has begun in Berlin, and the first night is a day older
    assert [night.mature for night in seen_from(cases, told, before_midnight, 0.9, "Europe/Berlin")[1]] == [True, False]
    _, nights = seen_from(cases, told, late_evening, 0.9, "Europe/Berlin")
    assert [night.known for night in nights] == [0, 0], "what becomes known at that moment is not known yet"


def test_a_correction_does_not_make_an_outcome_late() -> None:
    cases = pd.DataFrame({"night": ["2025-03-01"], "case_id": ["a"]})
    first, correction = datetime(2025, 3, 1, 12, tzinfo=UTC), datetime(2025, 3, 20, 12, tzinfo=UTC)
    told = pd.DataFrame([outcome("a", "worn", correction), outcome("a", "kept", first)])
    curve, _ = seen_from(cases, told, datetime(2025, 4, 1, tzinfo=UTC), 0.9, "UTC")
    assert (len(curve.share), curve.outcomes, curve.by_label.keys()) == (1, 1, {"kept"})
