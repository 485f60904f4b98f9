"""Actions: the outbox, its events, spending, switches, breakers, replays."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = (
    "releases",
    "actions",
    "action_events",
    "night_spending",
    "switches",
    "breakers",
    "replays",
    "replay_approvals",
)
FACTS = ("releases", "action_events", "replays", "replay_approvals")


def upgrade() -> None:
    _releases()
    _actions()
    _action_events()
    _night_spending()
    _switches()
    _breakers()
    _replays()
    _replay_approvals()
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _releases() -> None:
    op.create_table(
        "releases",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("released_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("workflow", "night", name=op.f("pk_releases")),
    )


def _actions() -> None:
    op.create_table(
        "actions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("key", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("money", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("undo", sa.Text, nullable=True),
        sa.Column("undoes", sa.Uuid, nullable=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("held_reason", sa.Text, nullable=True),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("uncertain", sa.Boolean, server_default="false", nullable=False),
        sa.Column("first_sent_at", TIME, nullable=True),
        sa.Column("next_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("claim_token", sa.Uuid, nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("error_class", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("receipt", JSONB(none_as_null=True), nullable=True),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("settled_at", TIME, nullable=True),
        *_action_checks(),
        sa.ForeignKeyConstraint(["undoes"], ["actions.key"], name=op.f("fk_actions_undoes")),
        sa.ForeignKeyConstraint(
            ["workflow", "case_id", "epoch"],
            ["decisions.workflow", "decisions.case_id", "decisions.epoch"],
            name=op.f("fk_actions_workflow_case_id_epoch"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actions")),
        sa.UniqueConstraint("key", name=op.f("uq_actions_key")),
        sa.UniqueConstraint("undoes", name=op.f("uq_actions_undoes")),
    )
    _action_indexes()


def _action_indexes() -> None:
    op.create_index(
        "ix_actions_again",
        "actions",
        ["next_at", "id"],
        unique=False,
        postgresql_where="state IN ('ready', 'unknown') AND attempts > 0",
    )
    op.create_index("ix_actions_case", "actions", ["workflow", "case_id", "epoch", "step"], unique=False)
    op.create_index(
        "ix_actions_dead", "actions", ["workflow", "settled_at"], unique=False, postgresql_where="state = 'dead'"
    )
    op.create_index(
        "ix_actions_first",
        "actions",
        ["next_at", "id"],
        unique=False,
        postgresql_where="state IN ('ready', 'unknown') AND attempts = 0",
    )
    op.create_index("ix_actions_leased", "actions", ["lease_until"], unique=False, postgresql_where="state = 'sending'")
    op.create_index("ix_actions_night_state", "actions", ["workflow", "night", "state"], unique=False)


def _action_checks() -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint("(state = 'held') = (held_reason IS NOT NULL)", name=op.f("ck_actions_held_has_reason")),
        sa.CheckConstraint(
            "(state = 'sending') = (claim_token IS NOT NULL)", name=op.f("ck_actions_sending_is_claimed")
        ),
        sa.CheckConstraint(
            "(state IN ('done', 'rehearsed', 'dead', 'cancelled')) = (settled_at IS NOT NULL)",
            name=op.f("ck_actions_end_has_time"),
        ),
        sa.CheckConstraint("fingerprint ~ '^[0-9a-f]{64}$'", name=op.f("ck_actions_fingerprint_is_sha256")),
        sa.CheckConstraint(
            "state <> 'dead' OR (error_class IS NOT NULL AND owner IS NOT NULL)",
            name=op.f("ck_actions_dead_is_explained"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'ready', 'sending', 'done', 'rehearsed', 'unknown', 'held', 'dead', 'cancelled')",
            name=op.f("ck_actions_state_is_known"),
        ),
        sa.CheckConstraint("(claim_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_actions_claim_has_lease")),
        sa.CheckConstraint("money >= 0", name=op.f("ck_actions_money_is_paid_out")),
        sa.CheckConstraint("step >= 0 AND epoch > 0 AND attempts >= 0", name=op.f("ck_actions_counts_are_counts")),
    ]


def _action_events() -> None:
    op.create_table(
        "action_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("action_id", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("error_class", sa.Text, nullable=True),
        sa.Column("at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("event <> ''", name=op.f("ck_action_events_event_is_named")),
        sa.ForeignKeyConstraint(["action_id"], ["actions.id"], name=op.f("fk_action_events_action_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action_events")),
    )
    op.create_index("ix_action_events_action_id", "action_events", ["action_id"], unique=False)


def _night_spending() -> None:
    op.create_table(
        "night_spending",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("cap", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("reserved", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.CheckConstraint(
            "reserved >= 0 AND (cap IS NULL OR reserved <= cap)", name=op.f("ck_night_spending_within_the_cap")
        ),
        sa.PrimaryKeyConstraint("workflow", "night", name=op.f("pk_night_spending")),
    )


def _switches() -> None:
    op.create_table(
        "switches",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("stopped", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("changed_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("reason <> '' AND changed_by <> ''", name=op.f("ck_switches_change_is_explained")),
        sa.PrimaryKeyConstraint("workflow", name=op.f("pk_switches")),
    )


def _breakers() -> None:
    op.create_table(
        "breakers",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("state", sa.Text, server_default="closed", nullable=False),
        sa.Column("failures", sa.Integer, server_default="0", nullable=False),
        sa.Column("opened", sa.Integer, server_default="0", nullable=False),
        sa.Column("retry_at", TIME, nullable=True),
        sa.Column("first_tries", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("retries", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("saved", sa.Double, server_default="20", nullable=False),
        sa.Column("saved_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("changed_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("state = 'closed' OR retry_at IS NOT NULL", name=op.f("ck_breakers_open_ends")),
        sa.CheckConstraint("state IN ('closed', 'open', 'half_open')", name=op.f("ck_breakers_state_is_known")),
        sa.CheckConstraint(
            "failures >= 0 AND opened >= 0 AND first_tries >= 0 AND retries >= 0 AND saved >= 0",
            name=op.f("ck_breakers_counts_are_counts"),
        ),
        sa.PrimaryKeyConstraint("workflow", "destination", name=op.f("pk_breakers")),
    )


def _replays() -> None:
    op.create_table(
        "replays",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("action_id", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("money", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("asked_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("asked_by <> '' AND reason <> ''", name=op.f("ck_replays_replay_is_explained")),
        sa.CheckConstraint("content ~ '^[0-9a-f]{64}$'", name=op.f("ck_replays_content_is_sha256")),
        sa.ForeignKeyConstraint(["action_id"], ["actions.id"], name=op.f("fk_replays_action_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
        sa.UniqueConstraint("id", "asked_by", "content", name=op.f("uq_replays_id_asked_by_content")),
    )
    op.create_index("ix_replays_action_id", "replays", ["action_id"], unique=False)


def _replay_approvals() -> None:
    op.create_table(
        "replay_approvals",
        sa.Column("replay_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("approved_by", sa.Text, nullable=False),
        sa.Column("approved_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "approved_by <> '' AND approved_by <> asked_by", name=op.f("ck_replay_approvals_two_people")
        ),
        sa.ForeignKeyConstraint(
            ["replay_id", "asked_by", "content"],
            ["replays.id", "replays.asked_by", "replays.content"],
            name=op.f("fk_replay_approvals_replay_id_asked_by_content"),
        ),
        sa.PrimaryKeyConstraint("replay_id", name=op.f("pk_replay_approvals")),
    )
