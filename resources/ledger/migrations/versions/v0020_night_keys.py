"""A night's key is a text of one of three forms, an hour, a day or a week, where it was a date; and a workflow keeps
the cadence that it began with.

What the audit chain holds of a night was its ISO date as text, and is so still. Every table with a night is written
anew, and its indexes with it: docs/decisions/75-cadence.md says how long that takes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COLUMNS: dict[str, tuple[str, ...]] = {
    "actions": ("night",),
    "attempts": ("night",),
    "candidate_replays": ("first", "last"),
    "champions": ("from_night",),
    "cluster_reviews": ("night",),
    "decisions": ("night",),
    "inbound_events": ("night",),
    "live_breaches": ("since_night", "night"),
    "live_checks": ("night",),
    "model_proposals": ("night",),
    "model_versions": ("night", "knows_until"),
    "night_clearances": ("night",),
    "night_sketches": ("night",),
    "night_spending": ("night",),
    "night_verdicts": ("night",),
    "policy_states": ("from_night",),
    "quality_signals": ("night",),
    "releases": ("night",),
    "review_tasks": ("night",),
    "rollout_ends": ("at_night",),
    "rollouts": ("from_night",),
    "training_requests": ("night",),
}
#: Where a workflow's first nights come to stand.
KEPT = ("attempts", "inbound_events")

_DOMAIN = """
    CREATE DOMAIN night_key AS text COLLATE "C" CONSTRAINT is_night CHECK (CASE
    WHEN VALUE ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(T([01][0-9]|2[0-3])Z)?$' THEN make_date(
        substr(VALUE, 1, 4)::integer, substr(VALUE, 6, 2)::integer, substr(VALUE, 9, 2)::integer) IS NOT NULL
    WHEN VALUE ~ '^[0-9]{4}-W[0-9]{2}-1$' THEN
        to_char(to_date(VALUE, 'IYYY-"W"IW-ID'), 'IYYY-"W"IW-ID') = VALUE
    ELSE VALUE IS NULL END)
"""

# What is left of a key without its digits tells its form. The first night stands for all: they are of one form.
_GUARD = r"""
    CREATE FUNCTION keep_cadence() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE kept text;
    BEGIN
        EXECUTE format('SELECT night FROM %I WHERE workflow = $1 ORDER BY night LIMIT 1', TG_TABLE_NAME)
            INTO kept USING NEW.workflow;
        IF regexp_replace(kept, '[0-9]', '', 'g') <> regexp_replace(NEW.night, '[0-9]', '', 'g') THEN
            RAISE EXCEPTION '% has nights such as %, not such as %', NEW.workflow, kept, NEW.night
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'cadence_is_kept', TABLE = TG_TABLE_NAME;
        END IF;
        RETURN NEW;
    END $$
"""


def upgrade() -> None:
    op.execute(_DOMAIN)
    for table, columns in COLUMNS.items():
        _retype(table, columns, "night_key", "to_char({}, 'YYYY-MM-DD')")
    op.execute(_GUARD)
    # written anew, a table has no statistics, and the next ones would come after many rows only
    op.execute(f"ANALYZE {', '.join(COLUMNS)}")
    for table in KEPT:
        op.execute(
            f"CREATE TRIGGER cadence_is_kept BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION keep_cadence()"
        )


def downgrade() -> None:
    connection = op.get_bind()
    for table, columns in COLUMNS.items():
        other = " OR ".join(f""""{name}" ~ '[TW]'""" for name in columns)
        if connection.scalar(sa.text(f'SELECT EXISTS (SELECT FROM "{table}" WHERE {other})')):
            raise RuntimeError(
                f"{table} holds nights that are hours or weeks, which the release before does not know; restore the "
                "backup that was made before this release instead"
            )
    for table in KEPT:
        op.execute(f"DROP TRIGGER cadence_is_kept ON {table}")
    op.execute("DROP FUNCTION keep_cadence")
    for table, columns in COLUMNS.items():
        _retype(table, columns, "date", "{}::text::date")
    op.execute("DROP DOMAIN night_key")


def _retype(table: str, columns: tuple[str, ...], kind: str, using: str) -> None:
    """All columns of a table at once: it is written anew once."""
    changes = (f'ALTER COLUMN "{name}" TYPE {kind} USING {using.format(chr(34) + name + chr(34))}' for name in columns)
    op.execute(f'ALTER TABLE "{table}" {", ".join(changes)}')
