"""Which workflows may begin now, so that no tenant waits because another one has a long queue.

Runs of a workflow go one at a time, so what is shared out are the places for runs among workflows: to whom has the
fewest, and of those that have equally few to whom was given one the longest ago. With one tenant nothing is held back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline_project.domain.core.tenants import tenant_and_workflow


@dataclass
class FairShare:
    """Shares places out, and remembers whose turn was last.

    Attributes:
        given: when each tenant was given a place for the last time, counted in places given.
    """

    given: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def held(self, queued: Iterable[str], running: Sequence[str], places: int, most: Mapping[str, int]) -> set[str]:
        """The workflows that have to wait for another tenant's.

        Args:
            queued: workflows (by their names in Dagster) of which a run could begin now, first in the queue first.
            running: workflows of runs under way.
            places: for runs at once; negative where there is no limit.
            most: runs at once of a tenant, where it has a limit of its own.
        """
        waiting: dict[str, list[str]] = {}
        for workflow in dict.fromkeys(queued):
            if workflow not in running:
                waiting.setdefault(tenant_and_workflow(workflow)[0], []).append(workflow)
        has = Counter(tenant_and_workflow(workflow)[0] for workflow in running)
        free = places - len(running) if places >= 0 else sum(map(len, waiting.values()))
        if len(waiting.keys() | has.keys()) < 2 and not waiting.keys() & most.keys():
            return set()
        while free > 0 and (
            able := [one for one in waiting if waiting[one] and has[one] < most.get(one, free + has[one])]
        ):
            tenant = min(able, key=lambda one: (has[one], self.given.get(one, 0)))
            waiting[tenant].pop(0)
            has[tenant] += 1
            free -= 1
            self.count += 1
            self.given[tenant] = self.count
        return {workflow for left in waiting.values() for workflow in left}
