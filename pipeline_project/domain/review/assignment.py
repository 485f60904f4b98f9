"""Who gets which waiting task: the least loaded reviewer who may have it, up to a cap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline_project.domain.core.people import Person


@dataclass(frozen=True)
class Waiting:
    """A task that nobody has; `excluded` names people who may not take it."""

    id: int
    skill: str | None
    excluded: frozenset[str]


def assignments(
    waiting: Iterable[Waiting], people: Sequence[Person], load: Mapping[str, int], most_tasks: int
) -> dict[int, str]:
    """Task -> person's name. Of two who are loaded alike the first by name gets it, so the answer is always the same.

    Args:
        waiting: in the order of the queue.
        load: open tasks each person has already.
    """
    has = {person.name: load.get(person.name, 0) for person in people}
    given: dict[int, str] = {}
    for task in waiting:
        able = [
            person.name
            for person in people
            if has[person.name] < most_tasks
            and person.name not in task.excluded
            and (task.skill is None or task.skill in person.skills)
        ]
        if able:
            chosen = min(able, key=lambda name: (has[name], name))
            given[task.id] = chosen
            has[chosen] += 1
    return given
