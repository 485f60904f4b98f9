"""Who scores a night and how it goes back, in PostgreSQL: by night, once, and in the audit chain."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from benchmarks.passed import passed
from pipeline_project.domain.core.errors import RollbackRefused, RolloutRefused
from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.lifecycle.rollout.checking import RolloutCheck
from pipeline_project.domain.lifecycle.rollout.stages import NightModels, StageKind, Watched
from resources.ledger.models.proposals import PostgresPromotions
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.rollout.rollback import Turning
from resources.ledger.rollout.rollouts import SignedChallenger, begin_rollout
from resources.postgres.databases import engine_of

FLOW = "claims"
TERMS = RolloutTerms(shadow_nights=1, steps=(0.2, 0.5), step_nights=1, slack=0.02)
MODELS = {v: ModelVersion(FLOW, v, f"2025-03-0{v}", v * 64, f"run-{v}", {"auc": 0.8}) for v in "123"}


def night(day: int) -> str:
    return f"2025-04-{day:02d}"


@pytest.fixture
def live(ledger: PostgresLedger) -> Turning:
    """Version 1 decides from 1 April on; 2 and 3 were trained; the first night was decided."""
    ledger.record_workflow(FLOW, "5" * 64, {"name": FLOW})
    ledger.record_champion(FLOW, MODELS["1"], night(1), "the first model")
    for version in "23":
        ledger.record_model(MODELS[version])
    decide(ledger, 1)
    return Turning(ledger.url)


def decide(ledger: PostgresLedger, *days: int) -> None:
    for day in days:
        ledger.record_decisions(
            FLOW,
            night(day),
            ledger.begin_attempt(FLOW, night(day), f"run-{day}"),
            [],
            basis=passed(ledger, FLOW, night(day)),
        )


def begin(
    live: Turning, version: str = "2", day: int = 2, terms: RolloutTerms = TERMS, seen: float | None = 0.05
) -> int:
    with engine_of(live.url).begin() as connection:
        return begin_rollout(connection, SignedChallenger(FLOW, version, seen, None, "cleo"), night(day), terms)


def rows(live: Turning, query: str) -> list[dict[str, Any]]:
    with engine_of(live.url).connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(query))]


def scored(live: Turning, day: str) -> NightModels:
    """As a night does it: what is over is ended, then who scores is asked."""
    if live.night_models(FLOW, day).to_complete:
        live.complete_rollout(FLOW, day)
    return live.night_models(FLOW, day)


def _version(model: ModelVersion | None) -> str | None:
    return model.version if model else None


def about(value: float | None) -> Any:
    """A figure that stands where a number is wanted."""
    return pytest.approx(value)


def stages(live: Turning, *days: int) -> list[tuple[str | None, str | None, str, float]]:
    found = [scored(live, night(day)) for day in days]
    return [(_version(m.champion), _version(m.challenger), str(m.stage.kind), m.stage.share) for m in found]


def test_asking_who_scores_a_night_changes_nothing(live: Turning, ledger: PostgresLedger) -> None:
    begin(live, terms=RolloutTerms(1, (), 1))
    decide(ledger, 2)
    before = PostgresPromotions(ledger.url).champions(FLOW)
    asked = live.night_models(FLOW, night(3))
    assert asked.champion is not None
    assert (asked.champion.version, asked.challenger, asked.stage.kind) == ("2", None, StageKind.NONE)
    assert PostgresPromotions(ledger.url).champions(FLOW) == before
    assert scored(live, night(3)) == replace(asked, to_complete=False)
    assert len(PostgresPromotions(ledger.url).champions(FLOW)) == len(before) + 1


def test_a_rollout_goes_its_way_by_decided_nights_and_ends_as_champion(live: Turning, ledger: PostgresLedger) -> None:
    begin(live)
    seen = []
    for day in (2, 3, 4, 5):
        seen += stages(live, day)
        decide(ledger, day)
    assert seen == [
        ("1", "2", "shadow", 0.0), ("1", "2", "canary", 0.2), ("1", "2", "canary", 0.5), ("2", None, "none", 0.0),
    ]  # fmt: skip
    assert stages(live, 2, 3, 4, 5) == seen, "whoever looks again sees what held then"
    assert [(c.version, c.from_night) for c in PostgresPromotions(ledger.url).champions(FLOW)] == [
        ("2", night(5)),
        ("1", night(1)),
    ]
    assert rows(live, "SELECT kind, at_night::text FROM rollout_ends") == [{"kind": "completed", "at_night": night(5)}]


def test_nights_without_a_decision_move_nothing_and_turns_do_not_matter(live: Turning, ledger: PostgresLedger) -> None:
    begin(live)
    assert stages(live, 9) == [("1", "2", "shadow", 0.0)]
    decide(ledger, 8)
    assert stages(live, 9, 3, 2) == [
        ("1", "2", "canary", 0.2), ("1", "2", "shadow", 0.0), ("1", "2", "shadow", 0.0),
    ]  # fmt: skip


def test_a_signed_spec_without_steps_makes_it_champion_at_once_and_once(live: Turning, ledger: PostgresLedger) -> None:
    at_once = RolloutTerms(shadow_nights=0, steps=())
    assert begin(live, terms=at_once) == begin(live, terms=at_once)
    assert stages(live, 1, 2) == [("1", None, "none", 0.0), ("2", None, "none", 0.0)]
    assert len(rows(live, "SELECT * FROM champions")) == 2
    assert begin(live, "3", 3, at_once)


def test_one_challenger_at_a_time(live: Turning) -> None:
    begin(live)
    with pytest.raises(RolloutRefused, match="version 2 of claims is being rolled out"):
        begin(live, "3", 3)
    assert len(rows(live, "SELECT * FROM rollouts")) == 1


@pytest.mark.parametrize(
    ("error", "seen", "promised"), [(0.1, 0.05, 0.1), (None, 0.05, 0.07), (None, None, None), (None, 0.995, 1.0)]
)
def test_what_is_promised(live: Turning, error: float | None, seen: float | None, promised: float | None) -> None:
    begin(live, terms=RolloutTerms(1, (0.2,), 1, error=error, slack=0.02), seen=seen)
    champion, challenger = live.watched(FLOW, night(2))
    assert champion == Watched("1", night(1), None)
    assert challenger == Watched("2", night(2), about(promised), True, "1")


def test_withdrawn_it_does_nothing_from_then_on_but_did_before(live: Turning, ledger: PostgresLedger) -> None:
    begin(live)
    decide(ledger, 2, 3)
    before = stages(live, 2, 3)
    assert live.withdraw(FLOW, "2", night(4), "it costs more")
    assert not live.withdraw(FLOW, "2", night(4), "it costs more"), "once"
    assert stages(live, 2, 3) == before
    assert stages(live, 4, 5) == [("1", None, "none", 0.0)] * 2
    decide(ledger, 4, 5, 6)
    assert stages(live, 6) == [("1", None, "none", 0.0)]
    begin(live, "3", 7)
    assert stages(live, 7) == [("1", "3", "shadow", 0.0)]


def test_a_withdrawn_challenger_never_became_champion_before(live: Turning, ledger: PostgresLedger) -> None:
    """Nights filled in later must not let it pass the step it had not reached."""
    begin(live)
    decide(ledger, 2, 8)
    assert live.withdraw(FLOW, "2", night(10), "it costs more")
    decide(ledger, 3, 4, 5)
    assert stages(live, 9) == [("1", "2", "canary", 0.5)]
    assert len(PostgresPromotions(ledger.url).champions(FLOW)) == 1


def rolled_out(live: Turning, ledger: PostgresLedger) -> Watched:
    begin(live, terms=RolloutTerms(1, (), 1))
    decide(ledger, 2)
    scored(live, night(3))
    decide(ledger, 3, 4)
    (watched,) = live.watched(FLOW, night(4))
    return watched


def test_the_champion_is_held_to_its_promise_from_the_start_of_its_rollout(
    live: Turning, ledger: PostgresLedger
) -> None:
    assert rolled_out(live, ledger) == Watched("2", night(2), about(0.07))


def test_a_breach_is_answered_once_whoever_sees_it(live: Turning, ledger: PostgresLedger) -> None:
    watched = rolled_out(live, ledger)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(live.answer_breach(FLOW, watched, night(4), TERMS, "too wrong")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (made,) = [answer for answer in answers if answer is not None]
    assert len(answers) == 6
    assert (made.answer, made.from_night, made.to) == ("last_champion", night(5), "1")
    assert stages(live, 4, 5) == [("2", None, "none", 0.0), ("1", None, "none", 0.0)]
    assert live.breach_answered(FLOW, watched)
    (again,) = live.watched(FLOW, night(5))
    assert (again.version, again.since) == ("1", night(5)), "back again, it is held to what it decides from now on"


def test_who_was_gone_back_from_is_not_gone_back_to(live: Turning, ledger: PostgresLedger) -> None:
    live.answer_breach(FLOW, rolled_out(live, ledger), night(4), TERMS, "too wrong")
    (first,) = live.watched(FLOW, night(6))
    made = live.answer_breach(FLOW, first, night(6), TERMS, "wrong as well")
    assert made is not None
    assert (made.answer, made.to) == ("review_all", None)
    assert live.night_models(FLOW, night(6)).closed is None
    assert live.night_models(FLOW, night(7)).closed == "wrong as well"


def test_a_spec_may_ask_for_people_instead(live: Turning, ledger: PostgresLedger) -> None:
    terms = RolloutTerms(on_breach="review_all")
    made = live.answer_breach(FLOW, rolled_out(live, ledger), night(4), terms, "too wrong")
    assert made is not None
    assert made.answer == "review_all"
    assert stages(live, 5) == [("2", None, "none", 0.0)]
    opened = live.reopen(FLOW, "retrained", "shell:cleo")
    assert (opened.from_night, opened.closed) == (night(5), False)
    assert live.night_models(FLOW, night(5)).closed is None


def test_by_hand_a_rollout_is_ended_then_a_champion_is_gone_back_from(live: Turning, ledger: PostgresLedger) -> None:
    rolled_out(live, ledger)
    begin(live, "3", 5)
    first = live.roll_back(FLOW, None, "complaints", "shell:cleo", TERMS)
    assert (first.from_night, first.champion, first.withdrawn) == (night(5), "2", "3")
    second = live.roll_back(FLOW, None, "more complaints", "shell:cleo", TERMS)
    assert (second.champion, second.withdrawn) == ("1", None)
    with pytest.raises(RollbackRefused, match="was gone back to already"):
        live.roll_back(FLOW, None, "again", "shell:cleo", TERMS)
    assert stages(live, 4, 5) == [("2", None, "none", 0.0), ("1", None, "none", 0.0)]
    assert live.roll_back(FLOW, "2", "it was not the model", "shell:cleo", TERMS).champion == "2"
    assert stages(live, 5) == [("2", None, "none", 0.0)]


@pytest.mark.parametrize(
    ("to", "words"), [("3", "never decided; these did: 1"), ("1", "decides from"), (None, "nobody decided before")]
)
def test_by_hand_there_must_be_somebody_to_go_back_to(live: Turning, to: str | None, words: str) -> None:
    with pytest.raises(RollbackRefused, match=words):
        live.roll_back(FLOW, to, "complaints", "shell:cleo", TERMS)


def test_by_hand_the_policy_closes_and_opens_with_a_reason(live: Turning) -> None:
    with pytest.raises(RollbackRefused, match="say why"):
        live.review_all(FLOW, " ", "shell:cleo", TERMS)
    assert live.review_all(FLOW, "recall of a supplier", "shell:cleo", TERMS).closed
    with pytest.raises(RollbackRefused, match=r"closed .recall of a supplier. on 2025-04-02 already"):
        live.review_all(FLOW, "once more", "shell:cleo", TERMS)
    assert live.night_models(FLOW, night(1)).closed is None
    assert live.night_models(FLOW, night(2)).closed == "recall of a supplier"
    live.reopen(FLOW, "over", "shell:cleo")
    with pytest.raises(RollbackRefused, match="open on"):
        live.reopen(FLOW, "over", "shell:cleo")


def test_what_was_seen_is_kept_once(live: Turning) -> None:
    check = RolloutCheck("1", "promise", 100, 7, 0.05, 2.5, 0.02, 0.15, False)
    live.record_checks(FLOW, night(2), [check])
    live.record_checks(FLOW, night(2), [check])
    live.record_checks(FLOW, night(3), [check])
    kept = rows(live, "SELECT night::text, errors FROM live_checks ORDER BY night")
    assert [(row["night"], row["errors"]) for row in kept] == [(night(2), 7), (night(3), 7)]


def test_every_fact_stands_in_the_chain(live: Turning, ledger: PostgresLedger) -> None:
    live.record_checks(FLOW, night(2), [RolloutCheck("1", "promise", 1, 0, None, 0.0, 0.0, 1.0, False)])
    live.answer_breach(FLOW, rolled_out(live, ledger), night(4), TERMS, "too wrong")
    live.review_all(FLOW, "recall", "shell:cleo", TERMS)
    for table in ("rollouts", "rollout_ends", "policy_states", "live_checks", "live_breaches", "champions"):
        (kept,) = rows(live, f"SELECT count(*) AS n FROM {table}")
        (chained,) = rows(live, f"SELECT count(*) AS n FROM audit_rows WHERE source = '{table}'")
        assert chained == kept, table
        assert kept["n"] > 0, table


def test_the_rows_never_change(live: Turning) -> None:
    begin(live)
    live.review_all(FLOW, "recall", "shell:cleo", TERMS)
    for change in ("UPDATE rollouts SET begun_by = 'x'", "DELETE FROM policy_states", "TRUNCATE live_checks"):
        with engine_of(live.url).begin() as connection, pytest.raises(Exception, match=r"never change|facts"):
            connection.execute(text(change))


def test_stages_have_the_names_that_assets_ask_for() -> None:
    assert {str(kind) for kind in StageKind} == {"none", "shadow", "canary", "champion"}
