"""The pages people work in: what they show, what they keep back, and what an answer leads to."""

from __future__ import annotations

import re

import pytest

from pipeline_project.domain.core.people import PersonRole
from tests.desk.house import NIGHT, SECRET, Client, DeskHouse, photo_of_a_shop

REVIEWER, APPROVER = PersonRole.REVIEWER, PersonRole.APPROVER
GOOD = {"label": "defective", "option": "refund", "reason": "policy"}


@pytest.fixture
def ada(house: DeskHouse) -> Client:
    house.ask("A-1", "A-2")
    house.add("ada", *PersonRole)
    return house.client("ada")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "2 open tasks"),
        ("/?workflow=returns&why=doubt&state=pending", "A-1"),
        ("/clusters", "Decide a cluster once"),
        ("/approvals", "Nothing waits"),
        ("/nights", NIGHT),
        (f"/nights/returns/{NIGHT}", "3 cases, 2 still with people"),
        ("/actions", "refund"),
        ("/actions?state=ready&night=" + NIGHT, "notice"),
        ("/models", "0 models wait for a signature"),
        ("/audit", "decisions"),
        ("/audit?case=A-1&kind=decisions&since=2020-01-01", "A-1"),
        ("/people", "Ada"),
        ("/me", "Change your password"),
        ("/why/returns/PAID", "was released"),
    ],
)
def test_every_page_is_there(ada: Client, path: str, words: str) -> None:
    answer = ada.get(path)
    assert answer.status_code == 200
    assert words in answer.text


def test_a_case_shows_what_is_needed_and_keeps_back_what_is_personal(house: DeskHouse, ada: Client) -> None:
    task = house.tasks["A-1"]
    page = ada.get(f"/tasks/{task}").text
    for words in ("70.0%", "price is high", "OLD-1", "1 earlier case", "Take this task"):
        assert words in page
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    assert SECRET not in page
    assert "sealed:" not in page
    assert page.index("defective") < page.index("fine</th>")


def test_an_answer_decides_and_leads_to_actions_in_order(house: DeskHouse, ada: Client) -> None:
    form = ada.take(house.tasks["A-1"])
    answer = ada.submit(f"/tasks/{house.tasks['A-1']}/answer", **form, **GOOD, note="it is <torn>")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"/tasks/{house.tasks['A-2']}?claim=")
    made = house.rows("SELECT option, made_by, reason FROM decisions WHERE case_id = 'A-1' AND epoch = 2")
    assert made == [{"option": "refund", "made_by": "person:ada", "reason": "policy"}]
    assert house.rows("SELECT label, source FROM outcomes WHERE case_id = 'A-1'") == [
        {"label": "defective", "source": "review"}
    ]
    states = house.rows("SELECT kind, state FROM actions WHERE case_id = 'A-1' ORDER BY step")
    assert [tuple(row.values()) for row in states] == [("notice", "ready"), ("refund", "waiting")]
    assert "torn" not in str(house.rows("SELECT note FROM review_answers"))
    story = ada.get("/why/returns/A-1").text
    assert "person:ada decided" in story
    assert "known to be defective" in story


def test_a_stale_answer_changes_nothing_and_gives_the_note_back(house: DeskHouse, ada: Client) -> None:
    task = house.tasks["A-1"]
    form = ada.take(task)
    house.write("UPDATE review_tasks SET lease_until = now() - interval '1 second' WHERE id = :id", id=task)
    answer = ada.submit(f"/tasks/{task}/answer", **form, **GOOD, note="all I typed")
    assert answer.status_code == 409
    assert "all I typed" in answer.text
    assert not house.rows("SELECT 1 FROM decisions WHERE epoch = 2")


def test_two_people_on_one_task(house: DeskHouse, ada: Client) -> None:
    house.add("bob", REVIEWER)
    bob, task = house.client("bob"), house.tasks["A-1"]
    ada.take(task)
    answer = bob.submit(f"/tasks/{task}/claim")
    assert answer.status_code == 409
    assert "somebody else" in answer.text
    assert "ada has it" in bob.get(f"/tasks/{task}").text


def test_a_reveal_is_written_down_and_needs_the_task_in_hand(house: DeskHouse, ada: Client) -> None:
    task = house.tasks["A-1"]
    assert ada.submit(f"/tasks/{task}/reveal", name="message").status_code == 409
    form = ada.take(task)
    page = ada.submit(f"/tasks/{task}/reveal", name="message", claim=form["claim"]).text
    assert f"{SECRET}-A-1" in page
    told = ada.post(
        f"/tasks/{task}/reveal", data={"csrf": ada.csrf, "name": "message", "claim": form["claim"]},
        headers={"accept": "application/json"},
    )  # fmt: skip
    assert told.json() == {"value": f"{SECRET}-A-1"}
    found = house.rows("SELECT person, field FROM reveals")
    assert found == [{"person": "ada", "field": "message"}] * 2
    assert SECRET not in str(house.rows("SELECT * FROM audit_rows"))


def test_photos_are_the_task_s_own_and_images_only(house: DeskHouse) -> None:
    house.ask("A-1", content={"photos": ["good.png", "letter.pdf"]})
    house.add("ada", REVIEWER)
    ada, task = house.client("ada"), house.tasks["A-1"]
    assert ada.get(f"/tasks/{task}/photos/0").status_code == 409, "nobody sees a photo without holding the task"
    assert f"/tasks/{task}/photos" not in ada.get(f"/tasks/{task}").text
    claim = f"?claim={ada.take(task)['claim']}"
    assert f"/tasks/{task}/photos/0{claim}" in ada.get(f"/tasks/{task}{claim}").text
    good = ada.get(f"/tasks/{task}/photos/0{claim}")
    assert house.rows("SELECT person, field FROM reveals") == [{"person": "ada", "field": "photos"}]
    assert (good.status_code, good.headers["content-type"]) == (200, "image/jpeg")
    assert b"Mustermann" in photo_of_a_shop() and b"Mustermann" not in good.content
    assert [ada.get(f"/tasks/{task}/photos/{n}{claim}").status_code for n in (1, 2, -1)] == [404, 404, 404]


def test_a_large_amount_needs_a_second_person_and_never_the_first(house: DeskHouse) -> None:
    house.ask("BIG", amount=900.0)
    house.add("ada", REVIEWER, APPROVER)
    house.add("cleo", APPROVER)
    ada, cleo, task = house.client("ada"), house.client("cleo"), house.tasks["BIG"]
    form = ada.take(task)
    ada.submit(f"/tasks/{task}/answer", **form, **GOOD)
    assert not house.rows("SELECT 1 FROM decisions WHERE epoch = 2")
    (proposal,) = house.rows("SELECT id, hash FROM review_proposals")
    path = f"/approvals/{proposal['id']}"
    assert "Somebody else must agree" in ada.get(path).text
    assert ada.submit(f"{path}/approve", hash=proposal["hash"]).status_code == 403
    assert cleo.submit(f"{path}/approve", hash="0" * 64).status_code == 403
    assert "Approve exactly this" in cleo.get(path).text
    assert cleo.submit(f"{path}/approve", hash=proposal["hash"]).status_code == 303
    assert house.rows("SELECT made_by FROM decisions WHERE epoch = 2") == [{"made_by": "person:ada"}]
    assert house.rows("SELECT approver FROM review_approvals") == [{"approver": "cleo"}]


def test_a_cluster_is_decided_and_its_sample_looks_like_any_task(house: DeskHouse) -> None:
    house.ask(*[f"C-{i:02}" for i in range(20)], cluster="c-like")
    house.add("ada", REVIEWER)
    house.add("bob", REVIEWER)
    ada, bob = house.client("ada"), house.client("bob")
    assert "c-like" in ada.get("/clusters").text
    assert "Decide all of them" in ada.get("/clusters/returns/c-like").text
    assert ada.submit("/clusters/returns/c-like", **{**GOOD, "option": "reject"}).status_code == 422
    assert ada.submit("/clusters/returns/c-like", **GOOD).status_code == 303
    where = bob.submit("/next").headers["location"]
    # a claim is hexadecimal, which spells a name now and then
    page = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", bob.get(where).text)
    for word in ("sample", "ada", "held", "excluded", "blind"):
        assert word not in page
    assert "looked at" in ada.get("/clusters").text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/tasks/1/answer", {**GOOD, "version": "1", "claim": "0" * 32, "label": ""}),
        ("/tasks/1/answer", {**GOOD, "version": "1", "claim": ""}),
        ("/clusters/returns/c-like", {**GOOD, "reason": ""}),
        ("/people", {"name": "", "role": "reviewer", "password": "long enough, too"}),
        ("/people", {"name": "cleo", "role": "", "password": "long enough, too"}),
        ("/sign-in", {"name": "ada", "password": ""}),
    ],
)
def test_a_field_left_empty_is_missing(ada: Client, path: str, form: dict[str, str]) -> None:
    answered = ada.submit(path, **form)
    assert answered.status_code == 422 and "That form is not complete" in answered.text


def test_a_list_asked_for_with_empty_fields_is_the_whole_list(ada: Client) -> None:
    for path in ("/?workflow=&why=&state=&after=&said=", "/audit?case=&person=&kind=&workflow=&since=&until=&before="):
        assert ada.get(path).status_code == 200
    assert ada.get("/actions?workflow=&state=&night=&said=gone").text.count("It goes out again.") == 1
    assert ada.get("/actions?after=").status_code == 422


def test_the_kill_switch_needs_a_reason_and_is_kept(house: DeskHouse, ada: Client) -> None:
    assert ada.submit("/nights/returns/switch", stop="true", reason="").status_code == 422
    assert ada.submit("/nights/returns/switch", stop="true", reason="supplier recall").status_code == 303
    assert "supplier recall" in ada.get("/nights").text
    assert house.rows("SELECT stopped, changed_by FROM switches") == [{"stopped": True, "changed_by": "ada"}]


def test_people_are_added_and_roles_turned_on_and_off(house: DeskHouse, ada: Client) -> None:
    added = ada.submit("/people", name="cleo", role="reviewer", password="long enough, too")
    assert added.status_code == 303
    assert ada.submit("/people/cleo/grant", role="approver").status_code == 303
    assert ada.submit("/people/cleo/revoke", role="reviewer").status_code == 303
    assert house.ports.people.verify("cleo", "long enough, too").roles == {APPROVER}
    assert ada.submit("/people/ada/revoke", role="admin").status_code == 422
    assert ada.submit("/people", name="Cleo!", role="reviewer", password="long enough, too").status_code == 422
    assert ada.submit("/people/ada/close").status_code == 422


@pytest.mark.parametrize("content", [{}, {"fields": {"price": 3.0}}, {"labels": {}, "options": {}, "history": None}])
def test_a_content_with_parts_missing_breaks_no_page(house: DeskHouse, content: dict[str, object]) -> None:
    house.ask("THIN", content=content)
    house.add("ada", REVIEWER)
    ada = house.client("ada")
    form = ada.take(house.tasks["THIN"])
    assert ada.get(f"/tasks/{house.tasks['THIN']}?claim={form['claim']}").status_code == 200
