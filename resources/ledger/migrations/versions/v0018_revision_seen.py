"""Every role may see which revision the ledger is at."""

from __future__ import annotations

from alembic import op

from resources.ledger import granting

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    granting.grant(op.get_bind())


def downgrade() -> None:
    """The roles keep what they are granted: seeing the revision changes nothing."""
