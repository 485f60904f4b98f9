"""Every role may see which revision the ledger is at, and a verdict names tables beside the code."""

from __future__ import annotations

from alembic import op

from resources.ledger import granting

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    granting.grant(op.get_bind())
    _named_beside("- 'spec' - 'code'")


def downgrade() -> None:
    """The roles keep what they are granted: seeing the revision changes nothing."""
    _named_beside("- 'spec'")


def _named_beside(others: str) -> None:
    name = "ck_night_verdicts_tables_are_named"
    op.execute(
        f"ALTER TABLE night_verdicts DROP CONSTRAINT {name}, ADD CONSTRAINT {name} "
        f"CHECK (judged -> 'spec' IS NOT NULL AND judged {others} <> '{{}}')"
    )
