"""The checker of deliveries: reads a recorded history - the outbox, the shop's book - and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class History:
    """What happened, as the outbox and the shop's book tell it.

    Attributes:
        actions: key, case_id, step, state, night and attempts of each.
        effects: number and key of each, as the shop did them.
        released: the nights whose checks have passed.
        killed: how often a dispatcher died, by point.
        faults: what went wrong in the shop, by fault.
    """

    actions: Sequence[Mapping[str, Any]]
    effects: Sequence[Mapping[str, Any]]
    released: Sequence[str]
    killed: Mapping[str, int]
    faults: Mapping[str, int]
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What the checker found: keys of actions by what is wrong with them; nothing when all is well."""

    kinds: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def findings(self) -> list[str]:
        """The same in words."""
        return [f"{len(keys)} {words}: {', '.join(sorted(keys)[:3])}" for words, keys in self.kinds.items()]

    @property
    def well(self) -> bool:
        return not self.kinds


def judge(history: History) -> Verdict:
    """Reads a history and nothing else."""
    asked = {row["key"]: row for row in history.actions}
    happened = Counter(effect["key"] for effect in history.effects)
    wanted = {key for key, row in asked.items() if row["night"] in history.released}
    found: dict[str, list[str]] = {
        "happened more than once": [key for key, times in happened.items() if times > 1],
        "never asked for": [key for key in happened if key not in asked],
        "of a night that was not released": [key for key in happened if key in asked and key not in wanted],
        "said to be done, but never happened": [
            key for key in asked if asked[key]["state"] == "done" and not happened[key]
        ],
        "not done": [key for key in wanted if asked[key]["state"] != "done"],
        "out of order": _out_of_order(history, asked),
    }
    return Verdict({words: keys for words, keys in found.items() if keys})


def _out_of_order(history: History, asked: Mapping[str, Mapping[str, Any]]) -> list[str]:
    reached: dict[str, int] = {}
    wrong = []
    for effect in sorted(history.effects, key=lambda each: each["number"]):
        row = asked.get(effect["key"])
        if row is None:
            continue
        if row["step"] < reached.get(row["case_id"], 0):
            wrong.append(effect["key"])
        reached[row["case_id"]] = max(row["step"], reached.get(row["case_id"], 0))
    return wrong
