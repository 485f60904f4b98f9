"""Cases ↔ decisions ↔ tasks ↔ answers ↔ actions ↔ releases ↔ deliveries ↔ the shop's book."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_project.reconcile.rows import WorkflowTables
from pipeline_project.reconcile.scope import DeclaredWorkflow, Link, Span
from pipeline_project.reconcile.stores import Row, Rows

ASKED = "ask_person"
#: What an action may be when nothing of it can have arrived.
_NOT_LEFT = ("waiting", "held", "cancelled", "rehearsed")

Ledger = Mapping[str, Rows]


def check_decisions(
    declared: DeclaredWorkflow, span: Span, lake: WorkflowTables, in_lake: Rows | None, ledger: Ledger
) -> Link:
    """Every case of a decided night has its decision, and every decision its case."""
    link = Link(declared.name, "cases ↔ decisions")
    decided_nights = {row["night"] for row in ledger["attempts"] if row["decided"]}
    by_night: dict[str, dict[str, str]] = defaultdict(dict)
    options: dict[str, set[str]] = defaultdict(set)
    for row in ledger["decisions"]:
        options[row["case_id"]].add(row["option"])
        if row["epoch"] == 1:
            by_night[row["night"]][row["case_id"]] = row["option"]
    nights = {night for night in {*lake.nights, *by_night, *decided_nights} if night in span}
    undecided, invented, counted = [], [], [0, 0]
    for night in sorted(nights):
        cases = {row["case_id"] for row in lake.nights[night].cases or ()} if night in lake.nights else set()
        decided = by_night[night].keys()
        invented += [f"{night} {case}" for case in decided - cases]
        if night in decided_nights or decided:
            counted = [counted[0] + len(cases), counted[1] + len(decided)]
            undecided += [f"{night} {case}" for case in cases - decided]
        elif cases and night >= declared.decide_from:
            link.note(f"{night}: {len(cases)} cases wait for their night to be decided")
    link.counted = (counted[0], counted[1])
    link.expect_none("cases of decided nights without a decision", undecided)
    link.expect_none("decisions of no case", invented)
    link.expect_none(
        "nights with decisions that were never decided whole",
        (night for night, cases in by_night.items() if cases and night in span and night not in decided_nights),
    )
    in_span = [row for row in in_lake or () if row["night"] in span]
    link.expect_none(
        "decisions of the lake that the ledger does not hold",
        (r["case_id"] for r in in_span if r["case_id"] not in options),
    )
    link.expect_none(
        "decisions of the lake with an option that the ledger never had for their case",
        (r["case_id"] for r in in_span if r["case_id"] in options and r["option"] not in options[r["case_id"]]),
    )
    return link


def check_tasks(workflow: str, span: Span, ledger: Ledger) -> Link:
    """Every decision that asks a person has one task, and every answer made its decision."""
    link = Link(workflow, "decisions ↔ tasks ↔ answers")
    decisions = {(row["case_id"], row["epoch"]): row for row in ledger["decisions"] if row["night"] in span}
    asked = {key for key, row in decisions.items() if row["option"] == ASKED}
    tasks = [row for row in ledger["tasks"] if row["night"] in span]
    own = Counter((row["case_id"], row["epoch"]) for row in tasks if row["kind"] != "repeat")
    link.counted = (len(asked), sum(own.values()))
    link.expect_none("decisions that ask a person, without a task", (case for case, _ in asked - own.keys()))
    link.expect_none("tasks of no decision that asks", (case for case, _ in own.keys() - asked))
    link.expect_none("decisions with more than one task", (key[0] for key, times in own.items() if times > 1))
    answers: dict[int, Rows] = defaultdict(list)
    for row in ledger["answers"]:
        answers[row["task_id"]].append(row)
    members = {row["task_id"] for row in ledger["members"]}
    ended = [row for row in tasks if row["state"] == "complete" and row["kind"] != "repeat"]
    link.expect_none(
        "tasks that are complete and nobody answered",
        (row["case_id"] for row in ended if not answers[row["id"]] and row["id"] not in members),
    )
    link.expect_none("tasks answered more than once", (row["case_id"] for row in tasks if len(answers[row["id"]]) > 1))
    by_people = {key for key, row in decisions.items() if row["made_by"] != "policy"}
    here = {row["id"] for row in tasks}
    answered = {
        (row["case_id"], row["decided_epoch"]): row["option"]
        for several in answers.values()
        for row in several
        if row["decided_epoch"] is not None and row["task_id"] in here
    }
    link.expect_none("answers without the decision they made", (case for case, _ in answered.keys() - by_people))
    link.expect_none(
        "decisions with another option than was answered",
        (key[0] for key in answered.keys() & by_people if answered[key] != decisions[key]["option"]),
    )
    spread = {row["case_id"] for row in ledger["members"]}
    link.expect_none(
        "decisions of people that nobody answered",
        (case for case, epoch in by_people - answered.keys() if case not in spread),
    )
    return link


def check_actions(workflow: str, span: Span, ledger: Ledger) -> Link:
    """Every decision has the actions that its option asks for in the spec it was decided under, for its money."""
    link = Link(workflow, "decisions ↔ actions")
    specs = {row["spec_hash"]: row for row in ledger["specs"]}
    there: dict[tuple[str, int], Rows] = defaultdict(list)
    for row in ledger["actions"]:
        if row["night"] in span and row["undoes"] is None:
            there[(row["case_id"], row["epoch"])].append(row)
    missing, extra, money, wanted_count = [], [], [], 0
    decided = set()
    for row in ledger["decisions"]:
        if row["night"] not in span:
            continue
        key = (row["case_id"], row["epoch"])
        decided.add(key)
        spec = specs.get(row["spec_hash"], {"options": None, "actions": None, "fields": None})
        wanted = Counter(
            ((spec["options"] or {}).get(row["option"]) or {}).get("actions") or () if spec["actions"] else ()
        )
        has = Counter(action["kind"] for action in there[key])
        wanted_count += wanted.total()
        missing += [f"{row['case_id']} {kind}" for kind in wanted - has]
        extra += [f"{row['case_id']} {kind}" for kind in has - wanted]
        money += [f"{row['case_id']} {a['kind']}" for a in there[key] if not _paid_right(a, row, spec)]
    link.counted = (wanted_count, sum(map(len, there.values())))
    link.expect_none("actions that a decision asks for and that are not there", missing)
    link.expect_none("actions that no decision asks for", extra)
    link.expect_none("actions of no decision", (case for case, epoch in there.keys() - decided if there[(case, epoch)]))
    link.expect_none("actions with other money than their decision's amount", money)
    return link


def _paid_right(action: Mapping[str, Any], decision: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether the money is what the spec says, where that is a number or the amount itself; formulas are left alone."""
    kind = ((spec["actions"] or {}).get("kinds") or {}).get(action["kind"]) or {}
    money = kind.get("money", 0)
    if isinstance(money, int | float):
        return bool(round(float(money), 2) == round(action["money"], 2))
    amount = next((name for name, field in (spec["fields"] or {}).items() if field.get("role") == "amount"), None)
    if money != amount or decision["amount"] is None:
        return True
    return abs(action["money"] - decision["amount"]) < 0.0051


def check_releases(workflow: str, span: Span, ledger: Ledger) -> Link:
    """Nothing has left a night that was not released, and only decided nights are released."""
    link = Link(workflow, "actions ↔ releases")
    released = {row["night"] for row in ledger["releases"] if row["night"] in span}
    decided = {row["night"] for row in ledger["attempts"] if row["decided"]}
    mine = [row for row in ledger["actions"] if row["night"] in span]
    left = [row for row in mine if row["state"] not in ("waiting", "held", "cancelled")]
    link.counted = (len({row["night"] for row in left}), len(released))
    link.expect_none("actions that may leave or have left before their night was released",
                     (row["key"] for row in left if row["night"] not in released))  # fmt: skip
    link.expect_none("nights released and never decided whole", released - decided)
    return link


# -- what arrived outside ----------------------------------------------------------------------------------------


def check_deliveries(declared: DeclaredWorkflow, span: Span, ledger: Ledger, keys: set[str]) -> Link:
    """Every action that is done says so once, and lies in its folder once where that is a folder."""
    link = Link(declared.name, "actions ↔ deliveries")
    mine = [row for row in ledger["actions"] if row["night"] in span]
    done = [row for row in mine if row["state"] == "done"]
    ended = Counter(row["action_id"] for row in ledger["events"])
    link.counted = (len(done), sum(1 for row in done if ended[row["id"]]))
    link.expect_none("actions that are done, of which no event tells", (r["key"] for r in done if not ended[r["id"]]))
    link.expect_none("actions that were done more than once", (row["key"] for row in mine if ended[row["id"]] > 1))
    open_ended = [row for row in mine if ended[row["id"]] and row["state"] not in ("done", "rehearsed")]
    link.expect_none("actions that were done and are said not to be", (row["key"] for row in open_ended))
    for name, place in declared.places.items():
        here = {row["key"]: row for row in mine if row["destination"] == name and row["live"]}
        if place.kind == "folder" and place.folder is not None:
            _check_folder(link, name, place.folder, here, keys)
        elif place.kind != "shop" and here:
            link.note(f"what arrived at {name} is not looked at from here")
    return link


def _check_folder(link: Link, name: str, folder: Path, here: Mapping[str, Mapping[str, Any]], keys: set[str]) -> None:
    files = (
        {path.stem: path for path in folder.glob("*.json") if not path.name.startswith(".")} if folder.is_dir() else {}
    )
    done = {key for key, row in here.items() if row["state"] == "done"}
    link.expect_none(f"deliveries that are not in {name}", done - files.keys())
    link.expect_none(f"files in {name} of no action", files.keys() - keys)
    early = {
        key for key in files.keys() & here.keys() if here[key]["state"] in _NOT_LEFT and not here[key]["uncertain"]
    }
    link.expect_none(f"files in {name} of actions that have not left", early)
    link.expect_none(
        f"files in {name} that say something else than their action",
        (key for key in files.keys() & here.keys() if _parsed(files[key].read_bytes()) != _sent(here[key])),
    )


def check_book(
    workflow: str, places: Mapping[str, Any], span: Span, ledger: Ledger, book: Path, keys: set[str]
) -> Link:
    """Every delivery to the fake shop stands in its book once, and the book holds nothing else of this workflow."""
    link = Link(workflow, "deliveries ↔ the shop's book")
    shops = {name for name, place in places.items() if place.kind == "shop"}
    here = {r["key"]: r for r in ledger["actions"] if r["destination"] in shops and r["live"] and r["night"] in span}
    done = {key for key, row in here.items() if row["state"] == "done"}
    if not book.exists():
        link.counted = (len(done), 0)
        link.expect_none("deliveries, and there is no book", done)
        return link
    effects, unread, out_of_turn = _read(book)
    own = [effect for effect in effects if effect.belongs(workflow)]
    times = Counter(effect.key for effect in own)
    spanned = [effect for effect in own if effect.key in here]
    link.counted = (len(done), len(spanned))
    link.expect_none("deliveries that are not in the book", done - times.keys())
    link.expect_none("effects that happened more than once", (key for key, count in times.items() if count > 1))
    link.expect_none("effects of no action", (key for key in times if key not in keys))
    link.expect_none("effects of actions that have not left",
                     (k for k in times.keys() & here.keys()
                      if here[k]["state"] in _NOT_LEFT and not here[k]["uncertain"]))  # fmt: skip
    link.expect_none("effects that say something else than their action",
                     (effect.key for effect in spanned if effect.said != _sent(here[effect.key])))  # fmt: skip
    link.expect_none("lines of the book that cannot be read", unread)
    link.expect_none("effects whose number is out of turn: lines of the book are missing or added", out_of_turn)
    return link


@dataclass(frozen=True)
class _Effect:
    """What the shop's book says happened."""

    number: int
    key: str
    said: Any

    def belongs(self, workflow: str) -> bool:
        return isinstance(self.said, dict) and self.said.get("workflow") == workflow


def _read(book: Path) -> tuple[list[_Effect], list[int], list[int]]:
    """Effects, the lines that cannot be read, and the numbers that do not follow the one before."""
    effects: list[_Effect] = []
    unread, out_of_turn = [], []
    # what follows the last line break was cut off before anybody was told
    for number, line in enumerate(book.read_bytes().split(b"\n")[:-1], 1):
        try:
            entry = json.loads(line)
            if "again" in entry:
                continue
            effects.append(_Effect(entry["effect"], str(entry["key"]), entry["said"]))
        except (ValueError, KeyError, TypeError):
            unread.append(number)
            continue
        if effects[-1].number != len(effects) + len(unread):
            out_of_turn.append(effects[-1].number)
    return effects, unread, out_of_turn[:1]


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _sent(action: Row) -> Mapping[str, Any]:
    """What an action says when it is sent: its payload, and its key."""
    return {"key": action["key"], **action["payload"]}
