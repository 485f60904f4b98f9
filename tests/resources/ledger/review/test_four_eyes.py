"""A second person where much is at stake: the rules of the database, and amounts that add up."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from pipeline_project.domain.core.errors import SecondPersonNeeded, StaleClaim
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.review import proposals
from tests.domain.review.review_terms import REFUND, TERMS
from tests.resources.ledger.review.tasks_desk import ANNA, BERT, CLEO, Desk, new_task

APPROVAL = (
    "INSERT INTO review_approvals (proposal_id, proposal_hash, proposer, approver, verdict) "
    "SELECT id, {hash}, {proposer}, :approver, 'approve' FROM review_proposals"
)


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    return Desk(ledger)


def decided(desk: Desk) -> int:
    return int(desk.column("SELECT count(*) FROM decisions WHERE epoch = 2")[0])


def test_above_the_limit_an_answer_waits_for_a_second_person(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", 401.0))
    proposed = desk.decide(task)
    assert proposed.epoch is None and proposed.proposal is not None
    assert decided(desk) == 0 and desk.state(task) == "in_progress"
    assert desk.tasks.next_task(BERT) is None and desk.tick().returned == 0
    assert (
        [p.id for p in desk.answers.waiting()]
        == [proposed.proposal]
        == [p.id for p in desk.tasks.mine("anna").proposed]
    )
    approved = desk.approve(proposed)
    assert (approved.epoch, approved.actions) == (2, 2)
    assert desk.column("SELECT made_by FROM decisions WHERE epoch = 2") == ["person:anna"]
    shown = desk.answers.proposal(proposed.proposal)
    assert shown is not None and (shown.verdict, shown.approver) == ("approve", "cleo")
    assert desk.state(task) == "complete" and desk.answers.waiting() == []


@pytest.mark.parametrize(("amount", "option"), [(400.0, "refund"), (4000.0, "keep")])
def test_no_second_person_up_to_the_limit_or_where_nothing_is_done(desk: Desk, amount: float, option: str) -> None:
    (task,) = desk.ask(new_task("a", amount))
    assert desk.decide(task, answer=replace(REFUND, option=option)).epoch == 2


@pytest.mark.parametrize(("amount", "option"), [(401.0, "reject"), (None, "reject")])
def test_a_denial_and_an_unknown_amount_need_one_too(desk: Desk, amount: float | None, option: str) -> None:
    (task,) = desk.ask(new_task("a", amount))
    assert desk.decide(task, answer=replace(REFUND, option=option)).proposal is not None


def test_what_is_paid_counts_where_it_is_more_than_the_case(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", 10.0, content={"fields": {"price": 900.0}}))
    assert desk.decide(task).proposal is not None


def test_nobody_approves_an_own_proposal(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", 401.0))
    proposed = desk.decide(task)
    for name in ("anna", "Anna"):
        with pytest.raises(SecondPersonNeeded, match="ask another approver"):
            desk.approve(proposed, replace(CLEO, name=name))
    with pytest.raises(SecondPersonNeeded, match="not what was proposed"):
        desk.approve(proposed, hash="0" * 64)
    assert decided(desk) == 0


@pytest.mark.parametrize(
    ("approver", "hash", "proposer", "rule"),
    [
        ("anna", "hash", "proposer", "four_eyes"),
        ("ANNA", "hash", "proposer", "four_eyes"),
        ("anna", "hash", "'somebody'", "fk_review_approvals_proposal"),
        ("cleo", f"'{'0' * 64}'", "proposer", "fk_review_approvals_proposal"),
    ],
)
def test_the_database_itself_refuses(desk: Desk, approver: str, hash: str, proposer: str, rule: str) -> None:
    (task,) = desk.ask(new_task("a", 401.0))
    desk.decide(task)
    with pytest.raises(IntegrityError, match=rule):
        desk.write(APPROVAL.format(hash=hash, proposer=proposer), approver=approver)
    desk.write(APPROVAL.format(hash="hash", proposer="proposer"), approver="cleo")
    with pytest.raises(IntegrityError, match="pk_review_approvals"):
        desk.write(APPROVAL.format(hash="hash", proposer="proposer"), approver="dora")


def test_the_database_takes_no_answer_to_a_proposal_without_its_approval(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", 401.0))
    proposed = desk.decide(task)
    statement = (
        "INSERT INTO review_answers (task_id, workflow, case_id, person, option, label, reason, hash, proposal_id, "
        "proposal_verdict) SELECT task_id, workflow, case_id, proposer, option, label, reason, hash, id, :verdict "
        "FROM review_proposals"
    )
    for verdict, rule in (("approve", "fk_review_answers_approval"), ("send_back", "proposed_is_approved")):
        with pytest.raises(IntegrityError, match=rule):
            desk.write(statement, verdict=verdict)
    desk.answers.send_back(proposed.proposal or 0, proposed.hash or "", "cleo")
    with pytest.raises(IntegrityError, match="fk_review_answers_approval"):
        desk.write(statement, verdict="approve")


def test_what_changed_since_it_was_proposed_is_not_approved(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", 401.0))
    proposed = desk.decide(task)
    desk.write("UPDATE review_tasks SET content = jsonb_set(content, '{fields,price}', '4001')")
    with pytest.raises(SecondPersonNeeded, match="not what it was"):
        desk.approve(proposed)
    assert decided(desk) == 0


def test_sent_back_it_is_a_task_again(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", 401.0))
    proposed = desk.decide(task)
    assert proposed.proposal is not None and proposed.hash is not None
    desk.answers.send_back(proposed.proposal, proposed.hash, "cleo", "sealed:why")
    assert desk.state(task) == "pending" and decided(desk) == 0
    for again in (desk.approve, lambda p: desk.answers.send_back(p.proposal, p.hash, "dora")):
        with pytest.raises(StaleClaim, match="has its answer"):
            again(proposed)
    second = desk.decide(task)
    assert second.hash != proposed.hash
    assert desk.approve(second).epoch == 2
    assert proposed.proposal is not None and second.proposal is not None
    both = [desk.answers.proposal(number) for number in (proposed.proposal, second.proposal)]
    assert [made and made.verdict for made in both] == ["send_back", "approve"]


def test_two_approvers_at_once_decide_once(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", 401.0))
    proposed, start, said = desk.decide(task), threading.Barrier(2), []

    def work(name: str) -> None:
        start.wait()
        try:
            said.append(desk.approve(proposed, replace(CLEO, name=name)).epoch)
        except StaleClaim:
            said.append(None)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("cleo", "dora")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said, key=str) == [2, None] and decided(desk) == 1


# -- amounts that add up -------------------------------------------------------------------------------------


def test_splitting_an_amount_does_not_help(desk: Desk) -> None:
    same = {"subject": "one-customer"}
    one, two, three, other = desk.ask(
        new_task("a", 250.0, **same), new_task("b", 151.0, **same), new_task("c", 1.0, **same), new_task("d", 250.0)
    )
    assert desk.decide(one, ANNA).epoch == 2
    waiting = desk.decide(two, BERT)
    assert waiting.proposal is not None
    shown = desk.answers.proposal(waiting.proposal)
    assert shown is not None and (shown.amount, shown.total) == (151.0, 401.0)
    # what waits counts as well, and another customer's amounts do not
    assert desk.decide(three, BERT).proposal is not None
    assert desk.decide(other, BERT).epoch == 2


def test_amounts_of_other_nights_add_up_within_the_window(desk: Desk) -> None:
    same = {"subject": "one-customer"}
    (first,) = desk.ask(new_task("a", 250.0, **same), night="2026-02-03")
    near, far = desk.ask(new_task("b", 200.0, **same), night="2026-03-04") + desk.ask(
        new_task("c", 200.0, **same), night="2026-03-05"
    )
    assert TERMS.second_nights == 30
    assert desk.decide(first).epoch == 2
    assert desk.decide(far).epoch == 2
    assert desk.decide(near).proposal is not None


def test_members_decided_with_their_cluster_count(desk: Desk) -> None:
    same = {"subject": "one-customer"}
    one, two = desk.ask(new_task("a", 250.0, **same), new_task("b", 151.0, **same))
    desk.write("UPDATE review_tasks SET state = 'complete', closed_at = now() WHERE id = :id", id=one)
    assert desk.decide(two).proposal is not None


def test_answers_that_do_nothing_and_proposals_sent_back_count_nothing(desk: Desk) -> None:
    same = {"subject": "one-customer"}
    one, two, three = desk.ask(*[new_task(case, 350.0, **same) for case in "abc"])
    assert desk.decide(one, answer=replace(REFUND, option="keep")).epoch == 2
    desk.terms = replace(TERMS, second_above=300)
    proposed = desk.decide(two)
    desk.answers.send_back(proposed.proposal or 0, proposed.hash or "", "cleo")
    desk.terms = TERMS
    assert desk.decide(three).epoch == 2


def test_two_answers_at_once_cannot_both_slip_below(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"subject": "one-customer"}
    tasks = [desk.take(task) for task in desk.ask(*[new_task(f"c{i}", 300.0, **same) for i in range(4)])]
    counted, said, start = proposals.earlier_amounts, [], threading.Barrier(4)
    together = threading.Barrier(4, timeout=0.3)

    def slowly(*given: object) -> float:
        found = counted(*given)  # type: ignore[arg-type]
        # without a lock all four would have counted before the first of them writes
        with suppress(threading.BrokenBarrierError):
            together.wait()
        return found

    monkeypatch.setattr(proposals, "earlier_amounts", slowly)

    def work(place: int) -> None:
        start.wait()
        said.append(desk.say(tasks[place]).proposal is None)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [False, False, False, True]
