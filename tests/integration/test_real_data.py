"""Real tables through the shipped workflows: read, admitted and, on a few nights, run through Dagster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline_project.domain.intake.admission import admit, read_rows
from pipeline_project.partitions import window
from pipeline_project.settings import Settings
from pipeline_project.spec.load import SHIPPED, check_file, load_spec
from resources.contracts.arrivals import cases_contract
from resources.sources import case_source, outcome_source
from tests.admitted import balanced

pytestmark = pytest.mark.real_data


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, real_data=Path(os.environ["PIPELINE_REAL_DATA"]))


@pytest.mark.parametrize(
    ("name", "night", "at_least"),
    [
        ("order_returns", "2012-10-01", 100),
        ("order_returns", "2012-12-24", 50),
        ("support_tickets", "2025-06-01", 150),
        ("vehicle_claims", "1994-03-14", 100),
        ("vehicle_claims", "1995-02-28", 40),
    ],
)
def test_a_real_night_is_admitted_whole(settings: Settings, name: str, night: str, at_least: int) -> None:
    spec = load_spec(SHIPPED / f"{name}.yaml")
    arrivals = case_source(spec, settings).read(window(spec, night)).rows
    typed = read_rows(arrivals, spec.case_schema)
    admission = admit(typed, cases_contract(spec).validate(typed), None, window(spec, night))
    assert balanced(admission)
    assert len(admission.cases) >= at_least
    assert len(admission.quarantine) <= 0.01 * len(arrivals)


def test_an_order_s_outcome_is_known_no_earlier_than_two_weeks_after(settings: Settings) -> None:
    spec = load_spec(SHIPPED / "order_returns.yaml")
    night = window(spec, "2012-10-01")
    outcomes = outcome_source(spec, settings).read(night).rows
    assert len(outcomes) > 100
    days = [(known - night.start).total_seconds() / 86400 for known in outcomes["known_at"].to_pylist()]
    assert min(days) >= 14
    assert max(days) >= 30


def test_a_claim_s_night_is_the_last_day_of_its_week(settings: Settings) -> None:
    spec = load_spec(SHIPPED / "vehicle_claims.yaml")
    source = case_source(spec, settings)
    nights = source.nights_landed()
    assert len(nights) == 118
    assert (nights[0], nights[-1]) == ("1994-01-07", "1995-12-31")
    assert {int(night[-2:]) for night in nights} == {7, 14, 21, 28, 30, 31}
    outcomes = outcome_source(spec, settings).read(window(spec, "1994-03-14")).rows
    assert len(outcomes) == len(source.read(window(spec, "1994-03-14")).rows)
    assert set(outcomes["label"].to_pylist()) == {"honest", "fraud"}


def test_the_delivery_date_is_refused_as_a_feature(tmp_path: Path) -> None:
    text = (SHIPPED / "order_returns.yaml").read_text(encoding="utf-8")
    changed = tmp_path / "order_returns.yaml"
    changed.write_text(text.replace("features: [price,", "features: [delivered_at, price,"), encoding="utf-8")
    assert text != changed.read_text(encoding="utf-8")
    sentences = [mistake.sentence for mistake in check_file(changed)]
    assert any("delivered_at" in sentence and "known_later" in sentence for sentence in sentences)
