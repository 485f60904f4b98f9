"""Inbound: what other systems posted, before it is part of a night."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
FACTS = ("inbound_events", "inbound_chained")


def upgrade() -> None:
    op.create_table(
        "inbound_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("sealed_sha256", sa.Text, nullable=False),
        sa.Column("body_digest", sa.Text, nullable=False),
        sa.Column("occurred_at", TIME),
        sa.Column("received_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_inbound_events"),
        sa.UniqueConstraint("workflow", "event_id", name="uq_inbound_events_workflow_event_id"),
        _check("inbound_events", "workflow_and_event_are_named", "workflow <> '' AND event_id <> ''"),
        _check("inbound_events", "kind_is_known", "kind IN ('arrival', 'outcome')"),
        _check("inbound_events", "rows_count_from_one", "rows > 0"),
        _check(
            "inbound_events",
            "digests_are_hex",
            "sealed_sha256 ~ '^[0-9a-f]{64}$' AND body_digest ~ '^[0-9a-f]{64}$'",
        ),
    )
    op.create_index("ix_inbound_events_workflow_night", "inbound_events", ["workflow", "night", "id"])
    op.create_table(
        "inbound_chained",
        sa.Column("event", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("chained_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("event", name="pk_inbound_chained"),
        sa.ForeignKeyConstraint(["event"], ["inbound_events.id"], name="fk_inbound_chained_event"),
    )
    op.create_table(
        "inbound_refusals",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("workflow", "reason", "day", name="pk_inbound_refusals"),
        _check("inbound_refusals", "count_from_one", "count > 0"),
        _check("inbound_refusals", "reason_is_given", "reason <> ''"),
    )
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in ("inbound_refusals", "inbound_chained", "inbound_events"):
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
