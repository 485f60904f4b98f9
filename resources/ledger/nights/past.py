"""What a replay reads of the ledger: decisions as they were first made, and every outcome with its corrections."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on

from resources.ledger.decisions import FIRST_EPOCH
from resources.ledger.tables import nights as tables

#: Columns of a past decision, as `ports.Ledger.decided` promises them.
DECIDED = ("night", "case_id", "option", "reason", "probabilities", "propensity", "model_version", "data_versions")


def past_decisions(workflow: str, first: str, last: str) -> Select[Any]:
    """The first decision of each case on the nights first <= night <= last, by night and case."""
    known = tables.decisions.c
    return (
        select(*(known[name] for name in DECIDED))
        .where(known.workflow == workflow, known.epoch == FIRST_EPOCH, known.night.between(first, last))
        .order_by(known.night, known.case_id)
    )


def decided_further(workflow: str, first: str, before: str) -> Select[Any]:
    """Of the cases of the nights first <= night < before that were decided further, the option that stands."""
    known = tables.decisions.c
    return (
        select(known.case_id, known.option)
        .ext(distinct_on(known.case_id))
        .where(known.workflow == workflow, known.epoch > FIRST_EPOCH, known.night >= first, known.night < before)
        .order_by(known.case_id, known.epoch.desc())
    )


def labels_of_model(workflow: str, version: str) -> Select[Any]:
    """The labels of the spec under which a version first decided: scoring refuses a model of any other labels."""
    decided, specs, models = tables.decisions.c, tables.workflow_versions.c, tables.model_versions.c
    return (
        select(specs.spec["labels"])
        .join_from(tables.decisions, tables.workflow_versions)
        .where(
            decided.workflow == workflow,
            decided.model_version == version,
            decided.night
            >= select(models.night).where(models.workflow == workflow, models.version == version).scalar_subquery(),
        )
        .order_by(decided.night)
        .limit(1)
    )


def past_outcomes(workflow: str, before: datetime) -> Select[Any]:
    """Every outcome that became known before then, in the order in which they did."""
    known = tables.outcomes.c
    return (
        select(known.case_id, known.label, known.known_at)
        .where(known.workflow == workflow, known.known_at < before)
        .order_by(known.known_at, known.id)
    )
