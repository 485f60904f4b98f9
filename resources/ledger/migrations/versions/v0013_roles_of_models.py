"""What the roles may do with the tables of models, replays, live watching and quality."""

from __future__ import annotations

from alembic import op

from resources.ledger import granting

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    granting.grant(op.get_bind())


def downgrade() -> None:
    """The tables take what was granted on them along."""
