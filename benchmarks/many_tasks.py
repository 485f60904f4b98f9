"""Review tasks by the hundred thousand, made by the database itself: what a desk's queue looks like after bad weeks.

Several workflows, sixty nights, every state, tasks of closed cases behind the open ones, and what makes a queue dear:
the first tasks need a skill that few people have, some are held by their cluster, some are in somebody's list, most of
one workflow's are past their due time.
"""

from __future__ import annotations

from sqlalchemy import Engine, text

#: The workflows of a large queue and their share of it, in thousandths. Of the last nearly all tasks are escalated.
SHARES = {"returns": 500, "order_returns": 250, "support_tickets": 150, "vehicle_claims": 100}
SKILL = "french"
#: Of a thousand open tasks of each workflow but the last: escalated, in hand, held by a cluster.
ESCALATED, IN_HAND, HELD = 100, 1, 50
NIGHTS = 60

_OPEN = """
INSERT INTO review_tasks (workflow, night, case_id, epoch, state, claim_token, claimed_by, claimed_at, lease_until,
    escalated_at, held_by, assigned_to, excluded, skill, why, benefit, amount, information, subject, cluster, content,
    priority, currency, due_at, due_level)
SELECT workflow, to_char(date '2026-01-01' + i % :nights, 'YYYY-MM-DD'), 'C-' || i, 1, state,
    CASE state WHEN 'in_progress' THEN gen_random_uuid() END,
    CASE state WHEN 'in_progress' THEN 'reviewer-' || i % 199 END,
    CASE state WHEN 'in_progress' THEN now() END,
    CASE state WHEN 'in_progress' THEN now() + make_interval(mins => 15 + i % 60) END,
    CASE state WHEN 'escalated' THEN now() - interval '1 hour' END,
    CASE WHEN state = 'pending' AND i % 1000 < :held THEN 1 + i % 7 END,
    CASE WHEN state = 'pending' AND i % 1000 >= :held AND i % 250 = 9 THEN 'reviewer-' || i % 199 END,
    CASE WHEN i % 97 = 0 THEN ARRAY['reviewer-1'] ELSE '{}' END,
    CASE WHEN b > 30 AND workflow = 'returns' THEN CAST(:skill AS text) END,
    CASE WHEN i % 5000 = 0 THEN 'surprise' WHEN i % 10 = 0 THEN 'random' ELSE 'doubt' END,
    b, 20 + b, 0.3, 'S-' || i % 200000, 'K-' || i % 300,
    jsonb_build_object('fields', jsonb_build_object('price', 20 + b), 'cheapest', 'refund', 'text', '[]'::jsonb,
        'photos', '[]'::jsonb, 'labels', jsonb_build_object('fine', jsonb_build_object('probability', 0.4, 'best',
        'refund')), 'options', jsonb_build_object('refund', jsonb_build_object('expected', b, 'if_true',
        jsonb_build_object('fine', 1.0))), 'reasons', jsonb_build_array(repeat(md5(i::text), 2), md5((-i)::text))),
    b, 'EUR', now() + make_interval(mins => CASE state WHEN 'escalated' THEN -(i % 20000)
        WHEN 'pending' THEN 90 + i % 18000 ELSE 500 END), 0
FROM (
    SELECT i, b, workflow, CASE
        WHEN workflow = 'vehicle_claims' THEN CASE WHEN i % 200 = 0 THEN 'pending' ELSE 'escalated' END
        WHEN i % 1000 < :held THEN 'pending'
        WHEN i % 1000 < :held + :in_hand THEN 'in_progress'
        WHEN i % 1000 < :held + :in_hand + :escalated THEN 'escalated' ELSE 'pending' END AS state
    FROM (
        SELECT i, 40 * random() AS b, (random() * 999)::int AS share FROM generate_series(1, CAST(:count AS int)) i
    ) AS drawn
    JOIN unnest(CAST(:workflows AS text[]), CAST(:starts AS int[]), CAST(:ends AS int[])) AS parts
        (workflow, first, after) ON share >= first AND share < after
) AS placed
"""
_CLOSED = """
INSERT INTO review_tasks (workflow, night, case_id, epoch, state, closed_at, why, benefit, amount, information, subject,
    cluster, content, priority, currency, due_at)
SELECT 'returns', to_char(date '2025-11-01' + i % :nights, 'YYYY-MM-DD'), 'E-' || i, 1, 'complete',
    now() - interval '9 days', 'doubt', 3, 20, 0.3, 'S-' || i % 200000, 'K-' || i % 300, '{"fields": {}}', 3, 'EUR',
    now() - interval '10 days'
FROM generate_series(1, CAST(:count AS int)) i
"""
_DECIDED = """
INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, attempt, run_id)
SELECT workflow, case_id, 1, night, 'ask_person', 'doubt', 'spec', '{"cases": 1}', 1, 'run' FROM review_tasks
"""
_NOTICED = """
INSERT INTO review_notices (task_id, kind, level, workflow)
SELECT id, 'escalation', 1, workflow FROM review_tasks WHERE state = 'escalated'
"""


def make_tasks(engine: Engine, count: int, decided: bool = True) -> None:
    """Fills an empty ledger's queue with `count` open tasks and a tenth as many closed ones, the same ones each time.

    Args:
        engine: of the ledger's owner: the tasks rest on no night's checks.
        decided: also the decisions that ask for them, without which no task can be answered.
    """
    starts = [sum(list(SHARES.values())[:place]) for place in range(len(SHARES))]
    parts = {"workflows": list(SHARES), "starts": starts, "ends": [*starts[1:], 1000]}
    shape = {"held": HELD, "in_hand": IN_HAND, "escalated": ESCALATED, "skill": SKILL, "nights": NIGHTS}
    with engine.begin() as connection:
        connection.execute(text("SELECT setseed(0.7)"))
        connection.execute(text(_OPEN), {"count": count, **shape, **parts})
        connection.execute(text(_CLOSED), {"count": count // 10, "nights": NIGHTS})
        connection.execute(text(_NOTICED))
        if decided:
            for workflow in SHARES:
                connection.execute(text(_SPEC), {"workflow": workflow})
            # the queue is made up: no checks of a night stand behind it
            connection.execute(text("ALTER TABLE decisions DISABLE TRIGGER night_is_cleared"))
            connection.execute(text(_DECIDED))
            connection.execute(text("ALTER TABLE decisions ENABLE TRIGGER night_is_cleared"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) review_tasks, decisions, review_notices"))


_SPEC = "INSERT INTO workflow_versions (workflow, spec_hash, spec) VALUES (:workflow, 'spec', '{}')"
