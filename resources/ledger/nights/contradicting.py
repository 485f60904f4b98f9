"""Outcomes that contradict each other: several labels of one case that became known at one and the same time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, exists, func, select

from resources.ledger.tables import nights as tables

#: Columns of a contradiction, as `ports.Ledger.contradictions` promises them.
CONTRADICTION = ("case_id", "known_at", "labels", "sources")


def contradictions(workflow: str) -> Select[Any]:
    """The cases whose latest outcome contradicts itself, by case; a word that came later settles the matter."""
    outcomes, later = tables.outcomes.alias("told"), tables.outcomes.alias("later")
    labels = func.array_agg(outcomes.c.label.distinct())
    several = (
        select(
            outcomes.c.case_id,
            outcomes.c.known_at,
            labels.label("labels"),
            func.array_agg(outcomes.c.source.distinct()).label("sources"),
        )
        .where(outcomes.c.workflow == workflow)
        .group_by(outcomes.c.case_id, outcomes.c.known_at)
        .having(func.count(outcomes.c.label.distinct()) > 1)
        .subquery()
    )
    settled = exists().where(
        later.c.workflow == workflow, later.c.case_id == several.c.case_id, later.c.known_at > several.c.known_at
    )
    return select(*(several.c[name] for name in CONTRADICTION)).where(~settled).order_by(several.c.case_id)
