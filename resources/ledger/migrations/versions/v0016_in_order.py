"""What stands in an order keeps it: a spec as it was written down, and the options that a decision's costs are of.

Older rows cannot be given an order that nobody kept; `domain.core.named_values` says how they are read.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workflow_versions", sa.Column("in_order", sa.Text))
    op.add_column("decisions", sa.Column("option_order", JSONB(none_as_null=True)))
    op.create_check_constraint(
        op.f("ck_decisions_option_order_is_array"), "decisions", "jsonb_typeof(option_order) = 'array'"
    )


def downgrade() -> None:
    op.drop_column("decisions", "option_order")
    op.drop_column("workflow_versions", "in_order")
