"""What is watched while a model decides: rollouts, states of the policy, the watch itself, recalls.

Everything stands by night: whoever asks about an old night gets what held on it, in whichever order nights are filled.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from resources.ledger.tables.nights import NightColumn, _id, _json, _now, metadata

#: A signed challenger on its way, with the schedule that was signed: a changed spec does not move it.
#: `promised_error` is what the watch holds the version to; without it nothing was promised.
rollouts = Table(
    "rollouts",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("from_night", NightColumn, nullable=False),
    Column("base_version", Text),
    Column("promised_error", Double),
    Column("proposal", BigInteger),
    Column("terms", _json(), nullable=False),
    Column("begun_by", Text, nullable=False),
    _now("begun_at"),
    ForeignKeyConstraint(["workflow", "version"], ["model_versions.workflow", "model_versions.version"]),
    UniqueConstraint("workflow", "version", "from_night"),
    CheckConstraint("promised_error BETWEEN 0 AND 1", name="promised_error_is_share"),
    CheckConstraint("begun_by <> ''", name="somebody_began"),
)

#: How a rollout ended, once: from `at_night` on the version is champion, or does nothing.
rollout_ends = Table(
    "rollout_ends",
    metadata,
    Column("rollout", BigInteger, primary_key=True, autoincrement=False),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at_night", NightColumn, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    _now("ended_at"),
    ForeignKeyConstraint(["rollout"], ["rollouts.id"]),
    CheckConstraint("kind IN ('withdrawn', 'completed', 'rolled_back')", name="kind_is_known"),
    CheckConstraint("reason <> '' AND by <> ''", name="end_is_explained"),
)

#: From `from_night` on the policy decides, or people decide everything; the last row of the latest night counts.
policy_states = Table(
    "policy_states",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("from_night", NightColumn, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    _now("recorded_at"),
    CheckConstraint("state IN ('open', 'review_all')", name="state_is_known"),
    CheckConstraint("reason <> '' AND by <> ''", name="state_is_explained"),
    Index("ix_policy_states_workflow_night", "workflow", "from_night", "id"),
)

#: What the watch saw of a version as known on a night. Outcomes that arrive late make another row, never another word.
live_checks = Table(
    "live_checks",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("version", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("promised_error", Double),
    Column("e_value", Double, nullable=False),
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("breached", Boolean, nullable=False),
    _now("checked_at"),
    UniqueConstraint("workflow", "night", "version", "kind", "seen", "errors", "e_value"),
    CheckConstraint("kind IN ('promise', 'money', 'error')", name="kind_is_known"),
    CheckConstraint("seen >= 0 AND errors BETWEEN 0 AND seen", name="errors_were_seen"),
    CheckConstraint("e_value >= 0", name="e_value_is_one"),
)

#: A breach of a version is answered once; the row is what makes it once.
live_breaches = Table(
    "live_breaches",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("since_night", NightColumn, primary_key=True),
    Column("night", NightColumn, nullable=False),
    Column("answer", Text, nullable=False),
    Column("held", Integer, nullable=False),
    _now("breached_at"),
    CheckConstraint("answer IN ('review_all', 'last_champion')", name="answer_is_known"),
    CheckConstraint("held >= 0", name="held_is_count"),
)

#: Somebody had decisions of a model, a policy or a night decided again, and what could be undone taken back.
recalls = Table(
    "recalls",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("named", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    _now("recalled_at"),
    Column("data", Text, nullable=False, server_default="decided"),
    UniqueConstraint("workflow", "kind", "named"),
    CheckConstraint("kind IN ('model', 'policy', 'night')", name="kind_is_known"),
    CheckConstraint("data IN ('decided', 'repaired')", name="data_is_known"),
    CheckConstraint("named <> '' AND reason <> '' AND by <> ''", name="recall_is_explained"),
)

#: The same recalled once more, by somebody else, for another reason or on other data; the first time is in `recalls`.
recalls_again = Table(
    "recalls_again",
    metadata,
    _id(),
    Column("recall", BigInteger, nullable=False),
    Column("round", Integer, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("data", Text, nullable=False),
    _now("recalled_at"),
    UniqueConstraint("recall", "round"),
    ForeignKeyConstraint(["recall"], ["recalls.id"]),
    CheckConstraint("round > 1", name="round_comes_after_the_first"),
    CheckConstraint("data IN ('decided', 'repaired')", name="data_is_known"),
    CheckConstraint("workflow <> '' AND reason <> '' AND by <> ''", name="recall_is_explained"),
)

#: One decision each, once for ever: what was decided, what would be decided now, and what became of its actions.
recalled_decisions = Table(
    "recalled_decisions",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("recall", BigInteger, nullable=False),
    Column("was", Text, nullable=False),
    Column("would_be", Text, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("compensated", Integer, nullable=False),
    Column("for_good", Integer, nullable=False),
    _now("recalled_at"),
    Column("round", Integer, nullable=False, server_default="1"),
    ForeignKeyConstraint(["recall"], ["recalls.id"]),
    ForeignKeyConstraint(
        ["workflow", "case_id", "epoch"], ["decisions.workflow", "decisions.case_id", "decisions.epoch"]
    ),
    CheckConstraint("cancelled >= 0 AND compensated >= 0 AND for_good >= 0", name="counts_are_counts"),
    Index("ix_recalled_decisions_recall", "recall"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = (
    "rollouts",
    "rollout_ends",
    "policy_states",
    "live_checks",
    "live_breaches",
    "recalls",
    "recalls_again",
    "recalled_decisions",
)
