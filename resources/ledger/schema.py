"""The whole ledger: every table there is, and which of them hold facts."""

from __future__ import annotations

from resources.ledger.tables import actions as action_tables
from resources.ledger.tables import audit as audit_tables
from resources.ledger.tables import clearing as clearing_tables
from resources.ledger.tables import drift as quality_tables
from resources.ledger.tables import inbound as inbound_tables
from resources.ledger.tables import models as model_tables
from resources.ledger.tables import nights as tables
from resources.ledger.tables import people as people_tables
from resources.ledger.tables import privacy as privacy_tables
from resources.ledger.tables import replays as replay_tables
from resources.ledger.tables import review as review_tables
from resources.ledger.tables import rollout as live_tables

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
