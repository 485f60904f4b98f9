"""Review: tasks, claims, answers, proposals and approvals, clusters decided once, reminders."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
FACTS = (
    "task_events",
    "review_proposals",
    "review_approvals",
    "review_answers",
    "review_notices",
    "reveals",
)


def upgrade() -> None:
    _review_tasks()
    _review_task_indexes()
    _task_events()
    _review_proposals()
    _review_approvals()
    _review_answers()
    _review_notices()
    _reveals()
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    _upgrade_clusters()


def downgrade() -> None:
    _downgrade_clusters()
    for table in (
        "reveals",
        "review_notices",
        "review_answers",
        "review_approvals",
        "review_proposals",
        "task_events",
        "review_tasks",
    ):
        op.drop_table(table)


def _review_tasks() -> None:
    op.create_table(
        "review_tasks",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, server_default="case", nullable=False),
        sa.Column("state", sa.Text, server_default="pending", nullable=False),
        sa.Column("version", sa.Integer, server_default="1", nullable=False),
        sa.Column("claim_token", sa.Uuid),
        sa.Column("claimed_by", sa.Text),
        sa.Column("claimed_at", TIME),
        sa.Column("lease_until", TIME),
        sa.Column("lease_minutes", sa.Double, server_default="15", nullable=False),
        sa.Column("assigned_to", sa.Text),
        sa.Column("excluded", sa.ARRAY(sa.Text), server_default="{}", nullable=False),
        sa.Column("skill", sa.Text),
        sa.Column("held_by", sa.BigInteger),
        sa.Column("proposal_id", sa.BigInteger),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("benefit", sa.Double),
        sa.Column("amount", sa.Double),
        sa.Column("information", sa.Double, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("cluster", sa.Text),
        sa.Column("currency", sa.Text, server_default="", nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("priority", sa.Double, server_default="0", nullable=False),
        sa.Column("due_level", sa.SmallInteger, server_default="0", nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("not_before", TIME),
        sa.Column("opened_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("due_at", TIME),
        sa.Column("escalated_at", TIME),
        sa.Column("closed_at", TIME),
        *_review_task_checks(),
        sa.PrimaryKeyConstraint("id", name="pk_review_tasks"),
    )


def _review_task_checks() -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(
            "(state = 'in_progress') = (claim_token IS NOT NULL OR proposal_id IS NOT NULL)",
            name=op.f("ck_review_tasks_in_progress_is_held"),
        ),
        sa.CheckConstraint(
            "(state IN ('complete', 'failed', 'expired')) = (closed_at IS NOT NULL)",
            name=op.f("ck_review_tasks_closed_once_ended"),
        ),
        sa.CheckConstraint("case_id <> '' AND why <> ''", name=op.f("ck_review_tasks_case_and_why_are_named")),
        sa.CheckConstraint("jsonb_typeof(content) = 'object'", name=op.f("ck_review_tasks_content_is_object")),
        sa.CheckConstraint("kind IN ('case', 'sample', 'repeat')", name=op.f("ck_review_tasks_kind_is_known")),
        sa.CheckConstraint(
            "state <> 'escalated' OR escalated_at IS NOT NULL", name=op.f("ck_review_tasks_escalated_has_time")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'in_progress', 'complete', 'failed', 'expired', 'escalated')",
            name=op.f("ck_review_tasks_state_is_known"),
        ),
        sa.CheckConstraint(
            "claim_token IS NULL OR proposal_id IS NULL", name=op.f("ck_review_tasks_claimed_or_proposed")
        ),
        sa.CheckConstraint("epoch > 0 AND version > 0", name=op.f("ck_review_tasks_epoch_and_version_from_one")),
        sa.CheckConstraint("information BETWEEN 0 AND 1", name=op.f("ck_review_tasks_information_is_share")),
        sa.CheckConstraint("lease_minutes > 0", name=op.f("ck_review_tasks_lease_lasts")),
        sa.CheckConstraint(
            "num_nonnulls(claim_token, claimed_by, claimed_at, lease_until) IN (0, 4)",
            name=op.f("ck_review_tasks_claim_is_whole"),
        ),
    ]


def _review_task_indexes() -> None:
    op.create_index(
        "ix_review_tasks_assigned",
        "review_tasks",
        ["assigned_to", sa.text("priority DESC"), "id"],
        postgresql_where=sa.text("state IN ('pending', 'in_progress', 'escalated')"),
    )
    op.create_index(
        "ix_review_tasks_claimed_by", "review_tasks", ["claimed_by"], postgresql_where=sa.text("state = 'in_progress'")
    )
    op.create_index(
        "ix_review_tasks_cluster",
        "review_tasks",
        ["workflow", "cluster", "case_id"],
        postgresql_where=sa.text("state = 'pending' AND held_by IS NULL"),
    )
    op.create_index(
        "ix_review_tasks_due",
        "review_tasks",
        ["workflow", "due_at"],
        postgresql_where=sa.text("state IN ('pending', 'in_progress', 'escalated')"),
    )
    op.create_index(
        "ix_review_tasks_escalated",
        "review_tasks",
        [sa.text("priority DESC"), "id"],
        postgresql_where=sa.text("state = 'escalated'"),
    )
    op.create_index(
        "ix_review_tasks_held_by", "review_tasks", ["held_by"], postgresql_where=sa.text("held_by IS NOT NULL")
    )
    op.create_index(
        "ix_review_tasks_lease_until",
        "review_tasks",
        ["lease_until"],
        postgresql_where=sa.text("state = 'in_progress'"),
    )
    _review_queue_indexes()


def _review_queue_indexes() -> None:
    op.create_index(
        "ix_review_tasks_next",
        "review_tasks",
        [sa.text("priority DESC"), "id"],
        postgresql_where=sa.text("state = 'pending' AND held_by IS NULL AND assigned_to IS NULL"),
    )
    op.create_index(
        "ix_review_tasks_next_of",
        "review_tasks",
        ["workflow", sa.text("priority DESC"), "id"],
        postgresql_where=sa.text("state = 'pending' AND held_by IS NULL AND assigned_to IS NULL"),
    )
    op.create_index(
        "ix_review_tasks_queue",
        "review_tasks",
        ["workflow", sa.text("priority DESC"), "id"],
        postgresql_where=sa.text("state IN ('pending', 'in_progress', 'escalated')"),
    )
    op.create_index(
        "ix_review_tasks_subject",
        "review_tasks",
        ["workflow", "subject", "night"],
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.create_index(
        "uq_review_tasks_case",
        "review_tasks",
        ["workflow", "case_id", "epoch"],
        unique=True,
        postgresql_where=sa.text("kind IN ('case', 'sample')"),
    )
    op.create_index(
        "uq_review_tasks_repeat",
        "review_tasks",
        ["workflow", "case_id", "epoch"],
        unique=True,
        postgresql_where=sa.text("kind = 'repeat'"),
    )


def _task_events() -> None:
    op.create_table(
        "task_events",
        sa.Column("task_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("person", sa.Text),
        sa.Column("at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("event <> ''", name=op.f("ck_task_events_event_is_named")),
        sa.ForeignKeyConstraint(["task_id"], ["review_tasks.id"], name="fk_task_events_task_id"),
        sa.PrimaryKeyConstraint("task_id", "version", name="pk_task_events"),
    )
    op.create_index(
        "ix_task_events_person_at", "task_events", ["person", "at"], postgresql_where=sa.text("person IS NOT NULL")
    )


def _review_proposals() -> None:
    op.create_table(
        "review_proposals",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("proposer", sa.Text, nullable=False),
        sa.Column("option", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("amount", sa.Double),
        sa.Column("total", sa.Double, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("claim", sa.Uuid, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("proposed_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_review_proposals_hash_is_sha256")),
        sa.CheckConstraint("proposer <> ''", name=op.f("ck_review_proposals_person_is_named")),
        sa.ForeignKeyConstraint(["task_id"], ["review_tasks.id"], name="fk_review_proposals_task_id"),
        sa.PrimaryKeyConstraint("id", name="pk_review_proposals"),
        sa.UniqueConstraint("hash", name="uq_review_proposals_hash"),
        sa.UniqueConstraint("id", "hash", "proposer", name="uq_review_proposals_id_hash_proposer"),
    )
    op.create_index("ix_review_proposals_task_id", "review_proposals", ["task_id"])


def _review_approvals() -> None:
    op.create_table(
        "review_approvals",
        sa.Column("proposal_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("proposal_hash", sa.Text, nullable=False),
        sa.Column("proposer", sa.Text, nullable=False),
        sa.Column("approver", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("approved_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("approver <> ''", name=op.f("ck_review_approvals_person_is_named")),
        sa.CheckConstraint("verdict IN ('approve', 'send_back')", name=op.f("ck_review_approvals_verdict_is_known")),
        sa.CheckConstraint("lower(approver) <> lower(proposer)", name=op.f("ck_review_approvals_four_eyes")),
        sa.ForeignKeyConstraint(
            ["proposal_id", "proposal_hash", "proposer"],
            ["review_proposals.id", "review_proposals.hash", "review_proposals.proposer"],
            name="fk_review_approvals_proposal",
        ),
        sa.PrimaryKeyConstraint("proposal_id", name="pk_review_approvals"),
        sa.UniqueConstraint("proposal_id", "verdict", name="uq_review_approvals_proposal_id_verdict"),
    )


def _review_answers() -> None:
    op.create_table(
        "review_answers",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("decided_epoch", sa.Integer),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("option", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("amount", sa.Double),
        sa.Column("subject", sa.Text),
        sa.Column("proposal_id", sa.BigInteger),
        sa.Column("proposal_verdict", sa.Text),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("answered_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "(proposal_id IS NULL) = (proposal_verdict IS NULL) AND proposal_verdict IS DISTINCT FROM 'send_back'",
            name=op.f("ck_review_answers_proposed_is_approved"),
        ),
        sa.CheckConstraint("hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_review_answers_hash_is_sha256")),
        sa.CheckConstraint("person <> ''", name=op.f("ck_review_answers_person_is_named")),
        sa.ForeignKeyConstraint(
            ["proposal_id", "proposal_verdict"],
            ["review_approvals.proposal_id", "review_approvals.verdict"],
            name="fk_review_answers_approval",
        ),
        sa.ForeignKeyConstraint(["task_id"], ["review_tasks.id"], name="fk_review_answers_task_id"),
        sa.PrimaryKeyConstraint("id", name="pk_review_answers"),
        sa.UniqueConstraint("task_id", name="uq_review_answers_task_id"),
    )
    op.create_index("ix_review_answers_person_answered_at", "review_answers", ["person", "answered_at"])
    op.create_index("ix_review_answers_workflow_case_id", "review_answers", ["workflow", "case_id"])


def _review_notices() -> None:
    op.create_table(
        "review_notices",
        sa.Column("task_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("level", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("kind IN ('reminder', 'escalation', 'lapse')", name=op.f("ck_review_notices_kind_is_known")),
        sa.CheckConstraint("level > 0", name=op.f("ck_review_notices_level_counts_from_one")),
        sa.ForeignKeyConstraint(["task_id"], ["review_tasks.id"], name="fk_review_notices_task_id"),
        sa.PrimaryKeyConstraint("task_id", "kind", "level", name="pk_review_notices"),
    )


def _reveals() -> None:
    op.create_table(
        "reveals",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("person <> '' AND field <> ''", name=op.f("ck_reveals_person_and_field_are_named")),
        sa.ForeignKeyConstraint(["task_id"], ["review_tasks.id"], name="fk_reveals_task_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reveals"),
    )
    op.create_index("ix_reveals_task_id", "reveals", ["task_id"])


# -- clusters decided once, and cases asked twice -------------------------------------------------------------------

CLUSTER_FACTS = ("cluster_members", "cluster_verdicts", "repeats", "repeat_answers")


def _upgrade_clusters() -> None:
    _cluster_reviews()
    _cluster_members()
    _repeats()
    for table in CLUSTER_FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def _downgrade_clusters() -> None:
    for table in ("repeat_answers", "repeats", "cluster_verdicts", "cluster_members", "cluster_reviews"):
        op.drop_table(table)


def _cluster_check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _cluster_time(name: str) -> sa.Column[Any]:
    return sa.Column(name, TIME, nullable=False, server_default=sa.func.now())


def _cluster_reviews() -> None:
    table = "cluster_reviews"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cluster_reviews"),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("follows", sa.BigInteger),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("option", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("members", sa.Integer, nullable=False),
        sa.Column("members_hash", sa.Text, nullable=False),
        sa.Column("sample_size", sa.Integer, nullable=False),
        sa.Column("allowed_disagreements", sa.Integer, nullable=False),
        sa.Column("alpha", sa.Double, nullable=False),
        sa.Column("share_limit", sa.Double, nullable=False),
        sa.Column("ceiling", sa.Double),
        sa.Column("state", sa.Text, nullable=False, server_default="sampling"),
        sa.Column("disagreements", sa.Integer, nullable=False, server_default="0"),
        sa.Column("bound", sa.Double),
        sa.Column("spread_to", sa.Integer),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        _cluster_time("opened_at"),
        sa.Column("closed_at", TIME),
        sa.ForeignKeyConstraint(["follows"], ["cluster_reviews.id"], name="fk_cluster_reviews_follows"),
        sa.UniqueConstraint("workflow", "night", "position", name="uq_cluster_reviews_workflow_night_position"),
        _cluster_check(table, "position_counts_from_one", "position > 0"),
        _cluster_check(table, "cluster_and_person_are_named", "cluster <> '' AND decided_by <> ''"),
        _cluster_check(table, "answer_is_whole", "option <> '' AND label <> '' AND reason <> ''"),
        _cluster_check(table, "sample_leaves_members", "sample_size > 0 AND sample_size < members"),
        _cluster_check(
            table, "allowed_below_sample", "allowed_disagreements >= 0 AND allowed_disagreements < sample_size"
        ),
        _cluster_check(
            table, "alpha_and_limit_are_shares", "alpha > 0 AND alpha < 1 AND share_limit >= 0 AND share_limit < 1"
        ),
        _cluster_check(table, "state_is_known", "state IN ('sampling', 'spread', 'split', 'superseded')"),
        _cluster_check(table, "closed_once_decided", "(state = 'sampling') = (closed_at IS NULL)"),
        _cluster_check(
            table,
            "spread_within_limit",
            "state NOT IN ('spread', 'superseded') OR "
            "(bound IS NOT NULL AND bound <= share_limit AND disagreements <= allowed_disagreements)",
        ),
    )
    op.create_index(
        "uq_cluster_reviews_sampling",
        table,
        ["workflow", "cluster"],
        unique=True,
        postgresql_where=sa.text("state = 'sampling'"),
    )
    op.create_index("ix_cluster_reviews_workflow_cluster", table, ["workflow", "cluster"])


def _cluster_members() -> None:
    op.create_table(
        "cluster_members",
        sa.Column("review_id", sa.BigInteger, nullable=False),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("sampled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("review_id", "task_id", name="pk_cluster_members"),
        sa.ForeignKeyConstraint(["review_id"], ["cluster_reviews.id"], name="fk_cluster_members_review_id"),
        sa.UniqueConstraint("review_id", "case_id", name="uq_cluster_members_review_id_case_id"),
    )
    op.create_index("ix_cluster_members_task_id", "cluster_members", ["task_id"])
    op.create_table(
        "cluster_verdicts",
        sa.Column("review_id", sa.BigInteger, nullable=False),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("answered_by", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        _cluster_time("recorded_at"),
        sa.PrimaryKeyConstraint("review_id", "task_id", name="pk_cluster_verdicts"),
        sa.ForeignKeyConstraint(
            ["review_id", "task_id"],
            ["cluster_members.review_id", "cluster_members.task_id"],
            name="fk_cluster_verdicts_review_id_task_id",
        ),
        _cluster_check("cluster_verdicts", "verdict_is_known", "verdict IN ('agree', 'disagree')"),
        _cluster_check("cluster_verdicts", "person_is_named", "answered_by <> ''"),
    )


def _repeats() -> None:
    op.create_table(
        "repeats",
        sa.Column("task_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("first_task_id", sa.BigInteger, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("first_by", sa.Text, nullable=False),
        sa.Column("first_option", sa.Text, nullable=False),
        sa.Column("first_label", sa.Text, nullable=False),
        _cluster_time("asked_at"),
        sa.PrimaryKeyConstraint("task_id", name="pk_repeats"),
        sa.UniqueConstraint("first_task_id", name="uq_repeats_first_task_id"),
    )
    op.create_index("ix_repeats_workflow", "repeats", ["workflow"])
    op.create_table(
        "repeat_answers",
        sa.Column("task_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("answered_by", sa.Text, nullable=False),
        sa.Column("second_option", sa.Text, nullable=False),
        sa.Column("second_label", sa.Text, nullable=False),
        _cluster_time("answered_at"),
        sa.PrimaryKeyConstraint("task_id", name="pk_repeat_answers"),
        sa.ForeignKeyConstraint(["task_id"], ["repeats.task_id"], name="fk_repeat_answers_task_id"),
    )
