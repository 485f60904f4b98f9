from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from pipeline_project.domain.core.errors import ClusterRefused, DatabaseUnreachable, LedgerRefused
from pipeline_project.domain.review.cluster_reviews import ClusterAnswer, ClusterReview, ClusterState
from pipeline_project.domain.review.new_tasks import DeskRules, NewTask, SpreadTerms
from pipeline_project.domain.review.spread import budget, drawn, members_hash
from resources.ledger.audit.comparison import compare_ledger
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of
from resources.postgres.locks import CHAIN
from tests.resources.ledger.review.cluster_desk import ACTING, FLOW, NIGHT, TERMS, Desk, new_task

LATER = "2026-03-06"


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    return Desk(ledger)


def kettles(count: int, start: int = 0) -> list[NewTask]:
    return [new_task(f"k{i:03}") for i in range(start, start + count)]


def standing(desk: Desk) -> dict[str, tuple[str, str]]:
    rows = desk.rows(
        "SELECT DISTINCT ON (case_id) case_id, option, made_by FROM decisions ORDER BY case_id, epoch DESC"
    )
    return {row["case_id"]: (row["option"], row["made_by"]) for row in rows}


def states(desk: Desk) -> dict[str, int]:
    rows = desk.rows(
        "SELECT CASE WHEN held_by IS NULL THEN state ELSE 'held' END AS is, count(*) AS n FROM review_tasks GROUP BY 1"
    )
    return {row["is"]: row["n"] for row in rows}


# -- what is offered -----------------------------------------------------------------------------------------------


def test_clusters_that_save_answers_come_first_the_most_money_on_top(desk: Desk) -> None:
    lamps = [new_task(f"l{i:03}", "lamps", amount=60) for i in range(60)]
    desk.ask([*kettles(60), *lamps, *(new_task(f"s{i}", "shoes") for i in range(8)), new_task("b1", "bags")])
    found = desk.clusters.open_clusters(FLOW, TERMS)
    assert [(c.cluster, c.open, c.eligible, c.money) for c in found] == [
        ("lamps", 60, 60, 3600.0),
        ("kettles", 60, 60, 2400.0),
        ("shoes", 8, 8, 320.0),
    ]
    assert found[0].plan is not None and (found[0].plan.sample, found[0].plan.alpha) == (20, 0.05)
    assert found[2].plan is None
    assert desk.clusters.open_clusters(FLOW, replace(TERMS, clusters=None)) == []


def test_the_page_of_a_cluster_shows_typical_and_different_members(desk: Desk) -> None:
    odd = new_task("odd", amount=149)
    desk.ask([*kettles(40), replace(odd, content={"fields": {"price": 149.0, "category": "lamp"}, "labels": {}})])
    found = desk.clusters.open_cluster(FLOW, "kettles", TERMS)
    (task,) = desk.rows("SELECT id FROM review_tasks WHERE case_id = 'odd'")
    assert found.different[0] == task["id"]
    assert task["id"] not in found.typical
    assert len(found.typical) == len(found.different) == 3
    assert desk.clusters.open_cluster(FLOW, "nothing", TERMS).eligible == 0


# -- a decision for a cluster --------------------------------------------------------------------------------------


def test_a_sample_stays_in_the_queue_and_the_rest_leaves_it(desk: Desk) -> None:
    desk.ask(kettles(60))
    review = desk.decide()
    assert (review.state, review.members, review.sample_size, review.position) == (ClusterState.SAMPLING, 60, 20, 1)
    assert review.alpha == budget(0.1, 1)
    assert states(desk) == {"pending": 20, "held": 40}
    sampled = desk.rows("SELECT case_id, excluded FROM review_tasks WHERE kind = 'sample' ORDER BY case_id")
    cases = [f"k{i:03}" for i in range(60)]
    assert [row["case_id"] for row in sampled] == sorted(drawn(FLOW, f"{review.night}/{review.position}", cases, 20))
    assert {tuple(row["excluded"]) for row in sampled} == {("anna",)}
    assert review.members_hash == members_hash(cases)
    shown = desk.clusters.open_cluster(FLOW, "kettles", TERMS)
    assert (shown.sampling, shown.open) == (review.id, 0)


def test_who_is_drawn_does_not_know_the_decision(desk: Desk) -> None:
    """Nothing of the cluster's answer stands in a drawn task, which looks as it did before."""
    desk.ask(kettles(60))
    before = {row["id"]: row for row in desk.rows("SELECT * FROM review_tasks")}
    review = desk.decide(answer=ClusterAnswer("restock", "worn", "other"))
    for row in desk.rows("SELECT * FROM review_tasks WHERE kind = 'sample'"):
        changed = {name for name, value in row.items() if value != before[row["id"]][name]}
        assert changed == {"kind", "excluded", "version"}
        shown = json.dumps(row, default=str)
        assert "restock" not in shown and "worn" not in shown and f'"review": {review.id}' not in shown


def test_where_there_is_nobody_else_the_decider_looks_again(desk: Desk) -> None:
    desk.people = ("anna",)
    desk.ask(kettles(60))
    desk.decide()
    assert {tuple(row["excluded"]) for row in desk.rows("SELECT excluded FROM review_tasks WHERE kind = 'sample'")} == {
        ()
    }


def test_a_decision_spreads_when_the_sample_agrees(desk: Desk) -> None:
    desk.ask(kettles(60))
    review = desk.answer_all(desk.decide())
    assert (review.state, review.answered, review.disagreements, review.spread_to) == ("spread", 20, 0, 40)
    assert review.bound is not None and 0 < review.bound <= 0.15
    found = standing(desk)
    assert [list(found.values()).count(("refund", f"person:{who}")) for who in ("anna", "bert")] == [40, 20]
    assert states(desk) == {"complete": 60}
    outcomes = desk.rows("SELECT source, label, count(*) AS n FROM outcomes GROUP BY 1, 2 ORDER BY 1")
    assert {"source": "cluster_review", "label": "defective", "n": 40} in outcomes
    # a notice and a refund for each case, once
    assert (
        len(desk.rows("SELECT DISTINCT case_id, kind FROM actions")) == len(desk.rows("SELECT 1 FROM actions")) == 120
    )
    (decision,) = desk.rows("SELECT * FROM decisions WHERE made_by = 'person:anna' ORDER BY case_id LIMIT 1")
    assert (decision["reason"], decision["epoch"], decision["amount"]) == ("policy", 2, 40.0)
    assert f"cluster review {review.id}" in decision["reasons"][0]


def test_the_audit_chain_holds_all_of_it(desk: Desk) -> None:
    desk.ask(kettles(60))
    desk.answer_all(desk.decide())
    desk.ask(kettles(60, start=500), LATER)
    desk.answer_all(desk.clusters.sample_later(FLOW, LATER, DeskRules(TERMS, ACTING, desk.people))[0], disagree=1)
    with engine_of(desk.ledger.url).connect() as connection:
        compared = {table.table: table for table in compare_ledger(connection)}
    assert [finding for table in compared.values() for finding in table.findings] == []
    assert (compared["cluster_members"].facts, compared["cluster_verdicts"].facts) == (120, 21)
    assert compared["decisions"].facts == len(desk.rows("SELECT 1 FROM decisions"))
    assert compared["outcomes"].facts == len(desk.rows("SELECT 1 FROM outcomes"))


def test_one_disagreement_too_many_splits_at_once(desk: Desk) -> None:
    desk.ask(kettles(60))
    review = desk.decide()
    first, second, *_ = desk.sampled(review)
    desk.answer(first)
    desk.answer(second, "restock", "fine")
    found = desk.clusters.review(review.id)
    assert found is not None
    assert (found.state, found.answered, found.disagreements, found.bound) == ("split", 2, 1, None)
    assert states(desk) == {"complete": 2, "pending": 58}
    assert standing(desk)["k000"][1] in ("policy", "person:bert")
    assert not any(who == "person:anna" for _, who in standing(desk).values())
    notes = desk.rows("SELECT DISTINCT note FROM review_tasks WHERE kind = 'case' AND state = 'pending'")
    assert [f"cluster review {review.id}" in row["note"] for row in notes] == [True]
    # whoever was drawn and not asked yet is decided by an answer of its own, which moves the cluster no more
    desk.answer(desk.sampled(review)[0])
    assert desk.clusters.review(review.id) == found


def test_the_same_option_for_another_reason_is_a_disagreement(desk: Desk) -> None:
    """The label spreads too, so it must be right."""
    desk.ask(kettles(60))
    review = desk.decide()
    desk.answer(desk.sampled(review)[0], "refund", "worn")
    found = desk.clusters.review(review.id)
    assert found is not None and found.state == "split"


def test_members_of_a_split_cluster_are_decided_one_by_one(desk: Desk) -> None:
    desk.ask(kettles(60))
    desk.answer_all(desk.decide(), disagree=1)
    assert desk.clusters.open_clusters(FLOW, TERMS) == []
    with pytest.raises(ClusterRefused, match="one by one"):
        desk.decide()


@pytest.mark.parametrize("disagree", [2, 3])
def test_the_plan_forgives_what_it_said(desk: Desk, disagree: int) -> None:
    desk.ask(kettles(100))
    review = desk.decide()
    assert (review.sample_size, review.allowed_disagreements) == (46, 2)
    found = desk.answer_all(review, disagree)
    assert found.state == ("spread" if disagree == 2 else "split")


def test_a_label_that_is_known_is_not_hidden_by_a_copied_one(desk: Desk) -> None:
    """Of several outcomes the latest counts, so none is copied beside one that somebody saw."""
    desk.ask(kettles(60))
    review = desk.decide()
    seen = "INSERT INTO outcomes (workflow, case_id, label, known_at, source) SELECT 'returns', case_id, 'worn', {}"
    desk.write(seen.format("now() - interval '1 day', 'shop' FROM cluster_members WHERE NOT sampled LIMIT 5"))
    desk.answer_all(review)
    copied = desk.rows("SELECT case_id FROM outcomes WHERE source = 'cluster_review'")
    assert len(copied) == 35
    worn = desk.rows("SELECT case_id FROM outcomes WHERE label = 'worn'")
    assert not {row["case_id"] for row in worn} & {row["case_id"] for row in copied}


def test_a_member_decided_elsewhere_at_that_moment_stops_the_spread(desk: Desk) -> None:
    """Two decisions of one case at once: the later one sees the first and writes nothing at all."""
    desk.ask(kettles(60))
    review = desk.decide()
    *others, last = desk.sampled(review)
    for task in others:
        desk.answer(task)
    elsewhere = (
        "INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, attempt, "
        "run_id, made_by) SELECT 'returns', case_id, 2, '2026-03-04', 'restock', 'policy', 'spec', '{}', 1, 'r', "
        "'person:cleo' FROM cluster_members WHERE NOT sampled LIMIT 1"
    )
    refused: list[Exception] = []

    def answer() -> None:
        try:
            desk.answer(last)
        except LedgerRefused as error:
            refused.append(error)

    with engine_of(desk.ledger.url).begin() as connection:
        connection.execute(text(elsewhere))
        thread = threading.Thread(target=answer)
        thread.start()
        while not desk.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            pass
    thread.join()
    assert len(refused) == 1
    assert len(desk.rows("SELECT 1 FROM decisions WHERE made_by = 'person:anna'")) == 0
    assert desk.rows("SELECT state FROM cluster_reviews") == [{"state": "sampling"}]
    desk.answer(last)
    found = desk.clusters.review(review.id)
    # six of forty may disagree, which was within the limit; six of the thirty-nine that are left are not
    assert found is not None and (found.state, found.spread_to) == ("split", None)
    assert list(standing(desk).values()).count(("restock", "person:cleo")) == 1


# -- who takes no part ---------------------------------------------------------------------------------------------


def test_money_above_the_ceiling_is_decided_one_by_one(desk: Desk) -> None:
    dear = [new_task(f"d{i}", amount=150.01) for i in range(5)]
    unknown = [new_task(f"u{i}", amount=None) for i in range(3)]
    chance = [new_task(f"r{i}", why="random_share") for i in range(4)]
    desk.ask([*kettles(60), *dear, *unknown, *chance])
    review = desk.answer_all(desk.decide())
    assert (review.members, review.spread_to, review.ceiling) == (60, 40, 150.0)
    left = {case for case, (option, _) in standing(desk).items() if option == "ask_person"}
    assert left == {task.case_id for task in (*dear, *unknown, *chance)}


def test_a_customer_who_splits_an_amount_does_not_get_past_four_eyes(desk: Desk) -> None:
    ring = [new_task(f"x{i}", amount=140, subject="ring") for i in range(3)]
    desk.ask([*kettles(60), *ring])
    assert desk.decide().members == 60


def test_what_a_customer_got_before_counts(desk: Desk) -> None:
    """380 refunded by a person's answer and 40 in the cluster are more than 400: that case gets eyes of its own."""
    desk.terms = replace(TERMS, clusters=SpreadTerms(0.15, 0.1, None, 6))
    desk.ask([*kettles(60), new_task("x1", "bags", amount=380, subject="ring"), new_task("x2", subject="ring")])
    (first,) = desk.rows("SELECT id FROM review_tasks WHERE case_id = 'x1'")
    desk.answer(first["id"])
    assert desk.decide().members == 60


def test_an_amount_that_grew_meanwhile_keeps_a_member_out(desk: Desk) -> None:
    desk.ask([*kettles(70), new_task("y1", "bags", amount=380, subject="subject-of-k000")])
    review = desk.decide()
    assert review.members == 70
    (member,) = desk.rows("SELECT sampled FROM cluster_members WHERE case_id = 'k000'")
    assert not member["sampled"]
    (other,) = desk.rows("SELECT id FROM review_tasks WHERE case_id = 'y1'")
    desk.answer(other["id"])
    found = desk.answer_all(review)
    assert (found.state, found.spread_to) == ("spread", review.members - review.sample_size - 1)
    assert standing(desk)["k000"] == ("ask_person", "policy")
    (left,) = desk.rows("SELECT state, note FROM review_tasks WHERE case_id = 'k000'")
    assert left["state"] == "pending" and "eyes of its own" in left["note"]


@pytest.mark.parametrize(
    "answer",
    [
        ClusterAnswer("reject", "worn", "policy"),
        ClusterAnswer("give", "worn", "policy"),
        ClusterAnswer("refund", "blue", "policy"),
        ClusterAnswer("refund", "worn", "whim"),
    ],
)
def test_denials_and_unknown_words_are_refused(desk: Desk, answer: ClusterAnswer) -> None:
    desk.ask(kettles(60))
    with pytest.raises(ClusterRefused):
        desk.decide(answer=answer)
    assert states(desk) == {"pending": 60}


def test_small_clusters_and_other_workflows_are_refused(desk: Desk) -> None:
    desk.ask(kettles(12))
    with pytest.raises(ClusterRefused, match="one by one"):
        desk.decide()
    desk.terms = replace(TERMS, clusters=SpreadTerms(0.3, 0.2, 150, 13))
    with pytest.raises(ClusterRefused):
        desk.decide()
    desk.terms = replace(TERMS, clusters=SpreadTerms(0.3, 0.2, 150, 12))
    assert desk.decide().sample_size == 8
    desk.terms = replace(TERMS, clusters=None)
    with pytest.raises(ClusterRefused, match=r"review\.clusters"):
        desk.decide()


# -- the night's error ---------------------------------------------------------------------------------------------


def test_each_cluster_of_a_night_takes_its_own_part_of_the_error(desk: Desk) -> None:
    for name in ("lamps", "kettles", "bags"):
        desk.ask([new_task(f"{name}{i:03}", name) for i in range(100)])
    desk.ask([new_task(f"shoes{i:03}", "shoes") for i in range(100)], LATER)
    reviews = [desk.decide(cluster=name) for name in ("lamps", "kettles", "bags", "shoes")]
    assert [(review.night, review.position) for review in reviews] == [(NIGHT, 1), (NIGHT, 2), (NIGHT, 3), (LATER, 1)]
    assert [review.alpha for review in reviews] == [budget(0.1, k) for k in (1, 2, 3, 1)]


def test_the_database_lets_a_part_of_the_error_be_spent_once(desk: Desk) -> None:
    desk.ask(kettles(60))
    desk.decide()
    copied = (
        "INSERT INTO cluster_reviews (workflow, cluster, night, position, decided_by, option, label, reason, members, "
        "members_hash, sample_size, allowed_disagreements, alpha, share_limit) SELECT workflow, 'other', night, "
        "position, decided_by, option, label, reason, members, members_hash, sample_size, allowed_disagreements, "
        "alpha, share_limit FROM cluster_reviews"
    )
    with pytest.raises(IntegrityError, match="uq_cluster_reviews_workflow_night_position"):
        desk.write(copied)


def test_nothing_spreads_beyond_the_limit_whoever_says_so(desk: Desk) -> None:
    desk.ask(kettles(60))
    desk.decide()
    with pytest.raises(IntegrityError, match="spread_within_limit"):
        desk.write("UPDATE cluster_reviews SET state = 'spread', bound = 0.151, closed_at = now()")


def test_who_was_drawn_and_what_they_said_are_facts(desk: Desk) -> None:
    desk.ask(kettles(60))
    desk.answer(desk.sampled(desk.decide())[0])
    for statement in ("UPDATE cluster_members SET sampled = NOT sampled", "DELETE FROM cluster_verdicts"):
        with pytest.raises(IntegrityError, match="facts"):
            desk.write(statement)


# -- at once, and in between ---------------------------------------------------------------------------------------


def test_two_who_decide_one_cluster_at_once(desk: Desk) -> None:
    desk.ask(kettles(60))
    ready, made, refused = threading.Barrier(8), [], []

    def decide(person: str) -> None:
        ready.wait()
        try:
            made.append(desk.decide(person))
        except ClusterRefused:
            refused.append(person)

    threads = [threading.Thread(target=decide, args=(f"p{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 7)
    assert len(desk.rows("SELECT 1 FROM cluster_members")) == 60


def test_clusters_decided_at_once_share_no_part_of_the_error(desk: Desk) -> None:
    names = [f"c{i}" for i in range(6)]
    desk.ask([new_task(f"{name}-{i:03}", name) for name in names for i in range(150)])
    ready, made = threading.Barrier(6), []

    def decide(name: str) -> None:
        ready.wait()
        made.append(desk.decide(cluster=name).position)

    threads = [threading.Thread(target=decide, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [1, 2, 3, 4, 5, 6]


def test_answers_at_once_are_all_counted_and_spread_once(desk: Desk) -> None:
    desk.ask(kettles(60))
    review = desk.decide()
    tasks, failed = desk.sampled(review), []
    ready = threading.Barrier(4)

    def answer(mine: list[int]) -> None:
        ready.wait()
        try:
            for task in mine:
                desk.answer(task)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=answer, args=(tasks[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    found = desk.clusters.review(review.id)
    assert found is not None and (found.state, found.answered, found.spread_to) == ("spread", 20, 40)
    assert len(desk.rows("SELECT 1 FROM decisions WHERE epoch = 2")) == 60


def test_a_last_answer_that_dies_leaves_nothing_and_can_be_given_again(desk: Desk) -> None:
    desk.ask(kettles(60))
    review = desk.decide()
    *others, last = desk.sampled(review)
    for task in others:
        desk.answer(task)
    counted = ("decisions", "outcomes", "cluster_verdicts", "actions", "review_answers", "audit_batches")
    before = {table: desk.rows(f"SELECT count(*) AS n FROM {table}") for table in counted}
    failed: list[Exception] = []

    def answer() -> None:
        try:
            desk.answer(last)
        except DatabaseUnreachable as error:
            failed.append(error)

    waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with engine_of(desk.ledger.url).begin() as connection:
        # everything is written but the audit chain, which somebody else holds: there the server's process is killed
        CHAIN.take(connection)
        thread = threading.Thread(target=answer)
        thread.start()
        while not desk.rows(waiting):
            pass
        desk.rows(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) AS w")
        thread.join()
    assert len(failed) == 1
    assert before == {table: desk.rows(f"SELECT count(*) AS n FROM {table}") for table in counted}
    found = desk.clusters.review(review.id)
    assert found is not None and found.state == "sampling"
    desk.answer(last)
    found = desk.clusters.review(review.id)
    assert found is not None and found.state == "spread"


def test_a_sample_that_can_never_be_whole_is_given_up(desk: Desk) -> None:
    desk.ask(kettles(60))
    review = desk.decide()
    *others, last = desk.sampled(review)
    for task in others:
        desk.answer(task)
    assert desk.clusters.sample_later(FLOW, NIGHT, DeskRules(TERMS, ACTING, desk.people)) == []
    found = desk.clusters.review(review.id)
    assert found is not None and found.state == "sampling"
    desk.write(f"UPDATE review_tasks SET state = 'failed', closed_at = now() WHERE id = {last}")
    desk.clusters.sample_later(FLOW, NIGHT, DeskRules(TERMS, ACTING, desk.people))
    found = desk.clusters.review(review.id)
    assert found is not None and (found.state, found.answered) == ("split", 19)
    assert states(desk) == {"complete": 19, "failed": 1, "pending": 40}


# -- later nights --------------------------------------------------------------------------------------------------


def later(desk: Desk, count: int = 60) -> list[ClusterReview]:
    desk.ask(kettles(count, start=500), LATER)
    return desk.clusters.sample_later(FLOW, LATER, desk.rules)


def test_members_that_join_later_are_sampled_again(desk: Desk) -> None:
    desk.ask(kettles(60))
    first = desk.answer_all(desk.decide())
    (second,) = later(desk)
    assert second.follows == first.id
    assert (second.night, second.position, second.alpha) == (LATER, 1, 0.05)
    assert (second.option, second.decided_by) == ("refund", "anna")
    assert not any(who == "person:anna" for case, (_, who) in standing(desk).items() if case >= "k500")
    found = desk.answer_all(second)
    assert (found.state, found.spread_to) == ("spread", 40)
    assert [r.state for r in desk.clusters.reviews(FLOW)] == ["spread", "superseded"]
    assert desk.clusters.sample_later(FLOW, LATER, DeskRules(TERMS, ACTING, desk.people)) == []


def test_newcomers_that_do_not_fit_end_the_standing_decision(desk: Desk) -> None:
    desk.ask(kettles(60))
    desk.answer_all(desk.decide())
    (second,) = later(desk)
    assert desk.answer_all(second, disagree=1).state == "split"
    assert [r.state for r in desk.clusters.reviews(FLOW)] == ["split", "superseded"]
    desk.ask(kettles(60, start=800), "2026-03-07")
    assert desk.clusters.sample_later(FLOW, "2026-03-07", DeskRules(TERMS, ACTING, desk.people)) == []


def test_too_few_newcomers_wait_in_the_queue(desk: Desk) -> None:
    desk.ask(kettles(60))
    desk.answer_all(desk.decide())
    assert later(desk, 12) == []
    assert states(desk) == {"complete": 60, "pending": 12}
    desk.ask(kettles(48, start=700), "2026-03-07")
    assert len(desk.clusters.sample_later(FLOW, LATER, DeskRules(TERMS, ACTING, desk.people))) == 0
    assert len(desk.clusters.sample_later(FLOW, "2026-03-07", DeskRules(TERMS, ACTING, desk.people))) == 1


def test_a_cluster_that_never_spread_gains_nothing(desk: Desk) -> None:
    desk.ask(kettles(60))
    assert desk.clusters.sample_later(FLOW, NIGHT, DeskRules(TERMS, ACTING, desk.people)) == []
    desk.decide()
    assert desk.clusters.sample_later(FLOW, NIGHT, DeskRules(TERMS, ACTING, desk.people)) == []
