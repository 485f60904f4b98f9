from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import text

from pipeline_project.domain.core.errors import DatabaseUnreachable, LedgerRefused
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.ports.ledger import Ledger
from resources.ledger.models.proposals import PostgresPromotions
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import connected, engine_of

FLOW, NIGHT = "returns", "2026-03-04"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def model(version: str, night: str = "2026-02-01", digest: str = "d") -> ModelVersion:
    return ModelVersion(FLOW, version, night, digest * 64, f"run-{version}", {"auc": 0.7})


def outcomes(*rows: tuple[str, str, datetime], source: str = "shop") -> pa.Table:
    cases, labels, times = zip(*rows, strict=True)
    return pa.table(
        {
            "case_id": list(cases),
            "label": list(labels),
            "known_at": pa.array(times, pa.timestamp("us", "UTC")),
            "source": [source] * len(rows),
        }
    )


@pytest.fixture
def known(ledger: PostgresLedger) -> PostgresLedger:
    ledger.record_workflow(FLOW, "spec", {"name": FLOW})
    return ledger


# -- workflows, models and champions -----------------------------------------------------------------------------


def test_who_was_champion_on_a_night_does_not_depend_on_the_order_of_recording(ledger: PostgresLedger) -> None:
    ledger.record_champion(FLOW, model("2", "2026-03-01"), "2026-03-10", "better on the replay")
    ledger.record_champion(FLOW, model("1", "2026-02-01"), "2026-02-10", "the first")
    who = {night: ledger.champion(FLOW, night) for night in ("2026-02-09", "2026-02-10", "2026-03-09", "2026-03-10")}
    assert {night: found and found.version for night, found in who.items()} == {
        "2026-02-09": None, "2026-02-10": "1", "2026-03-09": "1", "2026-03-10": "2",
    }  # fmt: skip
    assert who["2026-03-10"] == model("2", "2026-03-01")


def test_of_two_champions_from_the_same_night_the_last_recorded_decides(ledger: PostgresLedger) -> None:
    for version in ("7", "3"):
        ledger.record_champion(FLOW, model(version), NIGHT, "chosen")
    ledger.record_champion(FLOW, model("7"), NIGHT, "the same fact again")
    champion = ledger.champion(FLOW, NIGHT)
    assert champion is not None
    assert champion.version == "3"
    assert [(row.version, row.reason) for row in PostgresPromotions(ledger.url).champions(FLOW)] == [
        ("3", "chosen"),
        ("7", "chosen"),
    ]
    assert ledger.champion("order_returns", NIGHT) is None


def test_models_are_kept_once_and_their_files_may_not_change(ledger: PostgresLedger) -> None:
    ledger.record_model(model("2", "2026-03-01"))
    for _ in range(2):
        ledger.record_model(model("1"))
    assert ledger.models(FLOW) == [model("1"), model("2", "2026-03-01")]
    with pytest.raises(LedgerRefused, match="another digest"):
        ledger.record_model(model("1", digest="e"))


def test_a_metric_that_is_not_a_number_survives(ledger: PostgresLedger) -> None:
    ledger.record_model(ModelVersion(FLOW, "1", NIGHT, "d" * 64, "run", {"auc": float("nan"), "ece": 0.01}))
    metrics = ledger.models(FLOW)[0].metrics
    assert np.isnan(metrics["auc"])
    assert metrics["ece"] == 0.01


def test_a_spec_is_kept_once_by_its_hash(known: PostgresLedger) -> None:
    known.record_workflow(FLOW, "spec", {"name": "something else"})
    assert known.workflow_spec("spec") == {"name": FLOW}
    assert known.workflow_spec("unheard") is None
    with pytest.raises(LedgerRefused, match="workflow_is_slug"):
        known.record_workflow("../returns", "spec", {})


# -- outcomes ----------------------------------------------------------------------------------------------------


def test_outcomes_are_added_once(ledger: PostgresLedger) -> None:
    table = outcomes(("a", "honest", MONDAY), ("b", "fraud", MONDAY))
    assert ledger.record_outcomes(FLOW, table) == 2
    assert ledger.record_outcomes(FLOW, table) == 0
    assert ledger.record_outcomes(FLOW, pa.concat_tables([table, outcomes(("c", "honest", MONDAY))])) == 1
    assert ledger.record_outcomes("order_returns", table) == 2
    assert ledger.record_outcomes(FLOW, table.slice(0, 0)) == 0


def test_outcomes_are_read_as_they_were_known(ledger: PostgresLedger) -> None:
    tuesday, friday = MONDAY + timedelta(days=1), MONDAY + timedelta(days=4)
    # the correction is recorded first: what counts is when it became known
    ledger.record_outcomes(FLOW, outcomes(("a", "fraud", friday)))
    ledger.record_outcomes(FLOW, outcomes(("a", "honest", MONDAY), ("b", "honest", tuesday)))

    def labels(as_of: datetime) -> dict[str, str]:
        frame = ledger.outcomes_known(FLOW, as_of)
        return dict(zip(frame["case_id"], frame["label"], strict=True))

    assert labels(MONDAY) == {}
    assert labels(tuesday) == {"a": "honest"}
    assert labels(friday) == {"a": "honest", "b": "honest"}
    assert labels(friday + timedelta(microseconds=1)) == {"a": "fraud", "b": "honest"}


def test_outcomes_that_contradict_each_other_are_told_until_a_later_word_settles_them(ledger: PostgresLedger) -> None:
    tuesday = MONDAY + timedelta(days=1)
    assert ledger.contradictions(FLOW).empty
    ledger.record_outcomes(FLOW, outcomes(("a", "honest", MONDAY), ("b", "honest", MONDAY), ("c", "honest", MONDAY)))
    ledger.record_outcomes(FLOW, outcomes(("b", "honest", MONDAY), ("c", "fraud", tuesday), source="webhook"))
    assert ledger.contradictions(FLOW).empty, "the same word twice, or a later one, contradicts nothing"
    ledger.record_outcomes(FLOW, outcomes(("a", "fraud", MONDAY), ("b", "fraud", MONDAY), source="webhook"))
    ledger.record_outcomes("order_returns", outcomes(("c", "honest", tuesday)))
    told = ledger.contradictions(FLOW).to_dict("records")
    assert [(row["case_id"], row["labels"], row["sources"]) for row in told] == [
        ("a", ["fraud", "honest"], ["shop", "webhook"]),
        ("b", ["fraud", "honest"], ["shop", "webhook"]),
    ]
    assert told[0]["known_at"] == MONDAY
    ledger.record_outcomes(FLOW, outcomes(("a", "honest", tuesday)))
    assert ledger.contradictions(FLOW)["case_id"].tolist() == ["b"]


def test_known_outcomes_have_the_same_types_with_and_without_rows(ledger: PostgresLedger) -> None:
    types = {"case_id": "str", "label": "str", "known_at": "datetime64[us, UTC]"}
    assert ledger.outcomes_known(FLOW, MONDAY).dtypes.astype(str).to_dict() == types
    ledger.record_outcomes(FLOW, outcomes(("a", "honest", MONDAY)))
    frame = ledger.outcomes_known(FLOW, MONDAY + timedelta(days=1))
    assert frame.dtypes.astype(str).to_dict() == types
    assert frame.loc[0, "known_at"] == pd.Timestamp(MONDAY)


def test_an_outcome_without_a_time_zone_is_refused(ledger: PostgresLedger) -> None:
    table = outcomes(("a", "honest", MONDAY))
    naive = table.set_column(2, "known_at", table["known_at"].cast(pa.timestamp("us")))
    with pytest.raises(ValueError, match="time zone"):
        ledger.record_outcomes(FLOW, naive)


def test_an_outcome_cannot_be_known_before_it_is_true(ledger: PostgresLedger) -> None:
    early = outcomes(("a", "honest", MONDAY)).append_column(
        "true_at", pa.array([MONDAY + timedelta(days=1)], pa.timestamp("us", "UTC"))
    )
    with pytest.raises(LedgerRefused, match="true_before_known"):
        ledger.record_outcomes(FLOW, early)


# -- alerts and the connection -----------------------------------------------------------------------------------


def test_an_alert_is_raised_once_until_somebody_closes_it(ledger: PostgresLedger) -> None:
    def alert(message: str) -> bool:
        return ledger.raise_alert(FLOW, "run_failed", "run-1", message, "team", "pipeline nights returns")

    assert [alert("first"), alert("second")] == [True, False]
    assert [row.message for row in ledger.open_alerts()] == ["first"]
    assert [ledger.close_alert(FLOW, "run-1"), ledger.close_alert(FLOW, "run-1")] == [True, False]
    assert ledger.open_alerts() == []
    assert alert("third")
    assert [(row.message, row.next_command) for row in ledger.open_alerts()] == [("third", "pipeline nights returns")]


def test_it_is_a_ledger_that_can_be_sent_to_another_process(ledger: PostgresLedger) -> None:
    port: Ledger = pickle.loads(pickle.dumps(ledger))
    port.record_workflow(FLOW, "spec", {"name": FLOW})
    assert ledger.workflow_spec("spec") == {"name": FLOW}
    assert ledger.url not in repr(ledger)


def test_a_ledger_that_is_away_or_not_migrated_says_so(new_database: Callable[[], str]) -> None:
    with pytest.raises(LedgerRefused, match=r"at revision none .* run `pipeline setup`"):
        PostgresLedger(new_database()).open_alerts()
    with pytest.raises(DatabaseUnreachable, match=r"clerk:\*\*\*@127\.0\.0\.1:1/x") as caught:
        PostgresLedger("postgresql+psycopg2://clerk:open-sesame@127.0.0.1:1/x").open_alerts()
    assert "open-sesame" not in str(caught.value)


def test_a_connection_lost_in_the_middle_is_said_to_be_lost(ledger: PostgresLedger) -> None:
    with (
        pytest.raises(DatabaseUnreachable, match="cannot be used"),
        connected(engine_of(ledger.url)) as connection,
        connected(engine_of(ledger.url)) as other,
    ):
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        connection.execute(text("SELECT 1"))
