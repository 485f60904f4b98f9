"""The whole ledger: every table there is, and which of them hold facts."""

from __future__ import annotations

from resources.ledger import (
    action_tables,
    audit_tables,
    clearing_tables,
    inbound_tables,
    live_tables,
    model_tables,
    people_tables,
    privacy_tables,
    quality_tables,
    replay_tables,
    review_tables,
    tables,
)

metadata = tables.metadata

#: Tables whose rows never change.
FACTS: tuple[str, ...] = (
    *tables.FACTS,
    *action_tables.FACTS,
    *review_tables.FACTS,
    *people_tables.FACTS,
    *audit_tables.FACTS,
    *privacy_tables.FACTS,
    *inbound_tables.FACTS,
    *model_tables.FACTS,
    *replay_tables.FACTS,
    *live_tables.FACTS,
    *quality_tables.FACTS,
    *clearing_tables.FACTS,
)
