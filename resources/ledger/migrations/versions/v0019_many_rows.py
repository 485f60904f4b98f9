"""A queue of a million open tasks, a ledger of a hundred million decisions: indexes, and when tables are vacuumed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from resources.ledger import granting, upkeep

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
OPEN = "state IN ('pending', 'in_progress', 'escalated')"
WAITING = "state = 'pending' AND held_by IS NULL"
FREE = f"{WAITING} AND assigned_to IS NULL"
LATE = "state = 'escalated' AND held_by IS NULL"
ORDER = "priority DESC, id"
BY_SKILL = f"COALESCE(skill, ''), {ORDER}"

#: Name, columns, condition.
NEW = (
    ("next", BY_SKILL, FREE),
    ("next_of", f"workflow, {BY_SKILL}", FREE),
    ("late", BY_SKILL, LATE),
    ("late_of", f"workflow, {BY_SKILL}", LATE),
    ("assigned", f"assigned_to, {ORDER}", f"{OPEN} AND assigned_to IS NOT NULL"),
    ("state", f"state, {ORDER}", OPEN),
    ("queue", f"workflow, state, {ORDER}", OPEN),
    ("night", f"workflow, night, state, {ORDER}", OPEN),
    ("why", f"workflow, why, state, {ORDER}", OPEN),
    ("due", "workflow, state, due_at", OPEN),
    ("level", "workflow, due_level, due_at", OPEN),
    ("remind", "workflow, reminded, due_at", OPEN),
    ("held_due", "workflow, due_at", "state = 'pending' AND held_by IS NOT NULL"),
    ("lapse", "workflow, due_at", "state = 'escalated' AND stayed_at IS NULL"),
)
OLD = (
    ("next", ORDER, FREE),
    ("next_of", f"workflow, {ORDER}", FREE),
    ("assigned", f"assigned_to, {ORDER}", OPEN),
    ("escalated", ORDER, "state = 'escalated'"),
    ("queue", f"workflow, {ORDER}", OPEN),
    ("due", "workflow, due_at", OPEN),
)


def upgrade() -> None:
    op.add_column("review_tasks", sa.Column("reminded", sa.SmallInteger, server_default="0", nullable=False))
    op.add_column("review_tasks", sa.Column("stayed_at", TIME))
    op.execute(
        "UPDATE review_tasks SET reminded = sent.level FROM (SELECT task_id, max(level) AS level FROM review_notices "
        f"WHERE kind = 'reminder' GROUP BY 1) AS sent WHERE id = sent.task_id AND {OPEN}"
    )
    op.execute(
        "UPDATE review_tasks SET stayed_at = at FROM review_notices "
        f"WHERE task_id = id AND review_notices.kind = 'lapse' AND {OPEN}"
    )
    _indexes(OLD, NEW)
    op.create_index(
        "ix_decisions_further",
        "decisions",
        ["workflow", "night", "case_id", "epoch", "option"],
        postgresql_where=sa.text("epoch > 1"),
    )
    for table, settings in upkeep.SETTINGS.items():
        op.execute(upkeep.set_statement(table, settings))
    granting.grant(op.get_bind())


def downgrade() -> None:
    for table, settings in upkeep.SETTINGS.items():
        op.execute(upkeep.reset_statement(table, settings))
    op.drop_index("ix_decisions_further", "decisions")
    _indexes(NEW, OLD)
    op.drop_column("review_tasks", "stayed_at")
    op.drop_column("review_tasks", "reminded")


def _indexes(gone: tuple[tuple[str, str, str], ...], made: tuple[tuple[str, str, str], ...]) -> None:
    for name, _, _ in gone:
        op.drop_index(f"ix_review_tasks_{name}", "review_tasks")
    for name, columns, where in made:
        op.execute(f"CREATE INDEX ix_review_tasks_{name} ON review_tasks ({columns}) WHERE {where}")
