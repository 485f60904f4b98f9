"""A night's verdicts as facts, and a ledger that decides and releases nothing without them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from resources.ledger import granting

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
FACTS: tuple[str, ...] = ("night_verdicts", "night_clearances")

#: Of each check the newest verdict about nothing but what is used: it must have passed, and the checks without which
#: no night is decided or released must be among them. A night is released on what it was decided on.
REFUSE_UNCLEARED = """
CREATE FUNCTION refuse_uncleared() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    needed text[] := ARRAY(SELECT jsonb_array_elements_text(NEW.checks))
        || ARRAY['nothing_vanished', 'night_is_sound', 'cases_contract', 'scores_contract']
        || CASE NEW.step WHEN 'release' THEN ARRAY['decisions_contract'] ELSE ARRAY[]::text[] END;
    lacking text;
BEGIN
    WITH newest AS (
        SELECT DISTINCT ON (check_name) check_name, passed FROM night_verdicts
        WHERE workflow = NEW.workflow AND night = NEW.night AND NEW.judged @> judged
        ORDER BY check_name, id DESC
    )
    SELECT string_agg(DISTINCT name, ', ') INTO lacking FROM (
        SELECT check_name AS name FROM newest WHERE NOT passed
        UNION SELECT name FROM unnest(needed) AS name WHERE name NOT IN (SELECT check_name FROM newest)
    ) AS refused;
    IF lacking IS NOT NULL THEN
        RAISE EXCEPTION 'the night did not pass %', lacking
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'night_is_cleared', TABLE = TG_TABLE_NAME;
    END IF;
    IF NEW.step = 'release' AND NOT EXISTS (
        SELECT FROM night_clearances WHERE workflow = NEW.workflow AND night = NEW.night AND step = 'decisions'
            AND NEW.judged @> judged
    ) THEN
        RAISE EXCEPTION 'the night was not decided on these tables'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'night_is_cleared', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$
"""

REFUSE_DECISIONS = """
CREATE FUNCTION refuse_uncleared_decisions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT workflow, night, attempt FROM added WHERE made_by = 'policy' AND epoch = 1) AS made
        WHERE NOT EXISTS (
            SELECT FROM night_clearances AS cleared WHERE cleared.workflow = made.workflow
                AND cleared.night = made.night AND cleared.attempt = made.attempt AND cleared.step = 'decisions'
        )
    ) THEN
        RAISE EXCEPTION 'the night was not cleared to be decided'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'night_is_cleared', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$
"""

REFUSE_RELEASE = """
CREATE FUNCTION refuse_uncleared_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM night_clearances AS cleared WHERE cleared.workflow = NEW.workflow AND cleared.night = NEW.night
            AND cleared.attempt = NEW.attempt AND cleared.run_id = NEW.run_id AND cleared.step = 'release'
    ) THEN
        RAISE EXCEPTION 'the night was not cleared to be released'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'night_is_cleared', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "night_verdicts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("check_name", sa.Text, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("judged", JSONB, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_night_verdicts"),
        _check("night_verdicts", "check_is_named", "check_name <> '' AND run_id <> ''"),
        _check("night_verdicts", "tables_are_named", "judged -> 'spec' IS NOT NULL AND judged - 'spec' <> '{}'"),
    )
    op.create_index("ix_night_verdicts_workflow_night", "night_verdicts", ["workflow", "night"])
    _night_clearances()
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER facts_stay_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for function in (REFUSE_UNCLEARED, REFUSE_DECISIONS, REFUSE_RELEASE):
        op.execute(function)
    op.execute(
        "CREATE TRIGGER night_is_cleared BEFORE INSERT ON night_clearances "
        "FOR EACH ROW EXECUTE FUNCTION refuse_uncleared()"
    )
    # once a statement, not once a row: a night has thousands of decisions and one clearance
    op.execute(
        "CREATE TRIGGER night_is_cleared AFTER INSERT ON decisions REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_uncleared_decisions()"
    )
    op.execute(
        "CREATE TRIGGER night_is_cleared BEFORE INSERT ON releases "
        "FOR EACH ROW EXECUTE FUNCTION refuse_uncleared_release()"
    )
    granting.grant(op.get_bind())


def _night_clearances() -> None:
    op.create_table(
        "night_clearances",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("judged", JSONB, nullable=False),
        sa.Column("checks", JSONB, nullable=False),
        sa.Column("cleared_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_night_clearances"),
        sa.UniqueConstraint(
            "workflow", "night", "step", "attempt", "run_id",
            name="uq_night_clearances_workflow_night_step_attempt_run_id",
        ),
        _check("night_clearances", "step_is_known", "step IN ('decisions', 'release')"),
        _check("night_clearances", "checks_is_array", "jsonb_typeof(checks) = 'array'"),
    )  # fmt: skip


def downgrade() -> None:
    for table in ("releases", "decisions", "night_clearances"):
        op.execute(f"DROP TRIGGER night_is_cleared ON {table}")
    for function in ("refuse_uncleared_release", "refuse_uncleared_decisions", "refuse_uncleared"):
        op.execute(f"DROP FUNCTION {function}()")
    for table in reversed(FACTS):
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
