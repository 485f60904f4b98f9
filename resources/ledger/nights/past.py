"""What a replay reads of the ledger: decisions as they were first made, and every outcome with its corrections."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on

from resources.ledger.decisions import FIRST_EPOCH
from resources.ledger.tables import nights as tables

#: Columns of a past decision, as `ports.Ledger.decided` promises them.
DECIDED = ("night", "case_id", "option", "reason", "probabilities", "propensity", "model_version", "data_versions")


def past_decisions(workflow: str, first: str, last: str) -> Select[Any]:
    """The first decision of each case on the nights first <= night <= last, by night and case."""
    decisions = tables.decisions.c
    return (
        select(*(decisions[name] for name in DECIDED))
        .where(decisions.workflow == workflow, decisions.epoch == FIRST_EPOCH, decisions.night.between(first, last))
        .order_by(decisions.night, decisions.case_id)
    )


def decided_further(workflow: str, first: str, before: str) -> Select[Any]:
    """Of the cases of the nights first <= night < before that were decided further, the option that stands."""
    decisions = tables.decisions.c
    return (
        select(decisions.case_id, decisions.option)
        .ext(distinct_on(decisions.case_id))
        .where(
            decisions.workflow == workflow,
            decisions.epoch > FIRST_EPOCH,
            decisions.night >= first,
            decisions.night < before,
        )
        .order_by(decisions.case_id, decisions.epoch.desc())
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
