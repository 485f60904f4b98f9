"""`pipeline reconcile` over nights with deliveries to a folder and to the fake shop, then over what was tampered."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from sqlalchemy import Connection, text

from pipeline_project.container.outbox import usable_destinations
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.tasks import TaskClaim
from pipeline_project.operations.dispatch import Dispatcher
from pipeline_project.operations.reconciliation import declared, where
from pipeline_project.reconcile.run import links
from pipeline_project.reconcile.scope import DeclaredWorkflow, Span, Where
from pipeline_project.sample.shop import Book, build_shop
from resources.ledger.audit.checkpoints import Checkpoints
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.tasks import ReviewTasks
from resources.postgres.databases import engine_of
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

LAST = shop.night(3)
SECRET = "whsec_" + "cmVjb25jaWxl" * 3
ANNA = Person("anna", "Anna", frozenset({PersonRole.REVIEWER, PersonRole.APPROVER}))
SPAN = Span()


@contextmanager
def _shop(folder: Path) -> Iterator[str]:
    """The fake shop on a port of its own."""
    book = Book(folder / "shop" / "book.jsonl")
    config = uvicorn.Config(build_shop(book, SECRET), host="127.0.0.1", port=0, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        book.close()


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Three nights of warm-up and a decided one: a duplicate, a refused row, a text of two lines, an answer, a repair,
    and everything delivered and signed."""
    house = new_house("reconciled")
    kinds = {**shop.ACTIONS["kinds"], "payment": {"destination": "till", "money": "amount", "final": True}}
    with _shop(house.home) as address:
        till = {"kind": "http", "url": f"{address}/actions", "secret": "PIPELINE_SHOP_SECRET"}
        acting = {**shop.ACTIONS, "destinations": {**shop.ACTIONS["destinations"], "till": till}, "kinds": kinds}
        house.variables["PIPELINE_SHOP_SECRET"] = SECRET
        review = {"cost": 15, "capacity": "20%", "exploration": 0.05}
        house.declare(text=True, options=shop.ACTING_OPTIONS, actions=acting, review=review)
        shop.drop_nights(house.folder, [shop.night(offset) for offset in range(4)])
        claims = house.folder / "in" / "claims" / f"{LAST}.csv"
        lines = claims.read_text(encoding="utf-8").splitlines()
        more = [lines[1], f"C-bad,{LAST} 10:00,K-1,lots,glass,x", f'C-long,{LAST} 10:00,K-1,20,glass,"two\nlines, yes"']
        claims.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
        assert {run.outcome for run in house.nights(shop.FIRST, LAST)} == {"done"}
        _deliver(house)
    return house


def _deliver(house: House) -> None:
    with house.entered():
        spec, url = house.spec, house.ledger.url
        desk, answers = ReviewTasks(url), ReviewAnswers(url)
        task = desk.next_task(ANNA, house.name)
        assert task is not None and task.token is not None
        said = Answer("pay", "honest", sorted(spec.review_terms.reasons)[0])
        answers.answer(
            TaskClaim(task.id, task.version, task.token, ANNA.name),
            said,
            DeskRules(spec.review_terms, spec.action_terms),
        )
        known, _ = usable_destinations({house.name: spec}, house.settings, {"PIPELINE_SHOP_SECRET": SECRET})
        assert Dispatcher(engine_of(url), known, {house.name: "team:x"}, "test").drain() > 0
        Checkpoints(url, house.settings.checkpoints, house.settings.keys).checkpoint()


@pytest.fixture(scope="module")
def given(house: House) -> tuple[Where, DeclaredWorkflow]:
    with house.entered():
        return where(house.settings), declared(house.spec, house.settings)


Found = dict[str, list[str]]


def _found(connection: Connection, given: tuple[Where, DeclaredWorkflow], span: Span = SPAN) -> Found:
    """What does not add up, by link."""
    all_links = list(links(connection, given[0], [given[1]], span))
    return {
        link.name.partition(" ")[0] + "…" + link.name.rpartition(" ")[2]: [each.words for each in link.breaks]
        for link in all_links
        if link.breaks
    }


@pytest.fixture
def connection(house: House) -> Iterator[Connection]:
    """A connection on which everything can be changed, and nothing stays."""
    with engine_of(house.ledger.url).connect() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        yield connection
        connection.rollback()


def test_everything_adds_up_and_was_counted(
    house: House, given: tuple[Where, DeclaredWorkflow], connection: Connection
) -> None:
    all_links = list(links(connection, given[0], [given[1]], SPAN))
    assert [link.name for link in all_links if link.breaks] == []
    counted = {link.name: link.counted for link in all_links}
    # 4 nights of 24, a duplicate, a refused row and a text of two lines
    assert counted["source lines ↔ arrivals"] == (99, 99)
    assert counted["arrivals ↔ cases + quarantine + duplicates"] == (99, 99)
    assert counted["cases ↔ decisions"] == (25, 25)
    # at least the answered case is paid, by a notice in the folder and a payment in the book
    for name in (
        "decisions ↔ tasks ↔ answers",
        "decisions ↔ actions",
        "actions ↔ deliveries",
        "deliveries ↔ the shop's book",
    ):
        assert counted[name][0] == counted[name][1] > 0, name


def test_the_command_says_so_and_changes_nothing(house: House) -> None:
    before = house.sql("SELECT count(*) AS rows FROM audit_rows")
    said = house.command("reconcile", house.name, "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["holds"] is True
    assert house.sql("SELECT count(*) AS rows FROM audit_rows") == before


def test_a_span_is_counted_by_itself(given: tuple[Where, DeclaredWorkflow], connection: Connection) -> None:
    one = {link.name: link for link in links(connection, given[0], [given[1]], Span(LAST, LAST))}
    assert [link.name for link in one.values() if link.breaks] == []
    assert one["source lines ↔ arrivals"].counted == (27, 27)
    before = list(links(connection, given[0], [given[1]], Span(None, shop.night(2))))
    assert [link.name for link in before if link.breaks] == []
    assert before[0].counted == (72, 72)


_MINE = "workflow = :w"
_SOME = f"(SELECT min(case_id) FROM decisions WHERE {_MINE} AND epoch = 1 AND option = 'pay')"
_DONE = f"(SELECT min(id) FROM actions WHERE {_MINE} AND state = 'done' AND kind = 'payment')"

#: SQL that tampers, the link that sees it, and some of its words. The tables' own rules are asleep.
TAMPERED: dict[str, tuple[str, str, str]] = {
    "a decision is gone": (
        f"DELETE FROM decisions WHERE {_MINE} AND case_id = {_SOME}",
        "cases…decisions",
        "without a decision",
    ),
    "and the chain knows": (
        f"DELETE FROM decisions WHERE {_MINE} AND case_id = {_SOME}",
        "ledger…chain",
        "of the chain that are gone",
    ),
    "a decision of no case": (
        f"UPDATE decisions SET case_id = 'X-1' WHERE {_MINE} AND case_id = {_SOME}",
        "cases…decisions",
        "of no case",
    ),
    "another option": (
        f"UPDATE decisions SET option = 'assess' WHERE {_MINE} AND case_id = {_SOME}",
        "ledger…chain",
        "another option",
    ),
    "another option, seen by the lake": (
        f"UPDATE decisions SET option = 'assess' WHERE {_MINE} AND case_id = {_SOME}",
        "cases…decisions",
        "of the lake",
    ),
    "a night never decided whole": (
        f"UPDATE attempts SET decided_at = NULL WHERE {_MINE}",
        "cases…decisions",
        "never decided whole",
    ),
    "a task is gone": (
        f"DELETE FROM review_tasks WHERE {_MINE} AND state = 'pending'",
        "decisions…answers",
        "without a task",
    ),
    "a task nobody asked for": (
        f"UPDATE review_tasks SET epoch = 7 WHERE {_MINE} AND state = 'pending'",
        "decisions…answers",
        "of no decision",
    ),
    "an answer is gone": (f"DELETE FROM review_answers WHERE {_MINE}", "decisions…answers", "nobody answered"),
    "an answer says something else": (
        f"UPDATE review_answers SET option = 'assess' WHERE {_MINE}",
        "decisions…answers",
        "than was answered",
    ),
    "an answer's decision is gone": (
        f"DELETE FROM decisions WHERE {_MINE} AND epoch = 2",
        "decisions…answers",
        "without the decision they made",
    ),
    "an action is gone": (f"DELETE FROM actions WHERE id = {_DONE}", "decisions…actions", "are not there"),
    "an action twice": (
        "INSERT INTO actions (workflow, night, case_id, epoch, kind, destination, step, key, fingerprint, payload, "
        "money, final, live, state) SELECT workflow, night, case_id, epoch, kind, destination, step, "
        f"gen_random_uuid(), fingerprint, payload, money, final, live, 'waiting' FROM actions WHERE id = {_DONE}",
        "decisions…actions",
        "no decision asks for",
    ),
    "more money": (f"UPDATE actions SET money = money + 100 WHERE id = {_DONE}", "decisions…actions", "other money"),
    "more money, seen by the chain": (
        f"UPDATE actions SET money = money + 100 WHERE id = {_DONE}",
        "ledger…chain",
        "other money",
    ),
    "another payload": (
        f"""UPDATE actions SET payload = payload || '{{"amount": 1}}' WHERE id = {_DONE}""",
        "deliveries…book",
        "something else",
    ),
    "a night is not released": (f"DELETE FROM releases WHERE {_MINE}", "actions…releases", "before their night"),
    "done and said not to be": (
        f"UPDATE actions SET state = 'cancelled' WHERE id = {_DONE}",
        "deliveries…book",
        "have not left",
    ),
    "done again": (
        f"UPDATE actions SET state = 'ready', settled_at = NULL WHERE id = {_DONE}",
        "actions…deliveries",
        "not to be",
    ),
    "done twice": (
        "INSERT INTO action_events (action_id, event, attempt, worker) "
        f"SELECT action_id, event, attempt, worker FROM action_events WHERE action_id = {_DONE}",
        "actions…deliveries",
        "more than once",
    ),
    "done, and nobody saw it": (
        f"DELETE FROM action_events WHERE action_id = {_DONE}",
        "actions…deliveries",
        "no event tells",
    ),
    "a batch is gone": (
        "DELETE FROM audit_batches WHERE number = (SELECT max(number) - 1 FROM audit_batches)",
        "chain…checkpoints",
        "do not follow",
    ),
    "a fact is gone": (
        "DELETE FROM audit_rows WHERE (batch, position) = (SELECT max(batch), 0 FROM audit_rows)",
        "chain…checkpoints",
        "root or count",
    ),
    "a fact says something else": (
        "UPDATE audit_rows SET body = '{}' WHERE (batch, position) = (SELECT max(batch), 0 FROM audit_rows)",
        "chain…checkpoints",
        "not what was hashed",
    ),
    "the end is cut off": (
        "WITH cut AS (DELETE FROM audit_rows WHERE batch >= (SELECT max(number) - 1 FROM audit_batches)) "
        "DELETE FROM audit_batches WHERE number >= (SELECT max(number) - 1 FROM audit_batches)",
        "chain…checkpoints",
        "another end",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_changed_in_the_ledger_is_seen(
    what: str, house: House, given: tuple[Where, DeclaredWorkflow], connection: Connection
) -> None:
    statement, link, words = TAMPERED[what]
    of_actions = "contype = 'c' AND conrelid = 'actions'::regclass"
    for name in connection.scalars(text(f"SELECT conname FROM pg_constraint WHERE {of_actions}")).all():
        connection.execute(text(f"ALTER TABLE actions DROP CONSTRAINT {name}"))
    assert connection.execute(text(statement), {"w": house.name}).rowcount != 0
    found = _found(connection, given)
    assert any(words in each for each in found.get(link, [])), found


# -- outside the ledger ------------------------------------------------------------------------------------------


def _first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def _without_line(path: Path, number: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))


def _said_otherwise(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "case": "X-1"}))


def _book_again(path: Path) -> None:
    """The same effect a second time, under the next number."""
    effects = [json.loads(line) for line in path.read_text().splitlines()]
    again = {**effects[0], "effect": len(effects) + 1}
    path.write_text("".join(json.dumps(each) + "\n" for each in [*effects, again]))


def _book_other(path: Path) -> None:
    effects = [json.loads(line) for line in path.read_text().splitlines()]
    effects[0]["said"]["amount"] = 9_999
    path.write_text("".join(json.dumps(each) + "\n" for each in effects))


OUTSIDE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a line of the source is gone": (
        lambda home: _without_line(home / "own/in/claims" / f"{LAST}.csv", 2),
        "source…arrivals",
        "what was taken in",
    ),
    "a file of the source is gone": (
        lambda home: (home / "own/in/claims" / f"{LAST}.csv").unlink(),
        "source…arrivals",
        "that are gone",
    ),
    "a file that came late": (
        lambda home: shop.drop_cases(home / "own", LAST, shop.rows("2025-05-05", 2), "-late"),
        "source…arrivals",
        "never took in",
    ),
    "a delivery is gone": (
        lambda home: _first(home / "own/out", "*.json").unlink(),
        "actions…deliveries",
        "not in drop",
    ),
    "a delivery says something else": (
        lambda home: _said_otherwise(_first(home / "own/out", "*.json")),
        "actions…deliveries",
        "something else",
    ),
    "a delivery nobody asked for": (
        lambda home: shutil.copy(_first(home / "own/out", "*.json"), home / "own/out/other.json"),
        "actions…deliveries",
        "of no action",
    ),
    "an effect is gone": (
        lambda home: _without_line(home / "shop/book.jsonl", 0),
        "deliveries…book",
        "not in the book",
    ),
    "a line of the book is gone": (
        lambda home: _without_line(home / "shop/book.jsonl", 0),
        "deliveries…book",
        "out of turn",
    ),
    "an effect twice": (lambda home: _book_again(home / "shop/book.jsonl"), "deliveries…book", "more than once"),
    "an effect of other money": (
        lambda home: _book_other(home / "shop/book.jsonl"),
        "deliveries…book",
        "something else",
    ),
    "no book": (lambda home: (home / "shop/book.jsonl").unlink(), "deliveries…book", "no book"),
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_what_is_changed_outside_is_seen(
    what: str, house: House, given: tuple[Where, DeclaredWorkflow], connection: Connection, tmp_path: Path
) -> None:
    for part in ("own", "shop"):
        shutil.copytree(house.home / part, tmp_path / part)
    tamper, link, words = OUTSIDE[what]
    tamper(tmp_path)
    there, said = given
    source = replace(said.source, folder=str(tmp_path / "own" / "in"))
    drop = replace(said.places["drop"], folder=tmp_path / "own" / "out")
    moved = replace(said, source=source, places={**said.places, "drop": drop})
    found = _found(connection, (replace(there, book=tmp_path / "shop" / "book.jsonl"), moved))
    assert any(words in each for each in found.get(link, [])), found
    assert len(found) == 1, "and nothing else is blamed"


def _deleted(asset_name: str, where_: str) -> Callable[[str], object]:
    def act(uri: str) -> object:
        from deltalake import DeltaTable

        return DeltaTable(f"{uri}/{asset_name}").delete(f"night = '{LAST}' AND {where_}")

    return act


def _doubled(asset_name: str) -> Callable[[str], object]:
    def act(uri: str) -> object:
        from deltalake import DeltaTable, write_deltalake

        rows = DeltaTable(f"{uri}/{asset_name}").to_pyarrow_table(filters=[("night", "=", LAST)]).slice(0, 1)
        return write_deltalake(f"{uri}/{asset_name}", rows, mode="append")

    return act


def _damaged(asset_name: str) -> Callable[[str], object]:
    def act(uri: str) -> object:
        path = sorted(Path(f"{uri}/{asset_name}").rglob("*.parquet"))[-1]
        return path.write_bytes(path.read_bytes()[:60])

    return act


_ONE_CASE = f"case_id = 'C-{LAST}-003'"
IN_LAKE: dict[str, tuple[Callable[[str], object], str, str]] = {
    "an arrival is gone": (_deleted("arrivals", "line = 3"), "source…arrivals", "no arrival was made of"),
    "an arrival twice": (_doubled("arrivals"), "source…arrivals", "arrived twice"),
    "a case is gone": (_deleted("cases", _ONE_CASE), "arrivals…duplicates", "neither case nor refused"),
    "a case is gone, and was decided": (_deleted("cases", _ONE_CASE), "cases…decisions", "of no case"),
    "a case twice": (_doubled("cases"), "arrivals…duplicates", "admitted more than once"),
    "a refused row is gone": (_deleted("quarantine", "line > 0"), "arrivals…duplicates", "neither case nor refused"),
    "a refused row twice": (_doubled("quarantine"), "arrivals…duplicates", "there more than once"),
    "a case of no arrival": (_deleted("arrivals", "line = 3"), "arrivals…duplicates", "cases of no arrival"),
    "a file is cut off": (_damaged("cases"), "the…files", "cases cannot be read"),
}


@pytest.mark.parametrize("what", IN_LAKE)
def test_what_is_changed_in_the_lake_is_seen(
    what: str, house: House, given: tuple[Where, DeclaredWorkflow], connection: Connection, tmp_path: Path
) -> None:
    shutil.copytree(house.home / "lake" / house.name, tmp_path / house.name)
    tamper, link, words = IN_LAKE[what]
    tamper(str(tmp_path / house.name))
    found = _found(connection, (replace(given[0], lake_url=str(tmp_path)), given[1]))
    assert any(words in each for each in found.get(link, [])), found


def test_a_checkpoint_that_names_another_end_is_seen(
    given: tuple[Where, DeclaredWorkflow], connection: Connection, tmp_path: Path
) -> None:
    lines: Sequence[Any] = (Path(given[0].checkpoints) / "checkpoints.jsonl").read_text().splitlines()
    told = {**json.loads(lines[-1]), "hash": "0" * 64}
    (tmp_path / "checkpoints.jsonl").write_text(json.dumps(told) + "\n")
    found = _found(connection, (replace(given[0], checkpoints=str(tmp_path)), given[1]))
    assert found == {"chain…checkpoints": ["checkpoints that name another end than the chain has there"]}


def test_the_night_itself_was_counted(house: House) -> None:
    assert house.checks("release", LAST)["adds_up"] is True
