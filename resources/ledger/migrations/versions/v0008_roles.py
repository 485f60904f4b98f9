"""Least-privilege roles, and facts that cannot be truncated."""

from __future__ import annotations

from alembic import op

from resources.ledger import granting

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

#: Tables whose rows a trigger keeps (`facts_stay`) are kept from TRUNCATE as well.
KEEP = """
DO $$
DECLARE kept regclass;
BEGIN
    FOR kept IN SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'facts_stay' LOOP
        EXECUTE format('CREATE TRIGGER facts_stay_whole BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept);
    END LOOP;
END
$$
"""
LET_GO = """
DO $$
DECLARE kept regclass;
BEGIN
    FOR kept IN SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'facts_stay_whole' LOOP
        EXECUTE format('DROP TRIGGER facts_stay_whole ON %s', kept);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    op.execute(KEEP)
    granting.create_missing(op.get_bind())
    granting.grant(op.get_bind())


def downgrade() -> None:
    granting.revoke(op.get_bind())
    op.execute(LET_GO)
