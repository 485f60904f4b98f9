"""What each role may update, column by column."""

from __future__ import annotations

from alembic import op

from resources.ledger import granting

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    granting.grant(op.get_bind())


def downgrade() -> None:
    """The roles keep what they are granted: what a program of before may do is no more than this."""
